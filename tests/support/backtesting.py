"""A small shop's past as files, and the same past lived by the scheduler's own deciding, record by record."""

import json
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

import orjson

from demo.generate import seeded
from services.scheduler import intake
from services.scheduler.deciding import Decider
from services.scheduler.domain import CustomerState, apply
from services.scheduler.journeys import load_folder
from services.scheduler.store import Locked
from services.scheduler.views import TOPICS, Views
from shared import events
from shared.events import Channel, EngagementKind, Event
from shared.ids import partition_key
from shared.kafka.records import Record
from shared.topics import ALL, DECISIONS
from tests.support.deciding import (
    MONDAY_NOON,
    SHELF,
    SHOP,
    candidates,
    delivered,
    engagement,
    envelope,
    journey,
    law,
    order,
    product,
    profile,
    sent_back,
    step,
)

DAYS = 42
_HOUR = timedelta(hours=1)
_TOPIC_OF = {kind: topic for topic in ALL if not topic.name.startswith("inbound.") for kind in topic.types}


def of(customer: str, event: Event) -> Event:
    """Return an event as another customer's."""
    return event.model_copy(update={"customerid": customer, "id": f"{customer}/{event.id}"})


def reference() -> list[Event]:
    """Return the shelf and what goes with what, told before anything happened."""
    early = MONDAY_NOON - timedelta(days=60)
    return [
        *(
            events.ProductRecorded(
                **(envelope(early, "product", each) | {"customerid": None}), data=product(each)
            )
            for each in SHELF
        ),
        *(complements(each, early) for each in SHELF),
    ]


def complements(bought: str, at: datetime, *goes_with: str, version: int = 3) -> events.ComplementsUpdated:
    """Return the news of what goes with a product: by default all others."""
    found = events.Complements(
        product_id=bought,
        version=version,
        candidates=candidates(*(goes_with or (each for each in SHELF if each != bought))),
    )
    fields = envelope(at, "complements", bought, version) | {"customerid": None}
    return events.ComplementsUpdated(**fields, data=found)


def past(customers: int = 12, seed: int = 7) -> list[Event]:
    """Return six weeks of some customers, in order of time: orders, what follows them, answers and opt-outs."""
    told = [each for number in range(customers) for each in _person(f"c-{number}", seeded(seed, number))]
    return sorted([*reference(), *told], key=lambda each: (each.time, each.id))


def _person(customer: str, random: Random) -> Iterator[Event]:
    zone = random.choice(["America/New_York", "America/Los_Angeles", "Pacific/Honolulu"])
    yield of(customer, profile(time_zone=zone, staff=random.random() < 0.1))
    for number in range(random.randint(1, 4)):
        at = MONDAY_NOON + timedelta(minutes=random.randrange(DAYS * 24 * 60))
        order_id, basket = f"{customer}-o-{number}", random.sample(sorted(SHELF), random.randint(1, 3))
        yield of(customer, order(order_id, basket, at))
        if random.random() < 0.15:
            off = order(order_id, basket, at, version=2, status="cancelled", status_at=at + 2 * _HOUR)
            yield of(customer, off.model_copy(update={"time": at + 2 * _HOUR}))
        there = at + timedelta(days=random.uniform(1, 5))
        yield of(customer, delivered(order_id, there, f"s-{order_id}"))
        if random.random() < 0.3:
            yield of(
                customer, sent_back(order_id, basket[:1], there + timedelta(days=random.uniform(0.5, 6)))
            )
    reacted = MONDAY_NOON + timedelta(days=random.uniform(3, DAYS))
    if random.random() < 0.3:
        yield of(customer, engagement(EngagementKind.ANSWERED, reacted, answer="unhappy"))
    if random.random() < 0.3:
        yield of(customer, engagement(EngagementKind.UNSUBSCRIBED, reacted, channel=Channel.SMS))


