"""The dispatcher, put together."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from uuid import uuid4

import asyncpg
import structlog
from aiohttp import web
from aiokafka import AIOKafkaProducer

from services.dispatcher.callbacks import CallBacks
from services.dispatcher.compose import Composer
from services.dispatcher.controls import Controls
from services.dispatcher.delivery import Delivery, in_the_clear, load_delivery, surroundings
from services.dispatcher.flow import Flow
from services.dispatcher.intake import Intake
from services.dispatcher.leases import Leases
from services.dispatcher.ledger import Ledger
from services.dispatcher.links import ShortLinks
from services.dispatcher.people import People
from services.dispatcher.providers.base import Provider
from services.dispatcher.reconcile import Reconciler
from services.dispatcher.reports import Hearing
from services.dispatcher.sender import Sender
from shared import topics
from shared.clock import Clock
from shared.db import create_pool, end_transaction
from shared.kafka.follower import Follower
from shared.kafka.guard import Guard
from shared.kafka.outbox import Relay
from shared.kafka.positions import PositionedConsumer
from shared.kafka.producer import make_producer
from shared.service import Running
from shared.settings import Settings

log = structlog.get_logger()

NAME = "dispatcher"
CONSUMED = (topics.MESSAGES, topics.CUSTOMERS, topics.ENGAGEMENT)


@asynccontextmanager
async def build(settings: Settings, clock: Clock) -> AsyncIterator[Running]:
    """The dispatcher's loops, its readiness and `/v1/status`."""
    async with AsyncExitStack() as stack:
        pool = await create_pool(settings, NAME, reset=end_transaction)
        stack.push_async_callback(pool.close)
        producer = make_producer(settings.kafka_bootstrap_servers)
        await producer.start()
        stack.push_async_callback(producer.stop)
        delivery = load_delivery(settings)
        for config in filter(in_the_clear, delivery.providers):
            log.warning(
                "key_in_the_clear", provider=config.name, see="docs/providers.md, starttls, tls and url"
            )
        providers = await _providers(delivery, settings, stack)
        yield _assemble(settings, clock, _Parts(pool, producer, delivery, providers))


@dataclass(frozen=True)
class _Parts:
    pool: asyncpg.Pool
    producer: AIOKafkaProducer
    delivery: Delivery
    providers: dict[str, Provider]


async def _providers(delivery: Delivery, settings: Settings, stack: AsyncExitStack) -> dict[str, Provider]:
    """Every provider, started, by its name."""
    found = delivery.make(surroundings(settings))
    for provider in found.values():
        await provider.start()
        stack.push_async_callback(provider.close)
    return found


def _assemble(settings: Settings, clock: Clock, parts: _Parts) -> Running:
    pool = parts.pool
    people = People.of(settings, clock)
    ledger = Ledger(uuid4(), clock, settings.dispatcher_lease_seconds, people)
    relay, controls = Relay(pool, parts.producer), Controls()
    flow = Flow(parts.delivery, parts.providers, pool, clock)
    composer = Composer(settings, clock, parts.delivery)
    composer.prepare()
    sender = Sender(
        pool=pool,
        ledger=ledger,
        clock=clock,
        settings=settings,
        flow=flow,
        make_parcel=composer.parcel,
        switches=controls.switches,
        told=relay.wake,
    )
    leases = Leases(pool, ledger, settings, sender.holding, sender.wake)
    guard = Guard(NAME, parts.producer, settings.dead_letter_limit, settings.dead_letter_window)
    intake = Intake(ledger, clock, sender.wake)
    consumer = PositionedConsumer(
        service=NAME,
        topics=CONSUMED,
        pool=pool,
        settings=settings,
        clock=clock,
        guard=guard,
        handle=intake.handle,
    )
    follower = Follower(settings, [topics.CONTROLS], controls.take)

    async def send(stopping: asyncio.Event) -> None:
        await _first(stopping, follower.wait_caught_up())
        await sender.run(stopping)

    async def publish(_: asyncio.Event) -> None:
        await relay.run(sender.finished)

    async def status(_: web.Request) -> web.Response:
        async with pool.acquire() as connection:
            counts = await ledger.counts(connection)
        thrown = Counter(switch.control.action for switch in controls.switches())
        return web.json_response(
            {
                "messages": counts,
                "in_flight": len(sender.holding()),
                "switches": thrown,
                "providers": flow.status(),
            }
        )

    def ready() -> dict[str, bool]:
        return {"caught_up": consumer.caught_up, "controls": follower.caught_up}

    short = ShortLinks(pool, clock, relay.wake)
    hearing = Hearing(pool, ledger, clock, relay.wake, flow.hear_report)
    reconciler = Reconciler(
        pool=pool,
        ledger=ledger,
        clock=clock,
        settings=settings,
        providers=parts.providers,
        hearing=hearing,
        compose=composer.parcel,
        wake=sender.wake,
    )
    callbacks = CallBacks(parts.providers, hearing, clock, settings.callback_url or settings.public_url)
    loops = (consumer.run, follower.run, send, leases.run, publish, short.run, reconciler.run)
    routes = [web.get("/v1/status", status), *short.routes(), *callbacks.routes()]
    return Running(loops, ready, routes)


async def _first(stopping: asyncio.Event, awaited: Coroutine[None, None, None]) -> None:
    """Return when `awaited` is done or `stopping` is set."""
    tasks = [asyncio.ensure_future(awaited), asyncio.ensure_future(stopping.wait())]
    await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in tasks:
        task.cancel()
