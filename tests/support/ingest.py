"""Ingest run in the test's own process on real servers, with a tap on what leaves it."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from services.ingest import store
from services.ingest.app import build
from services.ingest.store import SCHEMA
from shared.clock import Scale, ScaledClock
from shared.db import load_queries, migrate
from shared.embedded import Infrastructure
from shared.kafka.producer import make_producer
from shared.service import Running
from shared.settings import Settings
from shared.topics import CANONICAL, INBOUND
from tests.support.broker import fresh_topics
from tests.support.waiting import eventually

queries = load_queries(Path(__file__).with_suffix(".sql"))

MIGRATIONS = Path(store.__file__).with_name("migrations")
NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
TAPPED = [topic.name for topic in CANONICAL] + [topic.dead_letters for topic in INBOUND]


def standing_clock(now: datetime = NOW) -> ScaledClock:
    """Give a clock whose business time stands still until `move` and whose machine time is real."""
    return ScaledClock(Scale(now, now, 0.0))


def move(clock: ScaledClock, span: timedelta) -> None:
    """Move a standing clock's business time on."""
    clock.scale = Scale(clock.scale.origin + span, clock.scale.start, 0.0)


def envelope(shop: str, kind: str, data: Mapping[str, Any], **attributes: Any) -> dict[str, Any]:  # noqa: ANN401  JSON
    """Give a CloudEvent as a producer would write it; `None` leaves an attribute out."""
    event = {
        "specversion": "1.0",
        "id": f"{kind}-{data.get('order_id', data.get('product_id', 'x'))}",
        "source": "/shop",
        "type": f"orderwake.{kind}.recorded.v1",
        "time": "2026-03-02T09:00:00Z",
        "shopid": shop,
        "data": dict(data),
    }
    return {name: value for name, value in (event | attributes).items() if value is not None}


def an_order(shop: str, order: object = "o1", customer: str | None = "c1", **data: Any) -> dict[str, Any]:  # noqa: ANN401  JSON
    """Give an order event of one line; `data` replaces fields of the order."""
    body = {
        "order_id": order,
        "placed_at": "2026-03-02T09:00:00Z",
        "currency": "USD",
        "total": "20.00",
        "lines": [{"product_id": "p1", "quantity": 1, "unit_price": "20.00"}],
    }
    return envelope(shop, "order", body | data, customerid=customer)


def a_shipment(shop: str, order: str = "o1", customer: str | None = None, **data: Any) -> dict[str, Any]:  # noqa: ANN401  JSON
    """Give a delivery that knows its order only."""
    body = {
        "shipment_id": "s1",
        "order_id": order,
        "status": "delivered",
        "occurred_at": "2026-03-02T10:00:00Z",
    }
    return envelope(shop, "shipment", body | data, customerid=customer)


def a_return(shop: str, order: str = "o1", customer: str | None = None, **data: Any) -> dict[str, Any]:  # noqa: ANN401  JSON
    """Give a return that knows its order only."""
    body = {
        "return_id": "r1",
        "order_id": order,
        "status": "received",
        "occurred_at": "2026-03-02T10:00:00Z",
        "lines": [{"product_id": "p1", "quantity": 1}],
    }
    return envelope(shop, "return", body | data, customerid=customer)


def raw(event: object) -> bytes:
    """Give an event's bytes; bytes stay as they are."""
    return event if isinstance(event, bytes) else json.dumps(event).encode()


@dataclass(frozen=True)
class Taken:
    """A record that left ingest."""

    topic: str
    partition: int
    key: bytes | None
    value: bytes
    headers: dict[str, str]

    @property
    def event(self) -> dict[str, Any]:
        """The record's JSON."""
        parsed: dict[str, Any] = json.loads(self.value)
        return parsed


@dataclass
class Ingest:
    """Ingest as tests see it: `client` speaks HTTP, `send` produces to its topics, `out` is what left it."""

    shop: str
    client: "TestClient[web.Request, web.Application]"
    running: Running
    producer: AIOKafkaProducer
    clock: ScaledClock
    settings: Settings
    out: list[Taken] = field(default_factory=list)

    async def send(self, topic: str, *events: object, key: bytes | None = None) -> None:
        """Produce to a topic and wait for the broker."""
        for event in events:
            await self.producer.send_and_wait(topic, raw(event), key)

    async def send_binary(self, topic: str, event: Mapping[str, Any]) -> None:
        """Produce an event in CloudEvents' binary mode: attributes in headers, data in the value."""
        headers = [(f"ce_{name}", str(value).encode()) for name, value in event.items() if name != "data"]
        await self.producer.send_and_wait(topic, raw(event["data"]), headers=headers)

    async def post(
        self, event: object, content_type: str = "application/cloudevents+json"
    ) -> tuple[int, Any]:
        """POST to /v1/events; returns status and parsed body."""
        async with self.client.post(
            "/v1/events", data=raw(event), headers={"Content-Type": content_type}
        ) as answer:
            return answer.status, await answer.json()

    def on(self, topic: str) -> list[Taken]:
        """Give what left ingest on one topic so far."""
        return [record for record in self.out if record.topic == topic]

    async def expect(self, topic: str, count: int = 1) -> list[Taken]:
        """Wait until that many records are on a topic; more is a failure."""
        await eventually(
            lambda: len(self.on(topic)) >= count, what=lambda: f"{count} on {topic}, have {self.out}"
        )
        assert len(self.on(topic)) == count
        return self.on(topic)

    async def status(self) -> dict[str, Any]:
        """GET /v1/status."""
        async with self.client.get("/v1/status") as answer:
            parsed: dict[str, Any] = await answer.json()
            return parsed

    async def count(self, name: str, wanted: int) -> None:
        """Wait until a number of /v1/status is what it should be."""

        async def there() -> bool:
            return bool((await self.status())[name] == wanted)

        await eventually(there, what=lambda: f"{name} to be {wanted}; left ingest so far: {self.out}")


