"""A dispatcher on a test's own database, with fakes at the far end, to be driven part by part."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import asyncpg

from services.dispatcher.compose import Composer
from services.dispatcher.delivery import Delivery, load_delivery, surroundings
from services.dispatcher.domain.consent import Standing
from services.dispatcher.flow import Flow
from services.dispatcher.intake import Intake
from services.dispatcher.leases import Leases
from services.dispatcher.ledger import Claimed, Going, Ledger
from services.dispatcher.people import People
from services.dispatcher.providers.base import Provider
from services.dispatcher.sender import MakeParcel, Sender
from shared.clock import Clock, SystemClock
from shared.db import create_pool, load_queries, migrate
from shared.events import (
    ControlSet,
    Engagement,
    EngagementRecorded,
    Event,
    MessageRequested,
)
from shared.ids import partition_key
from shared.kafka.records import Admitted, Record
from shared.settings import Settings
from shared.switches import Switch
from shared.topics import CONTROLS, CUSTOMERS, ENGAGEMENT
from tests.fakes.smtp import FakeSmtp
from tests.fakes.twilio import ACCOUNT, SENDER, TOKEN, FakeTwilio
from tests.support.messages import START, admitted
from tests.support.waiting import eventually

MIGRATIONS = Path(__file__).parents[2] / "services" / "dispatcher" / "migrations"

queries = load_queries(Path(__file__).with_name("dispatching.sql"))


class StandingClock(SystemClock):
    """Machine time runs; business time stands where a test puts it."""

    def __init__(self) -> None:
        self.now = START

    def business(self) -> datetime:
        """Return the time it was put to."""
        return self.now


@dataclass
class Worker:
    """One dispatcher's parts over a shared database."""

    ledger: Ledger
    sender: Sender
    flow: Flow
    leases: Leases


@dataclass
class Bench:
    """A database, fakes, and workers on them. `switches` are the pauses in force."""

    pool: asyncpg.Pool
    settings: Settings
    clock: Clock
    smtp: FakeSmtp
    twilio: FakeTwilio
    delivery: Delivery
    providers: dict[str, Provider]
    switches: list[Switch] = field(default_factory=list)

    def worker(self, make_parcel: MakeParcel | None = None) -> Worker:
        """A further worker, not running."""
        ledger = Ledger(uuid4(), self.clock, self.settings.dispatcher_lease_seconds, self.people)
        flow = Flow(self.delivery, self.providers, self.pool, self.clock)
        sender = Sender(
            pool=self.pool,
            ledger=ledger,
            clock=self.clock,
            settings=self.settings,
            flow=flow,
            make_parcel=make_parcel or Composer(self.settings, self.clock).parcel,
            switches=lambda: self.switches,
            told=lambda: None,
        )
        return Worker(
            ledger, sender, flow, Leases(self.pool, ledger, self.settings, sender.holding, sender.wake)
        )

    @property
    def people(self) -> People:
        """What the workers know of people."""
        return People.of(self.settings, self.clock)

    async def take(self, *events: Event) -> None:
        """Read events as one batch."""
        await self._read([admitted(event) for event in events])

    async def erase(self, number: int) -> None:
        """Read a tombstone of customer `c<number>`."""
        key = partition_key("skincare", f"c{number}")
        await self._read([Admitted(Record(CUSTOMERS.name, 0, 0, key, None), None)])

    async def _read(self, batch: Sequence[Admitted]) -> None:
        intake = Intake(Ledger(uuid4(), self.clock, 30, self.people), self.clock, lambda: None)
        async with self.pool.acquire() as connection, connection.transaction():
            await intake.handle(connection, batch)

    async def place(
        self,
        observed_at: datetime,
        behind_since: datetime | None = None,
        topics: Sequence[str] = (CUSTOMERS.name, ENGAGEMENT.name),
        partitions: Sequence[int] = (0, 1),
    ) -> None:
        """Say how far topics are read, as at a machine time."""
        rows = [(topic, partition, observed_at, behind_since) for topic in topics for partition in partitions]
        await self.pool.executemany(queries.place, rows)

    async def forget_positions(self) -> None:
        """Stand where nothing was ever read."""
        await self.pool.execute(queries.forget_positions)

    async def states(self) -> dict[UUID, asyncpg.Record]:
        """Every row of the ledger by message id."""
        return {row["message_id"]: row for row in await self.pool.fetch(queries.states)}

    async def state(self, event: MessageRequested) -> str:
        """The state of one message."""
        return str((await self.states())[event.data.message_id]["state"])

    async def reason(self, event: MessageRequested) -> str | None:
        """Why one message is where it is."""
        reason = (await self.states())[event.data.message_id]["reason"]
        return None if reason is None else str(reason)

    async def told(self) -> list[Engagement]:
        """What the outbox would publish, in order."""
        rows = await self.pool.fetch(queries.told)
        return [EngagementRecorded.model_validate_json(row["value"]).data for row in rows]

    async def thrown(self) -> list[ControlSet]:
        """The controls that the outbox would publish, in order."""
        rows = await self.pool.fetch(queries.thrown, CONTROLS.name)
        return [ControlSet.model_validate_json(row["value"]) for row in rows]

    async def settled(self, *events: MessageRequested) -> Counter[str]:
        """Wait until these are no longer on their way; returns how many came to which state."""

        async def done() -> list[str]:
            rows = await self.states()
            found = [str(rows[event.data.message_id]["state"]) for event in events]
            return [] if {"intended", "claimed", "handed_over"} & set(found) else found

        return Counter(await eventually(done, what="every message to be settled"))

    def mailed(self) -> list[str]:
        """Ids of the e-mails that the server kept, in order."""
        return [entry["message_id"] for entry in self.smtp.received()]


