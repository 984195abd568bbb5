"""Two dispatchers, PostgreSQL and the broker are killed while the far end refuses, stalls and drops.

At the end each message was received exactly once, or is listed as unknown and was received once or not at all.
"""

import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Protocol

import asyncpg
import pytest

from services.dispatcher.commands import list_unknown
from shared.db import migrate
from shared.embedded import EmbeddedKafka, EmbeddedPostgres
from shared.events import Channel, Event, MessageRequested
from shared.ids import partition_key
from shared.kafka.admin import apply_topics
from shared.kafka.producer import make_producer
from shared.settings import Settings
from shared.topics import CUSTOMERS, MESSAGES
from tests.support.dispatching import MIGRATIONS, queries
from tests.support.fakes import FakeProcess
from tests.support.messages import START, customer, message
from tests.support.processes import Service
from tests.support.telling import told_of_messages
from tests.support.waiting import eventually

MAILS, TEXTS, CUSTOMERS_OF_BOTH, WITHOUT_CONSENT = 600, 200, 200, 10
CLAIM = 10
SMTP_FAULTS = {
    "4xx": 0.03,
    "data_4xx": 0.02,
    "5xx": 0.01,
    "drop_before": 0.01,
    "drop_lost": 0.005,
    "drop_taken": 0.005,
}
TWILIO_FAULTS = {"429": 0.03, "500": 0.01, "drop_after": 0.01, "21211": 0.01}
NOON = START + timedelta(hours=10.5)
"""When texts may go wherever in America a number is."""
OPEN = {"intended", "claimed", "handed_over"}


class Victim(Protocol):
    """What can be killed and started again."""

    def kill(self) -> None: ...
    def start(self) -> None: ...


@dataclass
class World:
    """Servers and fakes of the test's own."""

    kafka: EmbeddedKafka
    postgres: EmbeddedPostgres
    smtp: FakeProcess
    twilio: FakeProcess
    folder: Path

    @property
    def settings(self) -> Settings:
        """Settings for what the test itself does."""
        return Settings(
            kafka_bootstrap_servers=self.kafka.bootstrap, database_url=self.postgres.dsn, topic_partitions=4
        )

    def dispatcher(self, name: str) -> Service:
        """Return a dispatcher process, not yet started."""
        environment = {
            "KAFKA_BOOTSTRAP_SERVERS": self.kafka.bootstrap,
            "DATABASE_URL": self.postgres.dsn,
            "ORDERWAKE_BUSINESS_TIME": f"{NOON.isoformat()}@2026-01-01T00:00:00Zx1..{NOON.isoformat()}",
            "ORDERWAKE_CONSUMER_SESSION_SECONDS": "2",
            "ORDERWAKE_DISPATCHER_CLAIM": str(CLAIM),
            "ORDERWAKE_DISPATCHER_LEASE_SECONDS": "3",
            "ORDERWAKE_PROVIDER_TIMEOUT_SECONDS": "2",
            "ORDERWAKE_PUBLIC_URL": "https://go.example.com",
            "ORDERWAKE_SMTP_PORT": str(self.smtp.said["port"]),
            "ORDERWAKE_TWILIO_URL": f"http://127.0.0.1:{self.twilio.said['port']}",
            "ORDERWAKE_TWILIO_ACCOUNT_SID": self.twilio.said["account"],
            "ORDERWAKE_TWILIO_AUTH_TOKEN": self.twilio.said["token"],
            "ORDERWAKE_TWILIO_FROM": self.twilio.said["sender"],
        }
        return Service("dispatcher", environment, self.folder / f"{name}.log")

    def received(self) -> Counter[str]:
        """How often the far end took each message."""
        mails = [entry["message_id"] for entry in self.smtp.received()]
        return Counter([*mails, *(entry["k"] for entry in self.twilio.received())])

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


@pytest.fixture
def world() -> Iterator[World]:
    # Not pytest's own folder: that is closed to the user that PostgreSQL runs as when tests run as root.
    folder = Path(tempfile.mkdtemp(prefix="orderwake-crash-"))
    with ExitStack() as stack:
        kafka = stack.enter_context(EmbeddedKafka(folder / "kafka"))
        postgres = stack.enter_context(EmbeddedPostgres(folder / "postgres"))
        smtp = stack.enter_context(FakeProcess("smtp", folder / "smtp", SMTP_FAULTS, seed=1))
        twilio = stack.enter_context(FakeProcess("twilio", folder / "twilio", TWILIO_FAULTS, seed=2))
        yield World(kafka, postgres, smtp, twilio, folder)
    shutil.rmtree(folder, ignore_errors=True)


