"""Schedulers that are killed at every point of their work, and what they must have decided all the same."""

import json
import signal
import sys
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Protocol

import aiohttp
import asyncpg
from aiokafka import AIOKafkaConsumer, TopicPartition

from demo.live import stand_still
from services.scheduler.domain import Journey
from services.scheduler.intake import TOPICS
from services.scheduler.views import Views
from shared.db import migrate
from shared.db.queries import load_queries
from shared.embedded import EmbeddedKafka, EmbeddedPostgres
from shared.embedded.process import free_port
from shared.events import Event, decode
from shared.ids import partition_key
from shared.kafka.admin import apply_topics
from shared.kafka.producer import make_producer
from shared.kafka.records import Record
from shared.settings import Settings
from shared.topics import DECISIONS, MESSAGES, Topic
from tests.support.dying import NONE
from tests.support.processes import Service
from tests.support.scheduling import MIGRATIONS, TOPIC_OF, bench
from tests.support.verdicts import Wanted
from tests.support.waiting import eventually

PARTITIONS = 4
READY_SECONDS, STAND_SECONDS = 60, 90
queries = load_queries(Path(__file__).with_name("wreckage.sql"))


@dataclass(frozen=True)
class Stand:
    """What becomes known, and the business time at which it is then decided upon."""

    at: datetime
    news: Sequence[Event]


@dataclass(frozen=True)
class Story:
    """What the shop tells before anything happens, and what happens then."""

    journey: Mapping[str, Any]
    shelf: Sequence[Event]
    stands: Sequence[Stand]


class Victim(Protocol):
    """What can be killed and started again."""

    def kill(self) -> None: ...
    def start(self) -> None: ...


