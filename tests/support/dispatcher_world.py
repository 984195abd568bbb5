"""Dispatchers as processes over a broker, a database and far ends that all fail, and what is left when they are done."""

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import asyncpg

from shared.db import migrate
from shared.embedded import EmbeddedKafka, EmbeddedPostgres
from shared.embedded.process import free_port
from shared.events import Event, MessageRequested
from shared.ids import partition_key
from shared.kafka.admin import apply_topics
from shared.kafka.producer import make_producer
from shared.settings import Settings
from shared.topics import CUSTOMERS, ENGAGEMENT, MESSAGES
from tests.support.dispatcher_front import Front
from tests.support.dispatching import MIGRATIONS, queries
from tests.support.messages import START
from tests.support.processes import Service
from tests.support.telling import told_of_messages
from tests.support.waiting import eventually

PARTITIONS = 4
OPEN = frozenset({"intended", "claimed", "handed_over"})
_TOPICS = {"MessageRequested": MESSAGES, "CustomerRecorded": CUSTOMERS, "EngagementRecorded": ENGAGEMENT}


class Victim(Protocol):
    """What can be killed and started again."""

    def kill(self) -> None: ...
    def start(self) -> None: ...


class FarEnd(Protocol):
    """A provider's place. `entry` is what `providers.yaml` says of it, but for the name."""

    name: str

    @property
    def entry(self) -> dict[str, Any]: ...

    def taken(self) -> list[str]: ...


class Dispatcher(Service):
    """A dispatcher on a port of its own."""

    def __init__(self, name: str, environment: Mapping[str, str], log: Path) -> None:
        self.port = free_port()
        self.name = name
        self._said_before = 0
        super().__init__("dispatcher", {**environment, "ORDERWAKE_HTTP_PORT": str(self.port)}, log)

    def start(self) -> None:
        """Start it, or start it again."""
        self._said_before = len(self.text) if self.starts else 0
        super().start()

    @property
    def up(self) -> bool:
        """Whether it lives, and has said in this life that it started."""
        return self.alive and '"event": "started"' in self.text[self._said_before :]


@dataclass(frozen=True)
class Terms:
    """How the dispatchers are set. Seconds are the machine's."""

    claim: int = 10
    lease_seconds: float = 3.0
    timeout_seconds: float = 2.0
    session_seconds: float = 2.0
    more: Mapping[str, str] = field(default_factory=dict)


