"""Two schedulers, PostgreSQL and the broker are killed again and again: every step is settled once."""

import json
import shutil
import tempfile
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import reduce
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition

from services.scheduler.domain import CustomerState, Journey, apply, due
from shared.clock import Scale
from shared.db import migrate
from shared.embedded import EmbeddedKafka, EmbeddedPostgres
from shared.events import DecisionRecorded, Event, MessageRequested, Verdict, decode
from shared.ids import partition_key
from shared.kafka.admin import apply_topics
from shared.kafka.producer import make_producer
from shared.settings import Settings
from shared.topics import DECISIONS, MESSAGES, Topic
from tests.support import eventually
from tests.support.processes import Service
from tests.support.samples import START, order
from tests.support.scheduling import MIGRATIONS, TOPIC_OF, delivered, journey_text, profile, queries, step

SHOP = "skincare"
CUSTOMERS = 300
ORDERED_WITHIN = timedelta(hours=24)
SPEED = 7200
END = START + timedelta(hours=60)
PARTITIONS = 4
PATIENT = {"skip_after": "5d", "expires": "6d"}
JOURNEY = journey_text(
    SHOP,
    steps=[
        step("pair", "email", "order", "45m", **PATIENT),
        step("touch", "email", "order", "2h", repeat={"every": "5h", "times": 6}, **PATIENT),
        step("check", "sms", "delivery", "1h", **PATIENT),
    ],
    caps=[{"count": 4, "per": "7d"}],
    holdout={"share": 0.2},
)
STEPS_EACH = 8