class Mortal(Service):
    """A scheduler whose every life ends at a point, if it has one."""

    def __init__(self, environment: Mapping[str, str], log: Path) -> None:
        self.port = free_port()
        super().__init__("scheduler", {**environment, "ORDERWAKE_HTTP_PORT": str(self.port)}, log)
        self.point = NONE

    def live(self, point: str = NONE) -> None:
        """Start it; it ends or stops at the point."""
        self.point = point
        self._command = [sys.executable, "-m", "tests.support.dying", point]
        self.start()

    @property
    def stalled(self) -> bool:
        """Whether it has stopped at its point, holding whatever it held."""
        return self._process is not None and _state_of(self._process.pid) == "T"

    def go_on(self) -> None:
        """Let a stalled one go on, as if nothing had happened meanwhile."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    async def ready(self, session: aiohttp.ClientSession) -> bool:
        """Whether it has journeys, views and its share of the partitions."""
        try:
            async with session.get(f"http://127.0.0.1:{self.port}/readyz") as answer:
                return answer.ok
        except aiohttp.ClientError:
            return False


def _state_of(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return ""


@dataclass
class World:
    """Servers of the test's own, a business time that stands where it is put, and three schedulers."""

    kafka: EmbeddedKafka
    postgres: EmbeddedPostgres
    folder: Path
    session: aiohttp.ClientSession
    points: deque[str]
    schedulers: list[Mortal] = field(default_factory=list)
    reached: list[str] = field(default_factory=list)
    produced: int = 0

    @property
    def settings(self) -> Settings:
        """Settings for what the test itself does."""
        return Settings(
            kafka_bootstrap_servers=self.kafka.bootstrap,
            database_url=self.postgres.dsn,
            topic_partitions=PARTITIONS,
        )

    @property
    def logs(self) -> str:
        """The ends of what the schedulers have logged."""
        return "\n\n".join(f"{each.point}\n{each.text[-3000:]}" for each in self.schedulers)

    async def open(self, story: Story, schedulers: int = 3) -> None:
        """Make topics and tables, tell the shelf, and start the schedulers with a point each."""
        await apply_topics(self.settings)
        await migrate(self.postgres.dsn, "scheduler", MIGRATIONS)
        (self.folder / "journeys").mkdir()
        (self.folder / "journeys" / "routine.yaml").write_text(json.dumps(story.journey))
        stand_still(self.folder / "business-time", story.stands[0].at - timedelta(days=1))
        await self.produce(story.shelf)
        environment = {
            "KAFKA_BOOTSTRAP_SERVERS": self.kafka.bootstrap,
            "DATABASE_URL": self.postgres.dsn,
            "ORDERWAKE_BUSINESS_TIME": f"file:{self.folder / 'business-time'}",
            "ORDERWAKE_JOURNEYS_DIR": str(self.folder / "journeys"),
            "ORDERWAKE_CONSUMER_SESSION_SECONDS": "2",
            "ORDERWAKE_SCHEDULER_CLAIM": "2",
        }
        self.schedulers = [
            Mortal(environment, self.folder / f"scheduler-{number}.log") for number in range(schedulers)
        ]
        self.tend()

    def tend(self) -> None:
        """Start whoever does not live, with the next point."""
        for each in self.schedulers:
            if not each.alive:
                self.note(each)
                each.live(self.points.popleft() if self.points else NONE)

    def note(self, each: Mortal) -> None:
        """Remember that a point was reached."""
        if each.point != NONE and f"point reached: {each.point}\n" in each.text:
            self.reached.append(each.point)
            each.point = NONE

    async def produce(self, news: Iterable[Event]) -> None:
        """Send events to their topics; they are acknowledged on return."""
        producer = make_producer(self.kafka.bootstrap)
        await producer.start()
        for event in news:
            subject = event.customerid or event.data.product_id
            topic = TOPIC_OF[type(event)]
            await producer.send(topic.name, event.encode(), partition_key(event.shopid, subject))
            self.produced += topic in TOPICS
        await producer.stop()

    async def ask(self, query: str, *arguments: object) -> int:
        """Ask the database for a number."""
        connection = await asyncpg.connect(self.postgres.dsn, timeout=5)
        try:
            return int(await connection.fetchval(query, *arguments))
        finally:
            await connection.close()

    async def all_ready(self) -> None:
        """Wait until every scheduler lives and works."""

        async def ready() -> bool:
            self.tend()
            return all([await each.ready(self.session) for each in self.schedulers])

        await eventually(ready, READY_SECONDS, lambda: f"schedulers to be ready:\n{self.logs}")

    async def settle(self, stand: Stand, victim: Victim | None = None) -> None:
        """Let the news be read, then time move, until all that is due is decided and published.

        A victim is killed and started again as soon as something was decided.
        """
        await self.all_ready()
        await self.produce(stand.news)
        await eventually(self._read, STAND_SECONDS, lambda: f"all news to be read:\n{self.logs}")
        before = await self.ask(queries.decisions)
        stand_still(self.folder / "business-time", stand.at)
        if victim:
            await eventually(lambda: self._more_than(before), STAND_SECONDS, "something to be decided")
            victim.kill()
            victim.start()
        await eventually(
            lambda: self._decided(stand.at), STAND_SECONDS, lambda: f"{stand.at} to be decided:\n{self.logs}"
        )

    async def _read(self) -> bool:
        self.tend()
        read = await self.ask(queries.consumed, [topic.name for topic in TOPICS]) == self.produced
        if read:
            self._awaken()
        return read

    async def _decided(self, now: datetime) -> bool:
        self.tend()
        stalled = [each for each in self.schedulers if each.stalled]
        others = [each for each in self.schedulers if each not in stalled]
        # Who starts anew waits for whoever holds the journeys: with nobody else at work, nothing would go on.
        if stalled and (
            not any([await each.ready(self.session) for each in others])
            or not await self.ask(queries.free, now)
        ):
            self._awaken()
        return not await self.ask(queries.unfinished, now)

    async def _more_than(self, decisions: int) -> bool:
        self.tend()
        return await self.ask(queries.decisions) > decisions

    def _awaken(self) -> None:
        for each in self.schedulers:
            if each.stalled:
                self.note(each)
                each.go_on()

    def close(self) -> None:
        """Kill whoever lives."""
        for each in self.schedulers:
            each.kill()


async def read(world: World, topic: Topic) -> list[Event]:
    """Everything on a topic, to its end, in the order of each partition."""
    consumer = AIOKafkaConsumer(bootstrap_servers=world.kafka.bootstrap, enable_auto_commit=False)
    await consumer.start()
    partitions = [TopicPartition(topic.name, number) for number in range(PARTITIONS)]
    consumer.assign(partitions)
    await consumer.seek_to_beginning(*partitions)
    ends = await consumer.end_offsets(partitions)
    found: list[Event] = []
    while any([await consumer.position(tp) < ends[tp] for tp in partitions]):
        batches = await consumer.getmany(timeout_ms=500)
        found += [decode(record.value, topic.types) for records in batches.values() for record in records]
    await consumer.stop()
    return found


async def undisturbed(database_url: str, story: Story) -> Wanted:
    """What one scheduler decides that nothing happens to, on a database of its own."""
    plan = Journey.model_validate(story.journey)
    async with bench(database_url, [plan], views_of(story.shelf)) as ready:
        for stand in story.stands:
            await ready.feed(*stand.news)
            ready.clock.now = stand.at
            await ready.poll()
        return Wanted(await ready.published(DECISIONS), await ready.published(MESSAGES))


def views_of(shelf: Iterable[Event]) -> Views:
    """Return what a scheduler's follower makes of a shelf."""
    views = Views()
    for event in shelf:
        key = partition_key(event.shopid, event.data.product_id)
        views.take(Record(TOPIC_OF[type(event)].name, 0, 0, key, b""), event)
    return views
