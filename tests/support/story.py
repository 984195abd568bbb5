"""One shop's customers in a span of business time: what they do, what reaches them, and what was decided."""

import email
import email.policy
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from email.message import EmailMessage
from itertools import count
from pathlib import Path
from typing import Any
from uuid import UUID

from services.scheduler.domain.experiment import held_out
from services.scheduler.domain.journey import Journey
from shared import events, ids, topics
from shared.events import Channel, Decision, DecisionRecorded, EngagementKind, Event, ShipmentStatus, Verdict
from shared.kafka.records import Record
from tests.support.stage import Stage
from tests.support.waiting import eventually

_SPAN = re.compile(r"(\d+)([dhm])")
_UNITS = {"d": "days", "h": "hours", "m": "minutes"}
_LONG_AGO = timedelta(days=120)


def span(text: str) -> timedelta:
    """Read `2d`, `9h45m` and the like."""
    return timedelta(**{_UNITS[unit]: int(number) for number, unit in _SPAN.findall(text)})


@dataclass(frozen=True)
class Arrival:
    """A message as it came: `at` is the story's time, `text` its plain text, `title` its subject (SMS: none)."""

    at: str
    channel: str
    message_id: str
    title: str
    text: str


@dataclass
class Story:
    """Told from `begins_at` on. Customers are known by a first name; `ids` has what the shop calls them."""

    stage: Stage
    journey: Journey
    zone: str
    region: str
    products: Mapping[str, events.Product]
    begins_at: datetime
    ids: dict[str, str] = field(default_factory=dict)
    arrivals: dict[str, list[Arrival]] = field(default_factory=lambda: defaultdict(list))
    decisions: dict[str, list[Decision]] = field(default_factory=lambda: defaultdict(list))
    bought: dict[str, list[tuple[datetime, str]]] = field(default_factory=lambda: defaultdict(list))
    _at: str = "0m"
    _numbers: Iterable[int] = field(default_factory=lambda: count(1))

    @property
    def shop(self) -> str:
        """The shop that the journey is of."""
        return self.journey.shop

    async def at(self, when: str) -> None:
        """Move on to a time of the story, and see what arrives."""
        self._at = when
        self._note(await self.stage.move(self.begins_at + span(when)))

    async def happens(self, *news: Event | list[Event]) -> None:
        """Tell the system, wait until it has come to rest, and see what arrives."""
        await self.stage.tell([event for one in news for event in (one if isinstance(one, list) else [one])])
        self._note(await self.stage.rest())

    def _note(self, entries: Iterable[Mapping[str, Any]]) -> None:
        names = {f"{customer}@{self.shop}.example.com": name for name, customer in self.ids.items()}
        names |= {self._phone(name): name for name in self.ids}
        for entry in entries:
            name = names.get(entry["recipient"])
            if name is not None:
                self.arrivals[name].append(_arrival(self._at, entry))

    def _phone(self, name: str) -> str:
        return f"+1212555{100 + list(self.ids).index(name):04d}"

    def catalogue(self) -> list[Event]:
        """Everything that the shop sells."""
        return [
            self._event(events.ProductRecorded, None, product, product.product_id)
            for product in self.products.values()
        ]

    def customer(self, name: str, *consents: str, held: bool = False) -> Event:
        """A customer who said yes to these channels; their id is such that they are held out, or are not."""
        named = (f"{name}-{number}" for number in count(1))
        self.ids[name] = next(
            one for one in named if held_out(self.shop, one, self.journey.holdout) is held
        )
        agreed = {
            channel: events.Consent(
                granted=channel in consents, changed_at=self.stage.now - _LONG_AGO, source="checkout"
            )
            for channel in Channel
        }
        data = events.Customer(
            version=1, email=f"{self.ids[name]}@{self.shop}.example.com", phone=self._phone(name),
            first_name=name.title(), time_zone=self.zone, country="US", region=self.region, consent=agreed,
        )  # fmt: skip
        return self._event(events.CustomerRecorded, name, data, name)

    def order(self, name: str, *skus: str, placed: str | None = None, number: int = 1, **more: Any) -> Event:  # noqa: ANN401  fields of Order
        """An order of one piece each, placed at a time of the story, by default now."""
        placed_at = self.stage.now if placed is None else self.begins_at + span(placed)
        lines = tuple(
            events.Line(
                product_id=sku,
                quantity=1,
                unit_price=self.products[sku].price or Decimal(0),
                category=self.products[sku].category,
            )
            for sku in skus
        )
        data = events.Order(
            order_id=f"{self.ids[name]}/{number}", placed_at=placed_at, currency="USD",
            total=sum((line.unit_price for line in lines), Decimal(0)), lines=lines, country="US", region=self.region,
            **more,
        )  # fmt: skip
        self.bought[name] += [(placed_at, sku) for sku in skus]
        return self._event(events.OrderRecorded, name, data, name, number)

    def past(self, buyers: int, *skus: str, label: str = "past") -> list[Event]:
        """Orders of long ago by people who play no other part: they teach, and start nothing."""
        orders = []
        for number in range(buyers):
            name = f"{label}-{number}"
            self.ids[name] = name
            when = self.stage.now - _LONG_AGO
            order = self.order(name, *skus, history=True)
            data = order.data.model_copy(update={"placed_at": when})
            orders.append(order.model_copy(update={"data": data, "time": when}))
            del self.ids[name], self.bought[name]
        return orders

    def shipment(
        self, name: str, status: ShipmentStatus = ShipmentStatus.DELIVERED, number: int = 1
    ) -> Event:
        """News of a parcel, from a carrier that knows the order but not the customer."""
        order_id = f"{self.ids[name]}/{number}"
        data = events.Shipment(
            shipment_id=f"s-{order_id}", order_id=order_id, status=status, occurred_at=self.stage.now
        )
        return self._event(events.ShipmentRecorded, None, data, name, number, status)

    def sends_back(self, name: str, *skus: str, number: int = 1) -> Event:
        """Some or all pieces of an order are on their way back."""
        order_id = f"{self.ids[name]}/{number}"
        data = events.Return(
            return_id=f"r-{order_id}", order_id=order_id, status=events.ReturnStatus.REQUESTED,
            occurred_at=self.stage.now, lines=tuple(events.ReturnLine(product_id=sku, quantity=1) for sku in skus),
        )  # fmt: skip
        return self._event(events.ReturnRecorded, None, data, name, number)

    def reaction(self, name: str, kind: EngagementKind, answer: str | None = None) -> Event:
        """What a customer does with the latest message that they have."""
        latest = self.arrivals[name][-1]
        data = events.Engagement(
            kind=kind, channel=Channel(latest.channel), occurred_at=self.stage.now, message_id=latest.message_id,
            answer=answer,
        )  # fmt: skip
        return self._event(events.EngagementRecorded, name, data, name, kind)

    def _event(self, kind: type[Event], name: str | None, data: Any, *origin: object) -> Event:  # noqa: ANN401  any model
        return kind(
            id=ids.event_id("e2e", self.shop, kind.__name__, *origin), source="/e2e", time=self.stage.now,
            type=kind.type_name(), shopid=self.shop, customerid=self.ids[name] if name else None, data=data,
        )  # fmt: skip

    async def learned(self, product: str, *partners: str) -> None:
        """Wait until the recommender says that these go with a product, from baskets that held both."""
        found: dict[str, set[str]] = {}

        def take(_: Record, event: Event | None) -> None:
            if isinstance(event, events.ComplementsUpdated) and event.shopid == self.shop:
                pairs = {one.product_id for one in event.data.candidates if one.relation == "pair"}
                found[event.data.product_id] = pairs

        async def known() -> bool:
            await self.stage.watch.read([topics.COMPLEMENTS], take)
            return set(partners) <= found.get(product, set())

        await eventually(known, 60, lambda: f"{partners} to go with {product}, found {found}")

    async def close(self) -> None:
        """Read what was decided about everyone."""
        names = {customer: name for name, customer in self.ids.items()}

        def take(_: Record, event: Event | None) -> None:
            if isinstance(event, DecisionRecorded) and event.shopid == self.shop:
                self.decisions[names[event.customerid or ""]].append(event.data)

        await self.stage.watch.read([topics.DECISIONS], take)

    def timetable(self, name: str) -> list[tuple[str, str, str]]:
        """What reached a customer: when, how, and its step."""
        steps = {str(decision.message_id): decision.step for decision in self.decisions[name]}
        return [(one.at, one.channel, steps[one.message_id]) for one in self.arrivals[name]]

    def verdicts(self, name: str, number: int = 1) -> dict[str, str]:
        """Each step of an order with its verdicts in turn and their reasons, such as `defer quiet_hours, send`."""
        said: dict[str, list[str]] = defaultdict(list)
        for decision in self.decisions[name]:
            if decision.order_id == f"{self.ids[name]}/{number}":
                reason = f" {decision.reason}" if decision.reason else ""
                said[decision.step].append(f"{decision.verdict}{reason}")
        return {step: ", ".join(verdicts) for step, verdicts in said.items()}

    def decision(self, name: str, step: str, number: int = 1) -> Decision:
        """The last decision on a step of an order."""
        order_id = f"{self.ids[name]}/{number}"
        return [one for one in self.decisions[name] if (one.step, one.order_id) == (step, order_id)][-1]

    def offered(self, name: str, step: str) -> list[events.Product]:
        """The products that a step offered, or would have."""
        offer = self.decision(name, step).offer
        return [self.products[one.product_id] for one in offer.products] if offer else []

    def arrival(self, name: str, step: str) -> Arrival:
        """The message of a step."""
        wanted = str(self.decision(name, step).message_id)
        return next(one for one in self.arrivals[name] if one.message_id == wanted)


def _arrival(at: str, entry: Mapping[str, Any]) -> Arrival:
    if entry["channel"] == "sms":
        return Arrival(at, "sms", entry["message_id"], "", entry["body"])
    mail = email.message_from_bytes(Path(entry["path"]).read_bytes(), _class=EmailMessage, policy=email.policy.default)
    body = mail.get_body(("plain",))
    return Arrival(at, "email", entry["message_id"], entry["subject"], body.get_content() if body else "")