def settings_for(infrastructure: Infrastructure, database_url: str, **more: Any) -> Settings:  # noqa: ANN401  settings
    """Give settings for a test's own database on the session's broker."""
    values: dict[str, Any] = {
        "kafka_bootstrap_servers": infrastructure.bootstrap_servers,
        "database_url": database_url,
        "topic_partitions": 2,
    }
    return Settings(**(values | more))


async def prepare(settings: Settings) -> None:
    """Make topics, empty, and tables."""
    await fresh_topics(settings)
    await make_tables(settings)


async def make_tables(settings: Settings) -> None:
    """Make ingest's tables."""
    await migrate(settings.database_url.get_secret_value(), SCHEMA, MIGRATIONS)


@asynccontextmanager
async def own_database(infrastructure: Infrastructure, name: str) -> AsyncIterator[str]:
    """Yield the URL of an empty database for a whole module of tests, dropped afterwards."""
    server = await asyncpg.connect(infrastructure.database_url)
    await server.execute(f'CREATE DATABASE "{name}"')
    yield infrastructure.database_url.rpartition("/")[0] + f"/{name}"
    await server.execute(f'DROP DATABASE "{name}" WITH (FORCE)')
    await server.close()


@asynccontextmanager
async def ingest_running(
    shop: str, settings: Settings, clock: ScaledClock | None = None
) -> AsyncIterator[Ingest]:
    """Run ingest with its loops and its HTTP routes; everything has stopped when it exits."""
    clock = clock or standing_clock()
    producer = make_producer(settings.kafka_bootstrap_servers, linger_ms=0)
    await producer.start()
    async with build(settings, clock) as running:
        app = web.Application()
        app.add_routes(running.routes)
        async with TestClient(TestServer(app)) as client:
            ingest = Ingest(shop, client, running, producer, clock, settings)
            async with _loops(running), tap(settings, ingest.out, shop):
                yield ingest
    await producer.stop()


@asynccontextmanager
async def _loops(running: Running) -> AsyncIterator[None]:
    stopping = asyncio.Event()
    tasks = [asyncio.ensure_future(loop(stopping)) for loop in running.loops]
    try:
        yield
    finally:
        stopping.set()
        await asyncio.gather(*tasks)


@asynccontextmanager
async def tap(settings: Settings, out: list[Taken], shop: str) -> AsyncIterator[None]:
    """Append to `out` what is put on canonical and dead-letter topics of one shop from now on."""
    ends = await _ends(settings, TAPPED)
    consumer = AIOKafkaConsumer(bootstrap_servers=settings.kafka_bootstrap_servers, fetch_max_wait_ms=50)
    await consumer.start()
    consumer.assign(list(ends))
    for tp, end in ends.items():
        consumer.seek(tp, end)
    reading = asyncio.ensure_future(_read(consumer, out, shop.encode()))
    try:
        yield
    finally:
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)
        await consumer.stop()


async def _read(consumer: AIOKafkaConsumer, out: list[Taken], shop: bytes) -> None:
    async for record in consumer:
        ours = shop in (record.key or b"") or shop in (record.value or b"")
        if ours:
            headers = {name: value.decode() for name, value in record.headers}
            out.append(Taken(record.topic, record.partition, record.key, record.value or b"", headers))


async def _ends(settings: Settings, topics: Sequence[str]) -> dict[TopicPartition, int]:
    consumer = AIOKafkaConsumer(bootstrap_servers=settings.kafka_bootstrap_servers)
    await consumer.start()
    try:
        partitions = [
            TopicPartition(topic, number) for topic in topics for number in range(_count(topic, settings))
        ]
        return dict(await consumer.end_offsets(partitions))
    finally:
        await consumer.stop()


def _count(topic: str, settings: Settings) -> int:
    return 1 if topic.endswith(".dead-letters") else settings.topic_partitions
