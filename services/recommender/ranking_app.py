"""Composition root of the ranker in a process of its own: it ranks the products of all partitions."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import web

from services.recommender.ranker import Ranker
from shared.clock import Clock
from shared.kafka.faust.producer import BatchProducer
from shared.service import Running
from shared.settings import Settings


@asynccontextmanager
async def build(settings: Settings, clock: Clock) -> AsyncIterator[Running]:
    """Put the ranker together. One such process is to run, beside workers of the role `stream`.

    Should two run for a while, each publishes the same; readers take the newest.
    """
    everything = frozenset(range(settings.topic_partitions))
    producer = BatchProducer(settings.kafka_bootstrap_servers)
    ranker = Ranker(settings, clock, producer.publish, owned=lambda: everything, busy=lambda: False)
    await producer.start()

    async def status(_: web.Request) -> web.Response:
        return web.json_response(ranker.status())

    try:
        yield Running(
            loops=(ranker.run, ranker.follower.run),
            ready=lambda: {"following": ranker.follower.caught_up},
            routes=(web.get("/v1/status", status),),
        )
    finally:
        await asyncio.shield(producer.stop())
