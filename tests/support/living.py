"""One customer of a shop whose journeys are lived in moved time: events go in, a timetable of verdicts comes out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import count
from typing import Any

from services.scheduler.backtest.life import Life
from services.scheduler.backtest.world import World
from services.scheduler.domain import Due, Published
from services.scheduler.domain.experiment import assign, place
from services.scheduler.domain.journey import Journey
from services.scheduler.domain.tree import Experiment
from shared import events, ids
from shared.events import Candidate, Channel, Decision, EngagementKind, Event, Timing, Verdict
from shared.kafka.records import Record
from shared.law import ContactHours
from shared.topics import CATALOG, COMPLEMENTS, Topic

MONDAY_NOON = datetime(2026, 3, 2, 17, 0, tzinfo=UTC)
"""Noon in New York."""


@dataclass(frozen=True)
class Ware:
    """A product of a shop's shelf."""

    category: str
    price: str
    brand: str = "House"
    consumable: bool = False


@dataclass
class Story:
    """A customer's life from `MONDAY_NOON` on. `decided` has every decision with the step that it was on, in order.

    `goes_with` are the complements by product, best first; `gap_days` the median gap until they are bought.
    """

    published: Published
    shop: str
    wares: Mapping[str, Ware]
    goes_with: Mapping[str, Sequence[str]]
    customer: str = "c-1"
    gap_days: float | None = None
    decided: list[tuple[Due, Decision]] = field(default_factory=list)
    now: datetime = MONDAY_NOON

    def __post_init__(self) -> None:
        """Fill the shelf."""
        self.world = World(ContactHours.load())
        self.life = Life(
            self.published, self.world, [lambda _, due, decision: self.decided.append((due, decision))]
        )
        self._serial = count()
        for name in self.wares:
            self.stock(name)
        for bought, others in self.goes_with.items():
            self._tell(COMPLEMENTS, bought, self._complements(bought, others))

    def stock(self, name: str, **changes: Any) -> None:  # noqa: ANN401  any field of Product
        """Have the catalogue say something of a product from now on."""
        ware = self.wares[name]
        fields: dict[str, Any] = {
            "product_id": name, "updated_at": self.now, "name": name.title(), "category": ware.category,
            "brand": ware.brand, "price": Decimal(ware.price), "currency": "USD", "consumable": ware.consumable,
        }  # fmt: skip
        self._tell(
            CATALOG, name, self._event(events.ProductRecorded, events.Product(**fields | changes), None)
        )

    def wait(self, span: timedelta | None = None, **parts: float) -> "Story":
        """Let time pass, deciding what comes due."""
        self.now += span or timedelta(**parts)
        self.life.reach(self.now, inclusive=True)
        return self

    def signs_up(self, *consents: Channel, **changes: Any) -> "Story":  # noqa: ANN401  any field of Customer
        """Be known, in New York, with consent on these channels (by default e-mail and SMS)."""
        said = {
            channel: events.Consent(granted=True, changed_at=self.now - timedelta(days=30), source="checkout")
            for channel in consents or (Channel.EMAIL, Channel.SMS)
        }
        fields: dict[str, Any] = {
            "version": next(self._serial) + 1, "email": "ada@example.com", "phone": "+12025550142",
            "time_zone": "America/New_York", "country": "US", "region": "NY", "consent": said,
        }  # fmt: skip
        return self.happens(events.CustomerRecorded, events.Customer(**fields | changes))

    def orders(self, *names: str, order_id: str = "o-1", **changes: Any) -> "Story":  # noqa: ANN401  any field of Order
        """Buy one of each now."""
        lines = [
            {
                "product_id": each, "quantity": 1, "unit_price": self.wares[each].price,
                "category": self.wares[each].category,
            }
            for each in names
        ]  # fmt: skip
        fields: dict[str, Any] = {
            "order_id": order_id, "placed_at": self.now, "currency": "USD", "lines": lines,
            "total": sum(Decimal(self.wares[each].price) for each in names),
        }  # fmt: skip
        return self.happens(events.OrderRecorded, events.Order.model_validate(fields | changes))

    def ordered_before(self, times: int, *names: str, every: timedelta = timedelta(days=40)) -> "Story":
        """Have bought these so often before, each time so long after the other; those orders begin nothing."""
        for number in range(times, 0, -1):
            at = self.now - number * every
            self.orders(*names, order_id=f"before-{number}", placed_at=at, history=True)
        return self

    def gets(self, order_id: str = "o-1") -> "Story":
        """Have the order delivered now."""
        data = events.Shipment(
            shipment_id=f"s-{order_id}",
            order_id=order_id,
            status=events.ShipmentStatus.DELIVERED,
            occurred_at=self.now,
        )
        return self.happens(events.ShipmentRecorded, data)

    def sends_back(self, *names: str, order_id: str = "o-1") -> "Story":
        """Return one of each."""
        lines = tuple(events.ReturnLine(product_id=each, quantity=1) for each in names)
        data = events.Return(
            return_id=f"r-{order_id}", order_id=order_id, status=events.ReturnStatus.RECEIVED,
            occurred_at=self.now, lines=lines,
        )  # fmt: skip
        return self.happens(events.ReturnRecorded, data)

    def leaves_cart(self, *names: str, cart_id: str = "k-1", order_id: str | None = None) -> "Story":
        """Put these into a cart, or have the cart become an order."""
        total = sum(Decimal(self.wares[each].price) for each in names)
        data = events.Cart(
            cart_id=cart_id,
            updated_at=self.now,
            currency="USD",
            total=total,
            products=names,
            order_id=order_id,
        )
        return self.happens(events.CartRecorded, data)

    def needs_again(self, name: str, *, at: datetime) -> "Story":
        """Have it foretold when a product will be needed again."""
        has = events.Has(last_at=self.now, times=1, reorder_at=at)
        return self.happens(events.CustomerProductsUpdated, events.CustomerProducts(products={name: has}))

    def responds(self, step: str, kind: EngagementKind, answer: str | None = None) -> "Story":
        """Do something with the message of a step."""
        sent = next(
            decision
            for due, decision in self.decided
            if due.step == step and decision.verdict is Verdict.SEND
        )
        data = events.Engagement(
            kind=kind,
            channel=sent.channel,
            occurred_at=self.now,
            message_id=str(sent.message_id),
            answer=answer,
        )
        return self.happens(events.EngagementRecorded, data)

    def happens(self, kind: type[Event], data: Any) -> "Story":  # noqa: ANN401  any model
        """Take news of the customer as of now."""
        self.life.reach(self.now)
        event = self._event(kind, data, self.customer)
        self.life.take(ids.partition_key(self.shop, self.customer), event, self.now)
        return self

    def timetable(self, since: datetime = MONDAY_NOON) -> list[tuple[str, str, str]]:
        """List (time since, step, verdict or reason) of the final verdicts; a reason other than a send's says why not."""
        return [
            (_span(decision.decided_at - since), due.step, decision.reason or decision.verdict)
            for due, decision in self.decided
            if decision.verdict is not Verdict.DEFER
        ]

    def verdict(self, step: str) -> Decision:
        """Return the last decision on a step."""
        return next(decision for due, decision in reversed(self.decided) if due.step == step)

    def sent(self, step: str) -> tuple[str, str | None]:
        """Return when a step was sent after `MONDAY_NOON`, and its template or the kind of its hand-over."""
        due, decision = next(
            each for each in self.decided if each[0].step == step and each[1].verdict is Verdict.SEND
        )
        terms = self.published.journey(due.journey, due.journey_version).leaves[due.leaf].step
        return _span(decision.decided_at - MONDAY_NOON), terms.template or terms.hand_over

    def incentive(self, step: str) -> str:
        """Return what sweetens the offer of a step: kind and value, and when it ends after `MONDAY_NOON`."""
        offer = self.verdict(step).offer
        terms = offer.incentive if offer else events.Incentive(kind="none")
        until = f" until {_span(terms.expires_at - MONDAY_NOON)}" if terms.expires_at else ""
        return f"{terms.kind}{f' {terms.value}' if terms.value else ''}{until}"

    def products(self, step: str) -> list[str]:
        """List the products of the last decision on a step."""
        offer = self.verdict(step).offer
        return [each.product_id for each in offer.products] if offer else []

    def _complements(self, bought: str, others: Sequence[str]) -> Event:
        days, gap = self.gap_days, None
        if days is not None:
            gap = Timing(support=200, share=0.5, days=(days - 5, days, days + 5), mean_days=days)
        candidates = tuple(
            Candidate(
                product_id=each, score=0.5 / (place + 1), support=200, relation="pair", reliable=True, gap=gap
            )
            for place, each in enumerate(others)
        )
        data = events.Complements(product_id=bought, version=1, candidates=candidates)
        return self._event(events.ComplementsUpdated, data, None)

    def _tell(self, topic: Topic, name: str, event: Event) -> None:
        self.world.views.take(Record(topic.name, 0, 0, ids.partition_key(self.shop, name), b""), event)

    def _event(self, kind: type[Event], data: Any, customer: str | None) -> Event:  # noqa: ANN401  any model
        return kind(
            id=ids.event_id("story", next(self._serial)), source="/tests", time=self.now, type=kind.type_name(),
            shopid=self.shop, customerid=customer, data=data,
        )  # fmt: skip


