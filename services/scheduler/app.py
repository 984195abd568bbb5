"""Composition root of the scheduler."""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web

from services.scheduler.deciding import Decider
from services.scheduler.domain import Published
from services.scheduler.guarding.catch_up import CatchUp
from services.scheduler.guarding.guards import Counting, Guards
from services.scheduler.intake import TOPICS, Intake
from services.scheduler.journeys import load_folder
from services.scheduler.poller import Poller
from services.scheduler.publish import Publisher
from services.scheduler.spending.codes_left import CodesLeft
from services.scheduler.status import Status
from services.scheduler.views import TOPICS as FOLLOWED
from services.scheduler.views import Views
from shared.clock import Clock
from shared.db import create_pool
from shared.kafka.follower import Follower
from shared.kafka.guard import Guard
from shared.kafka.outbox import Relay
from shared.kafka.positions import PositionedConsumer
from shared.kafka.producer import make_producer
from shared.law import ContactHours
from shared.service import Running
from shared.settings import Settings

SERVICE = "scheduler"


@asynccontextmanager
async def build(settings: Settings, clock: Clock) -> AsyncIterator[Running]:
    """Put the service together; on exit its connections are closed."""
    folder = load_folder(settings.journeys_dir) if settings.journeys_publish == "on_start" else None
    views = Views()
    decider = Decider(Published(), views, ContactHours.load())
    pool = await create_pool(settings, SERVICE)
    producer = make_producer(settings.kafka_bootstrap_servers)
    try:
        await producer.start()
        publisher = Publisher(pool, folder, clock, views)
        guard = Guard(SERVICE, producer, settings.dead_letter_limit, settings.dead_letter_window)
        consumer = PositionedConsumer(
            service=SERVICE,
            topics=TOPICS,
            pool=pool,
            settings=settings,
            clock=clock,
            guard=guard,
            handle=Intake(clock, outlook=views, counting=Counting(views.switches)).handle,
        )
        follower = Follower(settings, FOLLOWED, views.take)
        relay = Relay(pool, producer)
        poller = Poller(pool, decider, settings, clock, relay.wake)
        status = Status(pool, poller, clock, CatchUp(settings, clock), views.switches)
        codes_left = CodesLeft(pool)
        guards = Guards(pool, views.switches, clock, relay.wake)

        async def publish(stopping: asyncio.Event) -> None:
            # Without complements, no gap is known that a step might wait for.
            await _first(stopping, follower.wait_caught_up())
            await publisher.run(stopping)

        async def consume(stopping: asyncio.Event) -> None:
            await _first(stopping, publisher.published.wait())
            await consumer.run(stopping)

        async def decide(stopping: asyncio.Event) -> None:
            # Complements are known then, too: without them, steps would find no product.
            await _first(stopping, publisher.published.wait())
            await poller.run(stopping)

        async def watch(stopping: asyncio.Event) -> None:
            await _first(stopping, publisher.published.wait())
            # Without controls, a journey would be counted from before its last resume.
            await _first(stopping, follower.wait_caught_up())
            await guards.run(stopping)

        def ready() -> dict[str, bool]:
            published = publisher.published.is_set()
            return {"journeys": published, "views": follower.caught_up, "consumer": consumer.caught_up}

        yield Running(
            loops=(publish, consume, follower.run, decide, watch, relay.run, status.run, codes_left.run),
            ready=ready,
            routes=[web.get("/v1/status", status.show)],
        )
    finally:
        await producer.stop()
        await pool.close()


async def _first(stopping: asyncio.Event, awaited: Coroutine[Any, Any, object]) -> None:
    """Return when `awaited` is done or `stopping` is set."""
    tasks = [asyncio.ensure_future(awaited), asyncio.ensure_future(stopping.wait())]
    await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in tasks:
        task.cancel()
