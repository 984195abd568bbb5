"""Ingest, PostgreSQL and the broker are killed while a shop sends: what was answered 202 comes out."""

import asyncio
import random
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import orjson
import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition

from services.ingest.store import SCHEMA
from shared.clock import Scale
from shared.db import migrate
from shared.embedded import EmbeddedKafka, EmbeddedPostgres
from shared.embedded.process import free_port
from shared.kafka.admin import apply_topics
from shared.settings import Settings
from tests.support import eventually
from tests.support.ingest import MIGRATIONS, NOW, a_return, a_shipment, an_order, raw
from tests.support.processes import Service

SHOP = "my-shop"
ORDERS = 1000
BATCH = 60
PARTITIONS = 4
SEED = 7
TOPICS = ("orders", "shipments", "returns")


@dataclass
class World:
    """Servers of the test's own, and two workers on them; the shop speaks to the first."""

    kafka: EmbeddedKafka
    postgres: EmbeddedPostgres
    folder: Path
    port: int

    @property
    def settings(self) -> Settings:
        """Settings for what the test itself does."""
        return Settings(
            kafka_bootstrap_servers=self.kafka.bootstrap,
            database_url=self.postgres.dsn,
            topic_partitions=PARTITIONS,
        )

    def worker(self, name: str, port: int) -> Service:
        """Return an ingest process, not yet started."""
        environment = {
            "KAFKA_BOOTSTRAP_SERVERS": self.kafka.bootstrap,
            "DATABASE_URL": self.postgres.dsn,
            "ORDERWAKE_BUSINESS_TIME": str(Scale(NOW, NOW, 0)),
            "ORDERWAKE_CONSUMER_SESSION_SECONDS": "2",
            "ORDERWAKE_BATCH_RECORDS": "50",
            "ORDERWAKE_INGEST_ACK_SECONDS": "1",
            "ORDERWAKE_HTTP_PORT": str(port),
        }
        return Service("ingest", environment, self.folder / f"{name}.log")


@pytest.fixture
def world() -> Iterator[World]:
    # Not pytest's own folder: that is closed to the user that PostgreSQL runs as when tests run as root.
    folder = Path(tempfile.mkdtemp(prefix="orderwake-crash-"))
    with EmbeddedKafka(folder / "kafka") as kafka, EmbeddedPostgres(folder / "postgres") as postgres:
        yield World(kafka, postgres, folder, free_port())
    shutil.rmtree(folder, ignore_errors=True)


def _news() -> list[dict[str, Any]]:
    """Orders of 50 customers with a shipment and a return each, in any order, some of it twice."""
    news = []
    for number in range(ORDERS):
        order, customer = f"o{number}", f"c{number % 50}"
        news.append(an_order(SHOP, order, customer) | {"id": f"{customer}/order/{order}"})
        news.append(a_shipment(SHOP, order) | {"id": f"{customer}/shipment/{order}"})
        news.append(a_return(SHOP, order) | {"id": f"{customer}/return/{order}"})
    chance = random.Random(SEED)  # noqa: S311  a shuffle that can be repeated
    news += chance.sample(news, ORDERS // 10)
    chance.shuffle(news)
    return news


async def test_what_was_accepted_comes_out_whatever_is_killed(world: World) -> None:
    await apply_topics(world.settings)
    await migrate(world.postgres.dsn, SCHEMA, MIGRATIONS)
    news = _news()
    with ExitStack() as running:
        first = running.enter_context(world.worker("first", world.port))
        second = running.enter_context(world.worker("second", 0))
        await _send(world, news, _blows(world, first, second))
        expected = {event["id"] for event in news}
        await eventually(lambda: _all_out(world, expected), 90, lambda: _log_ends(first, second))
        assert (first.alive, second.alive) == (True, True), _log_ends(first, second)
        assert (first.stop(), second.stop()) == (0, 0)
    for event, key in await _read(world):
        customer = event["id"].partition("/")[0]
        assert (event["customerid"], key) == (customer, f"{SHOP}|{customer}".encode())


def _blows(world: World, first: Service, second: Service) -> list[Callable[[], None]]:
    return [
        lambda: _again(first.kill, first.start),
        lambda: _again(world.postgres.kill, world.postgres.start),
        lambda: _again(world.kafka.kill, world.kafka.start),
        lambda: _again(second.kill, second.start),
    ]


def _again(kill: Callable[[], None], start: Callable[[], None]) -> None:
    kill()
    start()


async def _send(world: World, news: Sequence[dict[str, Any]], blows: Sequence[Callable[[], None]]) -> None:
    """Send as a shop must: each batch until it is answered 202. In between, one blow after the other."""
    batches = [news[start : start + BATCH] for start in range(0, len(news), BATCH)]
    strikes = {len(batches) * (number + 1) // (len(blows) + 1): blow for number, blow in enumerate(blows)}
    async with aiohttp.ClientSession(f"http://127.0.0.1:{world.port}") as session:
        for number, batch in enumerate(batches):
            if number in strikes:
                await asyncio.to_thread(strikes[number])
            await eventually(lambda batch=batch: _accepted(session, batch), 60, f"batch {number} accepted")  # type: ignore[misc]  # the default binds the loop's variable


async def _accepted(session: aiohttp.ClientSession, batch: Sequence[dict[str, Any]]) -> bool:
    headers = {"Content-Type": "application/cloudevents-batch+json"}
    try:
        async with session.post("/v1/events", data=raw(batch), headers=headers) as answer:
            assert answer.status in (202, 429, 503), await answer.text()
            return answer.status == 202
    except (aiohttp.ClientConnectionError, TimeoutError):
        return False


async def _all_out(world: World, expected: set[str]) -> bool:
    return {event["id"] for event, _ in await _read(world)} == expected


async def _read(world: World) -> list[tuple[dict[str, Any], bytes]]:
    """Everything on the canonical topics, to their ends."""
    consumer = AIOKafkaConsumer(bootstrap_servers=world.kafka.bootstrap, enable_auto_commit=False)
    await consumer.start()
    partitions = [TopicPartition(topic, number) for topic in TOPICS for number in range(PARTITIONS)]
    consumer.assign(partitions)
    await consumer.seek_to_beginning(*partitions)
    ends = await consumer.end_offsets(partitions)
    found: list[tuple[dict[str, Any], bytes]] = []
    while any([await consumer.position(tp) < ends[tp] for tp in partitions]):
        batches = await consumer.getmany(timeout_ms=500)
        found += [
            (orjson.loads(record.value), record.key) for records in batches.values() for record in records
        ]
    await consumer.stop()
    return found


def _log_ends(*services: Service) -> str:
    return "\n".join(service.text[-2000:] for service in services)
