"""A dispatcher on a test's own database, with fakes at the far end, to be driven part by part."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import asyncpg

from services.dispatcher.compose import Composer
from services.dispatcher.domain.policy import Switch
from services.dispatcher.intake import Intake
from services.dispatcher.leases import Leases
from services.dispatcher.ledger import Ledger
from services.dispatcher.providers.base import Provider
from services.dispatcher.providers.smtp import SmtpProvider
from services.dispatcher.providers.twilio import TwilioProvider
from services.dispatcher.sender import Sender
from shared.clock import Clock, SystemClock
from shared.db import create_pool, load_queries, migrate
from shared.events import (
    Channel,
    Consent,
    Customer,
    CustomerRecorded,
    Engagement,
    EngagementKind,
    EngagementRecorded,
    Event,
    Message,
    MessageRequested,
)
from shared.ids import partition_key
from shared.kafka.records import Admitted, Record
from shared.settings import Settings
from shared.topics import CUSTOMERS, ENGAGEMENT, MESSAGES
from tests.fakes.smtp import FakeSmtp
from tests.fakes.twilio import ACCOUNT, SENDER, TOKEN, FakeTwilio

START = datetime(2026, 3, 2, 9, tzinfo=UTC)
MIGRATIONS = Path(__file__).parents[2] / "services" / "dispatcher" / "migrations"

queries = load_queries(Path(__file__).with_name("dispatching.sql"))

CONTEXT: dict[str, Any] = {
    "first_name": "Ana",
    "shop_name": "Dewy & Co",
    "order_id": "sk-1001",
    "purchase": ["Gentle Oat Cleanser"],
    "products": [
        {
            "product_id": "sk-toner",
            "name": "Rose Water Toner",
            "price": "24.00",
            "currency": "USD",
            "url": "https://dewy.example.com/p/rose-water-toner",
            "image_url": None,
            "why": "Restores the balance after cleansing.",
        }
    ],
    "incentive": {
        "kind": "percent",
        "value": "10",
        "currency": None,
        "code": "ROUTINE10",
        "text": "10% off",
        "expires_text": "Thursday 5 March, 11:59 pm",
    },
    "answers": [],
    "guide": None,
}


def message(number: int, channel: Channel = Channel.EMAIL, **changes: Any) -> MessageRequested:  # noqa: ANN401  any field
    """One message to customer `c<number>`, valid for a day from START."""
    email = channel is Channel.EMAIL
    fields: dict[str, Any] = {
        "message_id": uuid4(),
        "decision_id": uuid4(),
        "channel": channel,
        "recipient": f"someone{number}@example.com" if email else f"+155501{number:05d}",
        "journey": "skincare",
        "step": "pair",
        "template": "skincare/complete-your-routine" if email else "skincare/expires-tonight",
        "locale": "en-US",
        "context": CONTEXT,
        "created_at": START,
        "valid_until": START + timedelta(days=1),
    }
    return MessageRequested(
        id=str(uuid4()),
        source="/tests",
        time=START,
        shopid="skincare",
        customerid=f"c{number}",
        data=Message(**(fields | changes)),
    )


def customer(
    number: int, version: int = 1, *, granted: bool = True, at: datetime = START
) -> CustomerRecorded:
    """The whole state of customer `c<number>`, with the same consent on both channels."""
    consent = {channel: Consent(granted=granted, changed_at=at) for channel in Channel}
    return CustomerRecorded(
        id=str(uuid4()),
        source="/tests",
        time=at,
        shopid="skincare",
        customerid=f"c{number}",
        data=Customer(version=version, consent=consent),
    )


def engagement(
    number: int, kind: EngagementKind, at: datetime, message_id: UUID | None = None
) -> EngagementRecorded:
    """Something that customer `c<number>` did about e-mail."""
    return EngagementRecorded(
        id=str(uuid4()),
        source="/tests",
        time=at,
        shopid="skincare",
        customerid=f"c{number}",
        data=Engagement(
            kind=kind,
            channel=Channel.EMAIL,
            occurred_at=at,
            message_id=str(message_id) if message_id else None,
        ),
    )


def admitted(event: Event) -> Admitted:
    """The event as a record that passed the guard."""
    topics = {MessageRequested: MESSAGES, CustomerRecorded: CUSTOMERS, EngagementRecorded: ENGAGEMENT}
    key = partition_key(event.shopid, str(event.customerid))
    return Admitted(Record(topics[type(event)].name, 0, 0, key, event.encode()), event)


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
    leases: Leases


@dataclass
class Bench:
    """A database, fakes, and workers on them. `switches` are the pauses in force."""

    pool: asyncpg.Pool
    settings: Settings
    clock: Clock
    smtp: FakeSmtp
    twilio: FakeTwilio
    providers: dict[Channel, Provider]
    switches: list[Switch] = field(default_factory=list)

    def worker(self) -> Worker:
        """A further worker, not running."""
        ledger = Ledger(uuid4(), self.clock, self.settings.dispatcher_lease_seconds)
        sender = Sender(
            pool=self.pool,
            ledger=ledger,
            clock=self.clock,
            settings=self.settings,
            providers=self.providers,
            make_parcel=Composer(self.settings, self.clock).parcel,
            switches=lambda: self.switches,
            told=lambda: None,
        )
        return Worker(ledger, sender, Leases(self.pool, ledger, self.settings, sender.holding, sender.wake))

    async def take(self, *events: Event) -> None:
        """Read events as one batch."""
        intake = Intake(Ledger(uuid4(), self.clock, 30), self.clock, lambda: None)
        async with self.pool.acquire() as connection, connection.transaction():
            await intake.handle(connection, [admitted(event) for event in events])

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

    def mailed(self) -> list[str]:
        """Ids of the e-mails that the server kept, in order."""
        return [entry["message_id"] for entry in self.smtp.received()]


@asynccontextmanager
async def bench(
    database_url: str,
    folder: Path,
    clock: Clock,
    **changes: Any,  # noqa: ANN401  any setting
) -> AsyncIterator[Bench]:
    """Everything but Kafka."""
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
        providers: list[Provider] = [SmtpProvider(settings), TwilioProvider(settings)]
        for provider in providers:
            await provider.start()
            stack.push_async_callback(provider.close)
        by_channel = {provider.channel: provider for provider in providers}
        yield Bench(pool, settings, clock, smtp, twilio, by_channel)


def settings_for(database_url: str, smtp: FakeSmtp, twilio: FakeTwilio, **changes: Any) -> Settings:  # noqa: ANN401  any setting
    """Settings that point at the fakes."""
    values: dict[str, Any] = {
        "database_url": database_url,
        "smtp_port": smtp.port,
        "twilio_url": f"http://127.0.0.1:{twilio.port}",
        "twilio_account_sid": ACCOUNT,
        "twilio_auth_token": TOKEN,
        "twilio_from": SENDER,
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
