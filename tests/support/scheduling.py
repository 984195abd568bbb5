"""The scheduler's parts in the test's own process, with business time that the test moves."""

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import uuid4

import asyncpg
import orjson
from aiokafka.partitioner import murmur2

from services.scheduler import store
from services.scheduler.deciding import Decider
from services.scheduler.domain import CustomerState, Journey, Programme, Published
from services.scheduler.guarding.guards import Counting
from services.scheduler.intake import TOPICS, Intake
from services.scheduler.poller import Poller
from services.scheduler.publish import Publisher
from services.scheduler.views import Views
from shared import events, ids
from shared.clock import SystemClock
from shared.db import create_pool, migrate
from shared.db.queries import load_queries
from shared.events import Channel, Event
from shared.kafka.records import Admitted, Record
from shared.law import ContactHours
from shared.settings import Settings
from shared.topics import ALL, CATALOG, COMPLEMENTS, Topic
from tests.support.samples import START

PARTITIONS = 6
MIGRATIONS = Path(store.__file__).with_name("migrations")
TOPIC_OF = {kind: topic for topic in ALL if not topic.name.startswith("inbound.") for kind in topic.types}
queries = load_queries(Path(__file__).with_name("scheduling.sql"))


class MovedClock(SystemClock):
    """Business time stands where the test put it; machine time is the machine's."""

    def __init__(self, now: datetime = START) -> None:
        self.now = now

    def business(self) -> datetime:
        """Return the time it was set to."""
        return self.now


def journey_text(shop: str, **changes: object) -> dict[str, Any]:
    """E-mails 45 minutes and 4 hours after the order, a text a day after delivery; nobody is held out."""
    text: dict[str, Any] = {
        "id": f"{shop}-routine",
        "shop": shop,
        "shop_name": "A Shop",
        "time_zone": "UTC",
        "steps": [
            step("pair", "email", "order", "45m", offer={"from": ["complements"]}),
            step("second", "email", "order", "4h", offer={"from": ["complements"]}, priority=60),
            step("check", "sms", "delivery", "1d", asks=["happy", "unhappy"]),
        ],
        "caps": [{"count": 2, "per": "7d"}],
        "holdout": {"share": 0},
    }
    return text | changes


def journey(shop: str, **changes: object) -> Journey:
    """Return the journey of that text."""
    return Journey.model_validate(journey_text(shop, **changes))


def step(name: str, channel: str, after: str, delay: str, **more: object) -> dict[str, Any]:
    """Return the text of a step."""
    text = {"id": name, "channel": channel, "template": f"routine/{name}", "after": after, "delay": delay}
    return text | more


def envelope(shop: str, customer: str | None, at: datetime) -> dict[str, Any]:
    """Return the attributes that every event needs."""
    return {"id": str(uuid4()), "source": "/tests", "time": at, "shopid": shop, "customerid": customer}


def profile(
    shop: str,
    customer: str,
    *,
    version: int = 1,
    at: datetime = START - timedelta(days=30),
    consent: bool = True,
) -> events.CustomerRecorded:
    """Someone who may be reached on both channels, or on neither."""
    given = events.Consent(granted=consent, changed_at=at, source="checkout")
    data = events.Customer(
        version=version, email=f"{customer}@example.com", phone="+12025550142", first_name="Ada",
        time_zone="UTC", country="US", region="NY", consent={Channel.EMAIL: given, Channel.SMS: given},
    )  # fmt: skip
    return events.CustomerRecorded(**envelope(shop, customer, at), data=data)


def delivered(
    shop: str, customer: str, order_id: str, at: datetime = START + timedelta(days=2)
) -> events.ShipmentRecorded:
    """Confirm the delivery of an order."""
    data = events.Shipment(
        shipment_id=f"s-{order_id}", order_id=order_id, status=events.ShipmentStatus.DELIVERED, occurred_at=at
    )
    return events.ShipmentRecorded(**envelope(shop, customer, at), data=data)


def admitted(event: Event, offset: int = 0) -> Admitted:
    """Return an event as it would come from its topic."""
    key = ids.partition_key(event.shopid, event.customerid or event.data.product_id)
    topic = TOPIC_OF[type(event)].name
    return Admitted(Record(topic, partition_of(key), offset, key, event.encode()), event)


def tombstone(topic: Topic, shop: str, subject: str) -> Admitted:
    """Return the record that erases a key of a compacted topic."""
    key = ids.partition_key(shop, subject)
    return Admitted(Record(topic.name, partition_of(key), 0, key, None), None)


def partition_of(key: bytes) -> int:
    """Return the partition of a key, as every producer of ours chooses it."""
    return (int(murmur2(key)) & 0x7FFFFFFF) % PARTITIONS