@dataclass
class World:
    """Servers of the test's own, and what every scheduler on them is told."""

    kafka: EmbeddedKafka
    postgres: EmbeddedPostgres
    folder: Path

    @property
    def settings(self) -> Settings:
        """Settings for what the test itself does."""
        return Settings(
            kafka_bootstrap_servers=self.kafka.bootstrap,
            database_url=self.postgres.dsn,
            topic_partitions=PARTITIONS,
        )

    def scheduler(self, name: str, scale: Scale) -> Service:
        """Return a scheduler process, not yet started."""
        environment = {
            "KAFKA_BOOTSTRAP_SERVERS": self.kafka.bootstrap,
            "DATABASE_URL": self.postgres.dsn,
            "ORDERWAKE_BUSINESS_TIME": str(scale),
            "ORDERWAKE_JOURNEYS_DIR": str(self.folder / "journeys"),
            "ORDERWAKE_CONSUMER_SESSION_SECONDS": "2",
            "ORDERWAKE_SCHEDULER_CLAIM": "20",
        }
        return Service("scheduler", environment, self.folder / f"{name}.log")

    async def decided(self) -> int:
        """Decisions committed so far, or 0 while the database is away."""
        with suppress(OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
            connection = await asyncpg.connect(self.postgres.dsn, timeout=5)
            try:
                return int(await connection.fetchval(queries.decided))
            finally:
                await connection.close()
        return 0


@pytest.fixture
def world() -> Iterator[World]:
    # Not pytest's own folder: that is closed to the user that PostgreSQL runs as when tests run as root.
    folder = Path(tempfile.mkdtemp(prefix="ow-scheduler-crash-"))
    (folder / "journeys").mkdir()
    (folder / "journeys" / "routine.yaml").write_text(json.dumps(JOURNEY))
    with EmbeddedKafka(folder / "kafka") as kafka, EmbeddedPostgres(folder / "postgres") as postgres:
        yield World(kafka, postgres, folder)
    shutil.rmtree(folder, ignore_errors=True)


def _life(number: int) -> list[Event]:
    """Everything that happens to one customer."""
    customer, placed_at = f"c-{number}", START + number * ORDERED_WITHIN / CUSTOMERS
    return [
        profile(SHOP, customer),
        order(customer=customer, placed_at=placed_at),
        delivered(SHOP, customer, "o-1", placed_at + timedelta(hours=20)),
    ]


def _expected(lives: list[list[Event]]) -> set[UUID]:
    """Every occurrence, derived by the pure core from nothing but the events."""
    journeys = [Journey.model_validate(JOURNEY)]
    states = (
        reduce(apply, life, CustomerState(shop=SHOP, customer_id=life[0].customerid or "")) for life in lives
    )
    return {message_id for state in states for message_id in due(state, journeys)}


async def _produce(world: World, lives: list[list[Event]]) -> None:
    producer = make_producer(world.kafka.bootstrap)
    await producer.start()
    for event in (event for life in lives for event in life):
        key = partition_key(event.shopid, event.customerid or "")
        await producer.send(TOPIC_OF[type(event)].name, event.encode(), key)
    await producer.stop()


async def _read(world: World, topic: Topic) -> list[Any]:
    """Everything on a topic, to its end."""
    consumer = AIOKafkaConsumer(bootstrap_servers=world.kafka.bootstrap, enable_auto_commit=False)
    await consumer.start()
    partitions = [TopicPartition(topic.name, number) for number in range(PARTITIONS)]
    consumer.assign(partitions)
    await consumer.seek_to_beginning(*partitions)
    ends = await consumer.end_offsets(partitions)
    found: list[Any] = []
    while any([await consumer.position(tp) < ends[tp] for tp in partitions]):
        batches = await consumer.getmany(timeout_ms=500)
        found += [decode(record.value, topic.types) for records in batches.values() for record in records]
    await consumer.stop()
    return found


async def test_every_step_is_settled_once_whatever_is_killed(world: World) -> None:
    await apply_topics(world.settings)
    await migrate(world.postgres.dsn, "scheduler", MIGRATIONS)
    lives = [_life(number) for number in range(CUSTOMERS)]
    expected = _expected(lives)
    assert len(expected) == CUSTOMERS * STEPS_EACH
    scale = Scale(START, datetime.now(UTC) + timedelta(seconds=3), SPEED, END)

    with ExitStack() as running:
        first, second = (running.enter_context(world.scheduler(name, scale)) for name in ("first", "second"))
        await _wreck(world, first, second, lives)
        await eventually(lambda: _all_published(world, expected), 90, "a final verdict for every step")
        assert first.alive, first.text[-4000:]
        assert second.alive, second.text[-4000:]
        assert (first.stop(), second.stop()) == (0, 0)

    _check(expected, await _read(world, DECISIONS), await _read(world, MESSAGES))


async def _wreck(world: World, first: Service, second: Service, lives: list[list[Event]]) -> None:
    """Kill something when half of what is known is decided, and just after more has come to be read."""
    blows = [
        (first.kill, first.start),
        (second.kill, second.start),
        (world.postgres.kill, world.postgres.start),
        (first.kill, first.start),
        (world.kafka.kill, world.kafka.start),
        (second.kill, second.start),
    ]
    share = len(lives) // (len(blows) + 1) + 1
    await _produce(world, lives[:share])
    for number, (kill, restart) in enumerate(blows, 1):
        goal = share * number * STEPS_EACH // 2

        async def reached(goal: int = goal) -> bool:
            return await world.decided() >= goal

        def what(goal: int = goal) -> str:
            return f"{goal} steps decided, by\n{first.text[-4000:]}\nand\n{second.text[-4000:]}"

        await eventually(reached, 60, what)
        await _produce(world, lives[share * number : share * (number + 1)])
        kill()
        restart()


async def _all_published(world: World, expected: set[UUID]) -> bool:
    if await world.decided() < len(expected):
        return False
    found: list[DecisionRecorded] = await _read(world, DECISIONS)
    return expected <= {each.data.message_id for each in found if each.data.verdict is not Verdict.DEFER}


def _check(expected: set[UUID], decisions: list[DecisionRecorded], messages: list[MessageRequested]) -> None:
    by_id = {each.data.decision_id: each.data for each in decisions}
    finals: defaultdict[UUID, set[UUID]] = defaultdict(set)
    for decision in by_id.values():
        if decision.verdict is not Verdict.DEFER:
            finals[decision.message_id].add(decision.decision_id)
    assert set(finals) == expected
    assert {len(each) for each in finals.values()} == {1}
    for copies in _copies(decisions).values():
        assert len(copies) == 1, "a decision published twice says the same"
    sent = {each.message_id for each in by_id.values() if each.verdict is Verdict.SEND}
    assert {each.data.message_id for each in messages} == sent
    verdicts = Counter(each.verdict for each in by_id.values())
    assert min(verdicts[Verdict.SEND], verdicts[Verdict.SKIP], verdicts[Verdict.GHOST]) > 0
    once = {each.data.message_id: each for each in messages}
    per_customer = Counter(each.customerid for each in once.values())
    assert max(per_customer.values()) == JOURNEY["caps"][0]["count"]


def _copies(decisions: list[DecisionRecorded]) -> dict[UUID, set[bytes]]:
    found: defaultdict[UUID, set[bytes]] = defaultdict(set)
    for each in decisions:
        found[each.data.decision_id].add(each.encode())
    return found
