"""Composition root of ingest."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

import asyncpg
import structlog
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from services.ingest.api import Api
from services.ingest.clicks import Clicks
from services.ingest.domain.checks import Checks
from services.ingest.health import Health
from services.ingest.intake import Intake
from services.ingest.publisher import Gate, Publisher
from services.ingest.store import SCHEMA
from services.ingest.sweep import Sweep
from shared.clock import Clock
from shared.db import create_pool
from shared.errors import InfrastructureError
from shared.kafka.guard import Guard
from shared.kafka.positions import PositionedConsumer
from shared.kafka.producer import make_producer
from shared.links import Links
from shared.service import Running
from shared.settings import Settings
from shared.topics import INBOUND

log = structlog.get_logger()

_FLUSH_SECONDS = 10.0


@asynccontextmanager
async def build(settings: Settings, clock: Clock) -> AsyncIterator[Running]:
    """Put ingest together, on tables and topics that exist. Raises InfrastructureError if Kafka is not there."""
    pool = await create_pool(settings, SCHEMA)
    producer = make_producer(settings.kafka_bootstrap_servers)
    try:
        await _start(producer, settings.kafka_bootstrap_servers)
        yield _wire(settings, clock, pool, producer)
    finally:
        await _flush(producer)
        await pool.close()


def _wire(settings: Settings, clock: Clock, pool: asyncpg.Pool, producer: AIOKafkaProducer) -> Running:
    checks = Checks(settings.shop_allowed, timedelta(minutes=settings.ingest_future_minutes))
    guard = Guard(
        SCHEMA,
        producer,
        settings.dead_letter_limit,
        settings.dead_letter_window,
        check=lambda _, event: checks.check(event, clock.business()),
    )
    publisher = Publisher(producer)
    intake = Intake(publisher, guard, clock, settings.guest_salt.get_secret_value().encode())
    consumer = PositionedConsumer(
        service=SCHEMA,
        topics=INBOUND,
        pool=pool,
        settings=settings,
        clock=clock,
        guard=guard,
        handle=intake.handle,
    )
    health = Health(pool, producer, publisher)
    sweep = Sweep(pool, intake, producer, settings, clock)
    api = Api(
        Gate(publisher, settings.ingest_inflight_limit, settings.ingest_ack_seconds), checks, clock, pool
    )
    clicks = Clicks(api.take, Links(settings.public_url, settings.link_secret.get_secret_value()), clock)
    routes = [*api.routes(), *clicks.routes()]
    return Running(loops=(consumer.run, sweep.run, health.run), ready=health.ready, routes=routes)


async def _start(producer: AIOKafkaProducer, address: str) -> None:
    try:
        await producer.start()
    except KafkaError as error:
        message = f"Kafka does not answer at {address} ({error}); start it or set KAFKA_BOOTSTRAP_SERVERS"
        raise InfrastructureError(message) from None


async def _flush(producer: AIOKafkaProducer) -> None:
    try:
        await asyncio.wait_for(producer.stop(), _FLUSH_SECONDS)
    except TimeoutError:
        log.warning("flush_incomplete")