def shelf(shop: str, bought: str = "cleanser", goes_with: Sequence[str] = ("toner", "serum")) -> Views:
    """Views of a shop that sells these products, with evidence that the others go with the one bought."""
    views = Views()
    for each in (bought, *goes_with):
        product = events.Product(
            product_id=each, updated_at=START, name=each.title(), category="skin", price=Decimal(5),
            currency="USD",
        )  # fmt: skip
        record = Record(CATALOG.name, 0, 0, ids.partition_key(shop, each), b"")
        views.take(record, events.ProductRecorded(**envelope(shop, None, START), data=product))
    candidates = tuple(
        events.Candidate(product_id=each, score=1 / (place + 2), support=200, relation="pair", reliable=True)
        for place, each in enumerate(goes_with)
    )
    found = events.Complements(product_id=bought, version=7, candidates=candidates)
    record = Record(COMPLEMENTS.name, 0, 0, ids.partition_key(shop, bought), b"")
    views.take(record, events.ComplementsUpdated(**envelope(shop, None, START), data=found))
    return views


@dataclass
class Bench:
    """A scheduler without Kafka: events go in by hand, decisions are read from the outbox."""

    pool: asyncpg.Pool
    settings: Settings
    journeys: Mapping[str, Journey]
    views: Views
    clock: MovedClock = field(default_factory=MovedClock)
    programmes: Sequence[Programme] = ()

    def poller(self) -> Poller:
        """Return a new poller, as a further process would have one."""
        decider = Decider(Published(), self.views, ContactHours.load())
        return Poller(self.pool, decider, self.settings, self.clock)

    def publisher(self) -> Publisher:
        """Return a new publisher, as a process that starts would have one."""
        folder = Published.of(self.journeys.values(), self.programmes)
        return Publisher(self.pool, folder, self.clock, self.views)

    async def publish(self) -> None:
        """Start as a process would: put the journeys in force and derive all customers anew."""
        publisher = self.publisher()
        while not publisher.published.is_set():
            await publisher.run_once()

    async def feed(self, *news: Event | Admitted) -> None:
        """Let the intake have a batch."""
        batch = [each if isinstance(each, Admitted) else admitted(each) for each in news]
        async with self.pool.acquire() as connection, connection.transaction():
            counting = Counting(self.views.switches)
            await Intake(self.clock, outlook=self.views, counting=counting).handle(connection, batch)

    async def fresh(
        self, partitions: Iterable[int] = range(PARTITIONS), *, ago: timedelta = timedelta()
    ) -> None:
        """Say that every subscribed topic was read to its end in these partitions, so long ago."""
        seen_at = self.clock.machine() - ago
        rows = [(topic.name, partition, seen_at) for topic in TOPICS for partition in partitions]
        await self.pool.executemany(queries.set_position, rows)

    async def forget(self, topic: str) -> None:
        """Forget that a topic was ever read."""
        await self.pool.execute(queries.forget_topic, topic)

    async def behind(self, topic: str, span: timedelta) -> None:
        """Say that a topic has been behind its end for a while."""
        await self.pool.execute(queries.set_behind, topic, self.clock.machine() - span)

    async def poll(self, now: datetime | None = None) -> int:
        """Decide everything due by `now`; returns how many customers were claimed."""
        claimed = 0
        while found := await self.poller().run_once(now or self.clock.now):
            claimed += found
        return claimed

    async def published(self, topic: Topic) -> list[dict[str, Any]]:
        """Return the data of the events that wait in the outbox for a topic, in order."""
        rows = await self.pool.fetch(queries.outbox_of, topic.name)
        return [orjson.loads(row["value"])["data"] for row in rows]

    async def state(self, shop: str, customer: str = "c-1") -> CustomerState:
        """Return a customer's stored facts."""
        stored = await self.pool.fetchval(queries.state, shop, customer)
        return CustomerState.load(store.unpack(stored))

    async def steps(self) -> list[dict[str, Any]]:
        """Return the stored due steps, by the time of their next decision."""
        return [dict(row) for row in await self.pool.fetch(queries.steps)]


@asynccontextmanager
async def bench(database_url: str, journeys: Iterable[Journey], views: Views) -> AsyncIterator[Bench]:
    """Yield a bench on an empty database, with every partition fresh."""
    await migrate(database_url, "scheduler", MIGRATIONS)
    settings = Settings(
        database_url=database_url, scheduler_claim=50, stale_after_seconds=60, catch_up_per_second=0
    )
    pool = await create_pool(settings, "scheduler")
    ready = Bench(pool, settings, {each.id: each for each in journeys}, views)
    await ready.fresh()
    await ready.publish()
    yield ready
    await pool.close()