def text(**changes: Any) -> dict[str, Any]:  # noqa: ANN401  any field
    """Return a journey with e-mails, a text, a question with what follows an answer, caps and a cool-down."""
    steps = (
        step("pair", delay="45m"),
        step(
            "text",
            channel="sms",
            delay="4h",
            offer={"from": ["complements"], "count": 1, "max_price_share": None},
        ),
        step("check", after="delivery", delay="1d", offer=None, asks=["happy", "unhappy"]),
        step("sequel", after={"step": "check"}, delay="2d", offer=None),
        step("weekly", after="delivery", delay="3d", repeat={"every": "7d", "times": 3}),
    )
    fields: dict[str, Any] = {
        "caps": [{"count": 2, "per": "7d", "action": "drop"}, {"count": 1, "per": "1d", "action": "defer"}],
        "cool_down": {"span": "2d", "action": "defer"},
        "holdout": {"share": 0.2},
    }
    written = journey(*(each for each in steps), **(fields | changes)).model_dump(
        mode="json", exclude_defaults=True
    )
    return {**written, "steps": [_written(each) for each in written["steps"]]}


def _written(each: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in each.items() if value is not None}


def folder(path: Path, **changes: Any) -> Path:  # noqa: ANN401  any field
    """Write that journey, changed, into a new folder, and return the folder."""
    path.mkdir()
    (path / "routine.yaml").write_text(json.dumps(text(**changes)))
    return path


def write(path: Path, told: Iterable[Event]) -> Path:
    """Write events, one a line."""
    path.write_bytes(b"".join(each.encode() + b"\n" for each in told))
    return path


class Recorder:
    """Lives a past as the scheduler does: hour by hour, a partition per topic, and what it decides kept with offsets."""

    def __init__(self, journeys: Path, told: Iterable[Event]) -> None:
        self.records: list[dict[str, Any]] = []
        self._ends = dict.fromkeys((topic.name for topic in (*TOPICS, *intake.TOPICS, DECISIONS)), 0)
        self._states: dict[str, CustomerState] = {}
        self._views = Views()
        self._decider = Decider(load_folder(journeys), self._views, law())
        self._told = sorted(told, key=lambda each: each.time)

    def live(self) -> list[dict[str, Any]]:
        """Return every record of every topic, decisions among them, in the order in which they came."""
        now, ends = MONDAY_NOON - timedelta(days=61), MONDAY_NOON + timedelta(days=DAYS + 14)
        waiting = list(reversed(self._told))
        while now < ends:
            now += _HOUR if now >= MONDAY_NOON else timedelta(days=1)
            while waiting and waiting[-1].time <= now:
                self._take(waiting.pop())
            for customer in sorted(self._states):
                self._settle(customer, now + timedelta(minutes=17, seconds=30))
        return self.records

    def _take(self, event: Event) -> None:
        topic = _TOPIC_OF[type(event)]
        key = partition_key(event.shopid, event.customerid or event.data.product_id)
        self._append(topic.name, key, event.encode())
        if event.customerid is None:
            self._views.take(Record(topic.name, 0, 0, key, b""), event)
        else:
            known = self._states.get(event.customerid, CustomerState(shop=SHOP, customer_id=event.customerid))
            self._states[event.customerid] = apply(known, event)

    def _settle(self, customer: str, now: datetime) -> None:
        row = Locked(SHOP, customer, 0, self._states[customer].dump())
        positions = {f"{topic.name}-0": self._ends[topic.name] for topic in intake.TOPICS}
        settled = self._decider.settle(row, now, positions, ())
        self._states[customer] = settled.state
        for each in settled.outgoing:
            if each.topic == DECISIONS.name:
                self._append(each.topic, each.key, each.value)

    def _append(self, topic: str, key: bytes, value: bytes) -> None:
        offset, self._ends[topic] = self._ends[topic], self._ends[topic] + 1
        found = {
            "topic": topic,
            "partition": 0,
            "offset": offset,
            "key": key.decode(),
            "value": orjson.loads(value),
        }
        self.records.append(found)


def write_records(path: Path, records: Iterable[dict[str, Any]]) -> Path:
    """Write whole records, one a line."""
    path.write_bytes(b"".join(orjson.dumps(each) + b"\n" for each in records))
    return path
