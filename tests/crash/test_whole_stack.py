"""Services, broker and database are killed one after the other while a week of two shops runs through all of them.

At the end every due step has one verdict, every message that was decided was received exactly once or is listed as
unknown, and affinity counts equal a recount.
"""

import asyncio
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import aiohttp
import pytest

from demo import audit, load, plan
from demo.live import Week, stand_still
from demo.observe import Observer, observer
from demo.receivers import Received
from demo.stack import SERVICES, ProcessDiedError, Stack
from services.cli import migrate_all
from services.recommender.recount import recount
from services.scheduler.journeys import load_folder
from shared import topics
from shared.clock import FileClock
from shared.embedded import EmbeddedKafka, EmbeddedPostgres
from shared.events import Event, OrderRecorded, ReturnRecorded
from shared.kafka.admin import apply_topics
from shared.kafka.producer import make_producer
from shared.kafka.records import Record
from shared.settings import Settings
from shared.settings import load as load_settings
from tests.support import eventually
from tests.support.recommending import table_counts

SEED, ORDERS, ENOUGH, PARTITIONS = 11, 160, 60, 3
SHOPS = ("skincare", "fitness")
STEP = timedelta(hours=6)
PATIENCE = 90

Strike = Callable[[], Awaitable[None]]


@dataclass
class World:
    """Servers of the test's own and the whole stack on them, in a business time that the test moves."""

    folder: Path
    kafka: EmbeddedKafka
    postgres: EmbeddedPostgres
    made: plan.Plan = field(default_factory=lambda: plan.make(SEED, SHOPS, ORDERS, say=lambda _: None))

    def __post_init__(self) -> None:
        """Let time stand at the live week's start."""
        self.clock_file = self.folder / "business-time"
        stand_still(self.clock_file, plan.LIVE_START)
        environment = {
            "KAFKA_BOOTSTRAP_SERVERS": self.kafka.bootstrap,
            "DATABASE_URL": self.postgres.dsn,
            "ORDERWAKE_BUSINESS_TIME": f"file:{self.clock_file}",
            "ORDERWAKE_TOPIC_PARTITIONS": str(PARTITIONS),
            # A process sees a moved clock a moment later than the test: within the week nothing is the future.
            "ORDERWAKE_INGEST_FUTURE_MINUTES": str(plan.LIVE_DAYS * 24 * 60),
            "ORDERWAKE_CONSUMER_SESSION_SECONDS": "2",
            "ORDERWAKE_DISPATCHER_LEASE_SECONDS": "2",
        }
        self.stack = Stack(self.folder, environment)
        self.received = Received(self.folder / "received")

    @property
    def settings(self) -> Settings:
        """Settings as the services have them."""
        return load_settings(self.stack.environment)

    async def start(self) -> None:
        """Topics, schemas, receiving ends, services."""
        await apply_topics(self.settings)
        await migrate_all(self.postgres.dsn)
        await self.stack.start_services(await self.stack.start_receivers())

    async def keep_running(self, name: str) -> None:
        """Start a service again whenever it ends, as an orchestrator would."""
        while True:
            await self.stack.processes[name].wait()
            await self.stack.start_service(name)

    async def unfinished(self) -> dict[str, int]:
        """What is due and not done; a service that is being started again counts as that."""
        try:
            return await self.stack.unfinished()
        except ProcessDiedError:
            return {"services starting": 1}

    def strikes(self) -> list[Strike]:
        """What is done to whom, in this order."""

        def to(name: str) -> Strike:
            return lambda: self.stack.kill(name)

        async def broker() -> None:
            self.kafka.kill()
            await asyncio.to_thread(self.kafka.start)

        async def database() -> None:
            self.postgres.kill()
            await asyncio.to_thread(self.postgres.start)

        return [
            to("scheduler"), to("dispatcher"), broker, to("recommender"), database, to("dispatcher"), to("ingest"),
            to("reporting"), to("scheduler"), to("dispatcher"),
        ]  # fmt: skip


@pytest.fixture
def world() -> Iterator[World]:
    # Not pytest's own folder: that is closed to the user that PostgreSQL runs as when tests run as root.
    folder = Path(tempfile.mkdtemp(prefix="orderwake-crash-"))
    with EmbeddedKafka(folder / "kafka") as kafka, EmbeddedPostgres(folder / "postgres") as postgres:
        yield World(folder, kafka, postgres)
    shutil.rmtree(folder, ignore_errors=True)


@pytest.mark.timeout(400)
async def test_every_message_comes_once_or_is_unknown_whatever_is_killed(world: World) -> None:
    async with AsyncExitStack() as exits:
        exits.push_async_callback(world.stack.stop)
        await world.start()
        orchestrator = [asyncio.ensure_future(world.keep_running(name)) for name in SERVICES]
        exits.callback(lambda: [task.cancel() for task in orchestrator])
        await live_through(world, exits)
        watch = await exits.enter_async_context(observer(world.settings))
        await watch.settle(SERVICES, PATIENCE, world.unfinished, looks=3)
        await hold_to_account(world, watch)


async def live_through(world: World, exits: AsyncExitStack) -> None:
    """Run the recent weeks and the live week, with a strike whenever messages are on their way."""
    producer = make_producer(world.kafka.bootstrap)
    await producer.start()
    await load.produce(producer, [*world.made.reference, *world.made.recent], lambda _: None)
    await producer.stop()
    session = await exits.enter_async_context(aiohttp.ClientSession())
    ingest = world.stack.url("ingest", "/v1/events")
    week = Week(
        SEED, FileClock(world.clock_file), plan.live_end(), world.received, producer, session, ingest,
        world.made.people, world.made.live,
    )  # fmt: skip
    strikes, steps = world.strikes(), timedelta(days=plan.LIVE_DAYS) // STEP
    for step in range(1, steps + 1):
        stand_still(world.clock_file, plan.LIVE_START + step * STEP)
        await week.tick()
        if strikes and step % 2:
            await eventually(world.received.look, PATIENCE, "a message to arrive")
            await strikes.pop(0)()
    assert strikes == []
    await eventually(week.tick, PATIENCE, "the last events of the week to be sent")


async def hold_to_account(world: World, watch: Observer) -> None:
    """Both sums hold, nothing came twice, the ledger lists what is unknown, counts equal a recount."""
    world.received.look()
    log = await audit.read_log(watch)
    held = int((await world.stack.status("scheduler"))["undecided"])
    published = load_folder(world.settings.journeys_dir)
    sums = audit.sums(log, published, plan.live_end(), world.received, held)
    sys.stdout.write(f"{json.dumps(sums.summary)}\n")
    assert sums.problems == ()
    assert len(world.received.ids()) > ENOUGH
    told_unknown = {message for message, kinds in log.outcomes.items() if "unknown" in kinds}
    assert await listed_unknown(world) <= told_unknown
    facts: list[OrderRecorded | ReturnRecorded] = []

    def take(_: Record, event: Event | None) -> None:
        if isinstance(event, OrderRecorded | ReturnRecorded):
            facts.append(event)

    await watch.read([topics.ORDERS, topics.RETURNS], take)
    assert await table_counts(world.settings) == recount(facts)


async def listed_unknown(world: World) -> set[str]:
    """What `orderwake ledger unknown` lists."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "services.cli", "ledger", "unknown", "--json", stdout=asyncio.subprocess.PIPE,
        env={**os.environ, **world.stack.environment},
    )  # fmt: skip
    output, _ = await process.communicate()
    assert process.returncode == 0
    return {str(json.loads(line)["message_id"]) for line in output.splitlines()}