def _everything() -> tuple[list[Event], list[MessageRequested]]:
    """Customers, some of whom withdrew their consent, and messages to them."""
    people: list[Event] = [
        customer(number, granted=number >= WITHOUT_CONSENT) for number in range(CUSTOMERS_OF_BOTH)
    ]
    mails = [message(number % CUSTOMERS_OF_BOTH) for number in range(MAILS)]
    texts = [message(number % CUSTOMERS_OF_BOTH, Channel.SMS) for number in range(TEXTS)]
    return people, mails + texts


async def _produce(world: World, topic: str, events: Sequence[Event]) -> None:
    producer = make_producer(world.kafka.bootstrap)
    await producer.start()
    try:
        for event in events:
            await producer.send(topic, event.encode(), partition_key(event.shopid, event.customerid or ""))
        await producer.flush()
    finally:
        await producer.stop()


async def _kill_in_turn(world: World, victims: Mapping[int, Victim]) -> None:
    """Kill and start each victim when as many messages as its key says have been received."""
    for goal, victim in victims.items():
        await eventually(partial(_at_least, world, goal), 60, f"{goal} messages to be received")
        victim.kill()
        victim.start()


def _at_least(world: World, goal: int) -> bool:
    return len(world.received()) >= goal


def _up(*workers: Service) -> bool:
    """Whether each has said that it started as often as it was started."""
    return all(worker.text.count('"event": "started"') == worker.starts for worker in workers)


async def test_no_message_is_lost_or_doubled_whatever_is_killed(world: World) -> None:
    await apply_topics(world.settings)
    await migrate(world.postgres.dsn, "dispatcher", MIGRATIONS)
    people, messages = _everything()
    half, tenth = len(messages) // 2, len(messages) // 10
    await _produce(world, CUSTOMERS.name, people)
    with world.dispatcher("first") as first, world.dispatcher("second") as second:
        await _produce(world, MESSAGES.name, messages[:half])
        await _kill_in_turn(
            world, {tenth: first, 2 * tenth: second, 3 * tenth: world.postgres, 4 * tenth: world.kafka}
        )
        await _produce(world, MESSAGES.name, messages[half // 2 :])  # some of them again, as a relay may
        await _kill_in_turn(world, {6 * tenth: first, 7 * tenth: second, 8 * tenth: first})
        await eventually(lambda: _up(first, second), 60, "both to be up again")

        async def settled() -> bool:
            rows = await world.rows()
            return len(rows) == len(messages) and not any(row["state"] in OPEN for row in rows)

        await eventually(settled, 60, what=lambda: first.text[-2000:] + second.text[-2000:])
        assert first.alive
        assert second.alive
        assert (first.stop(), second.stop()) == (0, 0)

    received = world.received()
    states = {str(row["message_id"]): str(row["state"]) for row in await world.rows()}
    table = Counter((state, received[message_id]) for message_id, state in states.items())
    sys.stdout.write("state      received  messages\n")
    for (state, times), count in sorted(table.items()):
        sys.stdout.write(f"{state:10} {times:8} {count:9}\n")
    assert set(states) == {str(event.data.message_id) for event in messages}
    assert set(table) <= {("accepted", 1), ("rejected", 0), ("withheld", 0), ("unknown", 0), ("unknown", 1)}
    assert set(received) <= set(states)
    unknown = await list_unknown(world.settings)
    deaths = first.starts + second.starts - 2
    assert sum(row["reason"] == "lease_ran_out" for row in unknown) <= deaths * CLAIM
    assert {row["message_id"] for row in unknown} == {
        message_id for message_id, state in states.items() if state == "unknown"
    }
    told = await told_of_messages(world.settings)
    assert {
        message_id for message_id in states if states[message_id] not in told.get(message_id, ())
    } == set()
    assert "example.com" not in (first.text + second.text)
