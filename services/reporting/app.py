"""Composition root of reporting: one consumer into PostgreSQL, and its counts over HTTP."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import asyncpg
import orjson
from aiohttp import web

from services.reporting import store
from services.reporting.report import summary
from shared.clock import Clock
from shared.db import create_pool
from shared.kafka.guard import Guard
from shared.kafka.positions import PositionedConsumer
from shared.kafka.producer import make_producer
from shared.service import Running
from shared.settings import Settings
from shared.topics import DECISIONS, ENGAGEMENT, ORDERS, RETURNS

TOPICS = (DECISIONS, ENGAGEMENT, ORDERS, RETURNS)
SERVICE = "reporting"


@asynccontextmanager
async def build(settings: Settings, clock: Clock) -> AsyncIterator[Running]:
    """Put reporting together."""
    pool = await create_pool(settings, schema=store.SCHEMA)
    producer = make_producer(settings.kafka_bootstrap_servers)
    await producer.start()
    consumer = PositionedConsumer(
        service=SERVICE,
        topics=TOPICS,
        pool=pool,
        settings=settings,
        clock=clock,
        guard=Guard(SERVICE, producer, settings.dead_letter_limit, settings.dead_letter_window),
        handle=store.record,
    )
    try:
        yield Running(
            loops=[consumer.run],
            ready=lambda: {"caught_up": consumer.caught_up},
            routes=[web.get("/v1/status", status_handler(pool))],
        )
    finally:
        await producer.stop()
        await pool.close()


def status_handler(pool: asyncpg.Pool) -> Callable[[web.Request], Awaitable[web.Response]]:
    """`GET /v1/status[?shop=]`: the summary's counts and how many records each topic is behind."""

    async def status(request: web.Request) -> web.Response:
        counts = await summary(pool, request.query.get("shop"))
        lag = {row["topic"]: row["records"] for row in await pool.fetch(store.queries.lag)}
        body = orjson.dumps(counts | {"lag": lag}, default=str)
        return web.Response(body=body, content_type="application/json")

    return status