def someone(
    journey: Journey, shop: str, *, held: bool = False, salts: Sequence[str] = (), **variants: str
) -> str:
    """Return a customer who is (not) held out of a journey and the programmes of `salts`, and gets these variants.

    Experiments are named with `_` for `-`. Raises StopIteration if nobody among the first hundred thousand does.
    """
    experiments = {
        each.experiment: each
        for leaf in journey.leaves
        for each in (choice.experiment for choice in leaf.choices)
    }

    def fits(name: str) -> bool:
        return (
            (place(shop, name, journey.holdout.salt) < journey.holdout.share) is held
            and all(place(shop, name, salt) >= 0.05 for salt in salts)
            and all(_gets(name, experiments[key.replace("_", "-")], value) for key, value in variants.items())
        )

    def _gets(name: str, experiment: Experiment, variant: str) -> bool:
        return assign(shop, name, experiment).variant == variant

    return next(name for name in (f"c-{number}" for number in range(100_000)) if fits(name))


def _span(passed: timedelta) -> str:
    """Write a span as people say it: 45m, 4h, 2d4h."""
    minutes = int(passed.total_seconds()) // 60
    days, hours, rest = minutes // 1440, minutes % 1440 // 60, minutes % 60
    return (
        "".join(f"{number}{unit}" for number, unit in ((days, "d"), (hours, "h"), (rest, "m")) if number)
        or "0m"
    )
