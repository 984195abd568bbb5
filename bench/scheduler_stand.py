"""The scheduler's tables, filled with people, and what a process needs to work on them: no Kafka, and a clock that stands."""

import gc
from collections.abc import AsyncIterator, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Literal

import asyncpg
import orjson

from bench import scheduler_people as people
from bench.service import Bar
from services.scheduler import derive, store
from services.scheduler.deciding import Decider
from services.scheduler.domain import CustomerState, Published
from services.scheduler.intake import TOPICS, Intake
from services.scheduler.poller import Poller
from services.scheduler.publish import Publisher
from services.scheduler.store import Locked, Waiting
from shared.clock import SystemClock
from shared.db import create_pool, load_queries, migrate
from shared.law import ContactHours
from shared.settings import Settings
from shared.topics import DECISIONS

PARTITIONS = 6
MIGRATIONS = Path(store.__file__).with_name("migrations")
SCHEMA = "scheduler"
queries = load_queries(Path(__file__).with_name("scheduler.sql"))

Row = tuple[str, str, int, str]
"""A customer as stored."""


READY_AT = people.NOW + timedelta(minutes=2)
"""When the first steps of the first 120,000 customers are due, and none is long overdue."""


class StandingClock(SystemClock):
    """Business time stands; machine time is the machine's."""

    def __init__(self, now: datetime = READY_AT) -> None:
        self.now = now

    def business(self) -> datetime:
        """Return the time it was set to."""
        return self.now


@dataclass
class Stand:
    """A scheduler's database with everything that decides on it."""

    pool: asyncpg.Pool
    settings: Settings
    decider: Decider
    published: Published
    clock: SystemClock

    def poller(self) -> Poller:
        """Return a poller as a process has one."""
        return Poller(self.pool, self.decider, self.settings, self.clock)

    def intake(self) -> Intake:
        """Return an intake as a process has one."""
        return Intake(self.clock, self.published, self.decider.views)

    async def freshen(self) -> None:
        """Say that all of every topic has been read."""
        now = self.clock.machine()
        rows = [(topic.name, partition, now) for topic in TOPICS for partition in range(PARTITIONS)]
        await self.pool.executemany(queries.set_position, rows)

    async def publish(self) -> None:
        """Put the journeys in force."""
        publisher = Publisher(self.pool, self.published, self.clock)
        while not publisher.published.is_set():
            await publisher.run_once()

    async def fill(self, rows: Iterable[Row], steps: Iterable[Waiting]) -> None:
        """Store customers and their due steps."""
        await self.pool.copy_records_to_table(
            "customers",
            records=[(*row[:3], store.pack(row[3])) for row in rows],
            columns=["shop_id", "customer_id", "partition_number", "state"],
        )
        columns = [name for name in Waiting.__slots__ if name != "partition"]
        columns.insert(list(Waiting.__slots__).index("partition"), "partition_number")
        records = [tuple(getattr(step, name) for name in Waiting.__slots__) for step in steps]
        await self.pool.copy_records_to_table("due_steps", records=records, columns=columns)

    async def keep(self) -> None:
        """Keep what is stored, to begin again from there."""
        await self.pool.execute(queries.keep_customers)
        await self.pool.execute(queries.keep_steps)

    async def keep_anew(self) -> None:
        """Keep what is stored now instead of what was kept."""
        await self.pool.execute(queries.forget_kept)
        await self.keep()

    async def restore(self) -> None:
        """Begin again from what was kept, as freshly vacuumed tables."""
        for query in (queries.empty, queries.restore_customers, queries.restore_steps):
            await self.pool.execute(query)
        await self.settle()

    async def settle(self) -> None:
        """Vacuum what was filled, and have nothing left to write that belongs to no measurement."""
        for query in (queries.settle_tables, queries.settle_steps, queries.checkpoint):
            await self.pool.execute(query)
        await self.freshen()

    async def decisions(self) -> dict[str, tuple[str, str | None, int]]:
        """Return what the outbox holds of decisions: by id, the verdict, its reason, and how many rules spoke."""
        rows = await self.pool.fetch(queries.decisions, DECISIONS.name)
        found = [orjson.loads(row["value"])["data"] for row in rows]
        return {
            each["decision_id"]: (each["verdict"], each.get("reason"), len(each["rules"])) for each in found
        }


@asynccontextmanager
async def stand(
    dsn: str, shops: Sequence[str] = (people.SHOP,), clock: SystemClock | None = None, pool_size: int = 8
) -> AsyncIterator[Stand]:
    """Open the scheduler's schema in a database; its tables are made if they are not there."""
    await migrate(dsn, SCHEMA, MIGRATIONS)
    settings = Settings(
        database_url=dsn, stale_after_seconds=3600, database_pool_size=pool_size, catch_up_per_second=0
    )
    pool = await create_pool(settings, SCHEMA)
    published = people.published(shops)
    decider = Decider(published, people.views(shops), ContactHours.load())
    try:
        yield Stand(pool, settings, decider, published, clock or StandingClock())
    finally:
        await pool.close()


Kind = Literal["whole", "copied", "overdue"]
"""Customers with lives of their own; with the past of one of a few hundred; or new ones whose first step is overdue."""
_CHUNK: dict[Kind, int] = {"whole": 250, "copied": 5000, "overdue": 1000}
_ORIGINALS = 200


def lives(
    shop: str, numbers: Sequence[int], title: str, kind: Kind = "whole"
) -> tuple[list[Row], list[Waiting]]:
    """Make customers on all cores; returns them and their due steps as they are stored."""
    rows: list[Row] = []
    steps: list[Waiting] = []
    bar, size = Bar(title, len(numbers)), _CHUNK[kind]
    chunks = [(shop, numbers[start : start + size], kind) for start in range(0, len(numbers), size)]
    with ProcessPoolExecutor() as workers:
        for made, waiting in workers.map(_lives, chunks):
            rows += made
            steps += waiting
            bar.show(len(rows))
    return rows, steps


def _lives(chunk: tuple[str, Sequence[int], Kind]) -> tuple[list[Row], list[Waiting]]:
    shop, numbers, kind = chunk
    plan, known, law = people.published((shop,)), people.views((shop,)), ContactHours.load()
    originals: dict[int, str] = {}
    rows: list[Row] = []
    steps: list[Waiting] = []
    for number in numbers:
        match kind:
            case "whole":
                state = people.person(number, shop, plan, known, law)
            case "overdue":
                state = people.newcomer(number, shop)
            case "copied":
                first = number % _ORIGINALS
                if first not in originals:
                    originals[first] = people.person(first, shop, plan, known, law).dump()
                text = originals[first].replace(people.name_of(first), people.name_of(number))
                state = CustomerState.load(text)
        rows.append((shop, state.customer_id, number % PARTITIONS, state.dump()))
        steps += waiting_of(state, number % PARTITIONS, plan)
    return rows, steps


def waiting_of(state: CustomerState, partition: int, published: Published) -> list[Waiting]:
    """Derive the due steps that should be stored for a customer."""
    customer = Locked(state.shop, state.customer_id, partition, "")
    return derive.waiting(customer, state, derive.undecided(state, published, people.NOW))


def calm() -> None:
    """Collect garbage and leave what is there alone, so that no measurement pays for the preparation."""
    gc.collect()
    gc.freeze()