@dataclass
class World:
    """Servers and far ends of the test's own, dispatchers, and the place where providers call back."""

    kafka: EmbeddedKafka
    postgres: EmbeddedPostgres
    folder: Path
    ends: Sequence[FarEnd]
    front: Front
    terms: Terms = Terms()
    hatch: Callable[[str, Mapping[str, str], Path], Dispatcher] = Dispatcher
    dispatchers: list[Dispatcher] = field(default_factory=list)
    last: Counter[tuple[str, str]] = field(default_factory=Counter)

    @property
    def settings(self) -> Settings:
        """Settings for what the test itself does."""
        return Settings(
            kafka_bootstrap_servers=self.kafka.bootstrap,
            database_url=self.postgres.dsn,
            topic_partitions=PARTITIONS,
            business_time=_business_time(),
        )

    @property
    def logs(self) -> str:
        """The ends of what the dispatchers have logged."""
        return "\n\n".join(f"{each.name}\n{each.text[-2500:]}" for each in self.dispatchers)

    async def open(self, number: int) -> None:
        """Make topics and tables, and dispatchers, none of them started. Each has another order of e-mail providers."""
        await apply_topics(self.settings)
        await migrate(self.postgres.dsn, "dispatcher", MIGRATIONS)
        for place in range(number):
            name = f"dispatcher-{place + 1}"
            self.dispatchers.append(self.hatch(name, self.environment(place), self.folder / f"{name}.log"))
        self.front.ports = [each.port for each in self.dispatchers]

    def environment(self, place: int = 0) -> dict[str, str]:
        """What the dispatcher at a place is told, and what `orderwake ledger` needs."""
        terms = self.terms
        return {
            "KAFKA_BOOTSTRAP_SERVERS": self.kafka.bootstrap,
            "DATABASE_URL": self.postgres.dsn,
            "ORDERWAKE_BUSINESS_TIME": _business_time(),
            "ORDERWAKE_CONSUMER_SESSION_SECONDS": str(terms.session_seconds),
            "ORDERWAKE_DISPATCHER_CLAIM": str(terms.claim),
            "ORDERWAKE_DISPATCHER_LEASE_SECONDS": str(terms.lease_seconds),
            "ORDERWAKE_STALE_AFTER_SECONDS": "30",
            "ORDERWAKE_RECONCILE_SECONDS": "0.5",
            "ORDERWAKE_RECONCILE_AFTER_SECONDS": "1",
            "ORDERWAKE_PUBLIC_URL": "https://go.example.com",
            "ORDERWAKE_PROVIDERS_FILE": str(self._providers(place)),
            **terms.more,
        }

    def _providers(self, place: int) -> Path:
        """A file with every provider, in an order of this dispatcher's own."""
        file = self.folder / f"providers-{place}.yaml"
        turned = [*self.ends[place % len(self.ends) :], *self.ends[: place % len(self.ends)]]
        timeout = {"timeout_seconds": self.terms.timeout_seconds}
        file.write_text(
            json.dumps({"providers": [{"name": end.name, **end.entry, **timeout} for end in turned]})
        )
        return file

    async def produce(self, events: Sequence[Event]) -> None:
        """Send events to their topics; they are acknowledged on return."""
        producer = make_producer(self.kafka.bootstrap)
        await producer.start()
        try:
            for event in events:
                topic = _TOPICS[type(event).__name__]
                await producer.send(
                    topic.name, event.encode(), partition_key(event.shopid, event.customerid or "")
                )
        finally:
            await producer.stop()

    def received(self) -> Counter[str]:
        """How often the far ends took each message."""
        return Counter(message for end in self.ends for message in end.taken())

    async def rows(self) -> list[asyncpg.Record]:
        """Every row of the ledger; none while the database is away."""
        with suppress(OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
            connection = await asyncpg.connect(
                self.postgres.dsn, timeout=5, server_settings={"search_path": "dispatcher"}
            )
            try:
                return list(await connection.fetch(queries.states))
            finally:
                await connection.close()
        return []

    async def are_settled(self, messages: Iterable[MessageRequested]) -> bool:
        """Whether each is in the ledger and none is on its way."""
        rows = await self.rows()
        settled = {str(row["message_id"]) for row in rows if row["state"] not in OPEN}
        self.last = Counter((row["state"], row["reason"]) for row in rows)
        return all(str(each.data.message_id) in settled for each in messages)

    async def settled(self, messages: Iterable[MessageRequested], seconds: float) -> None:
        """Wait until each is in the ledger and none is on its way."""
        await eventually(
            partial(self.are_settled, messages), seconds, lambda: f"an end of each\n{self.last}\n{self.logs}"
        )

    async def told(self) -> dict[str, set[str]]:
        """Every kind that `engagement` tells of each message."""
        return await told_of_messages(self.settings)

    async def at_least(self, goal: int, seconds: float) -> None:
        """Wait until so many messages were taken."""
        await eventually(partial(self._has, goal), seconds, lambda: f"{goal} to be taken\n{self.logs}")

    def _has(self, goal: int) -> bool:
        return len(self.received()) >= goal

    def up(self) -> bool:
        """Whether each dispatcher lives and has started."""
        return all(each.up for each in self.dispatchers)

    def close(self) -> None:
        """Kill whoever lives."""
        for each in self.dispatchers:
            each.kill()


def _business_time() -> str:
    # It stands at the end: a Monday's 19:30 UTC, when texts may go wherever in America a number is.
    start, end = START + timedelta(hours=10), START + timedelta(hours=10.5)
    return f"{start.isoformat()}@2026-01-01T00:00:00Zx1..{end.isoformat()}"


@contextmanager
def servers(folder: Path) -> Iterator[tuple[EmbeddedKafka, EmbeddedPostgres]]:
    """A broker and a database under a folder, which another user must be able to enter when tests run as root."""
    with EmbeddedKafka(folder / "kafka") as kafka, EmbeddedPostgres(folder / "postgres") as postgres:
        yield kafka, postgres