def going(claimed: Sequence[Claimed], provider: str = "smtp") -> list[Going]:
    """Claimed messages that passed every check."""
    return [Going(one, provider, Standing(known=True)) for one in claimed]


@asynccontextmanager
async def bench(
    database_url: str,
    folder: Path,
    clock: Clock,
    **changes: Any,  # noqa: ANN401  any setting
) -> AsyncIterator[Bench]:
    """Everything but Kafka, whose news is known for a day ahead, until a test says otherwise."""
    async with AsyncExitStack() as stack:
        smtp, twilio = FakeSmtp(folder / "smtp"), FakeTwilio(folder / "twilio")
        await smtp.start()
        stack.push_async_callback(smtp.stop)
        await twilio.start()
        stack.push_async_callback(twilio.stop)
        settings = settings_for(database_url, smtp, twilio, **changes)
        await migrate(database_url, "dispatcher", MIGRATIONS)
        pool = await create_pool(settings, "dispatcher")
        stack.push_async_callback(pool.close)
        delivery = load_delivery(settings)
        providers = delivery.make(surroundings(settings))
        for provider in providers.values():
            await provider.start()
            stack.push_async_callback(provider.close)
        made = Bench(pool, settings, clock, smtp, twilio, delivery, providers)
        await made.place(clock.machine() + timedelta(days=1))
        yield made


def provider_of(settings: Settings, name: str) -> Provider:
    """The provider of that name, as settings or file have it; not started."""
    return load_delivery(settings).make(surroundings(settings))[name]


def settings_for(database_url: str, smtp: FakeSmtp, twilio: FakeTwilio, **changes: Any) -> Settings:  # noqa: ANN401  any setting
    """Settings that point at the fakes."""
    values: dict[str, Any] = {
        "database_url": database_url,
        "smtp_port": smtp.port,
        "twilio_url": f"http://127.0.0.1:{twilio.port}",
        "twilio_account_sid": ACCOUNT,
        "twilio_auth_token": TOKEN,
        "twilio_from": SENDER,
        "public_url": "https://go.example.com",
        "provider_timeout_seconds": 2.0,
    }
    return Settings(**(values | changes))


@asynccontextmanager
async def running(workers: Sequence[Worker]) -> AsyncIterator[None]:
    """Run the workers' sending loops, and drain them at the end."""
    stopping = asyncio.Event()
    tasks = [asyncio.create_task(worker.sender.run(stopping)) for worker in workers]
    try:
        yield
    finally:
        stopping.set()
        for worker in workers:
            worker.sender.wake()
        await asyncio.gather(*tasks)
