"""Everything that the demo invents, seeded: people, consent, zones, orders, deliveries, returns and answers.

The distributions (stated in the README too):

* people: one of 12 US regions, each with its IANA zone; e-mail consent 85 %, SMS consent 45 %;
  addresses under example.com, numbers in the reserved 555-01xx range; 1 % staff
* orders of the worked shops: Poisson over the week, 8 to 22 h local time, more on Saturday and Sunday; a first category by
  weight, companions by chance (shops.yaml), 8 % two of the first product; three of ten orders by someone who came before in the span;
  the recent weeks and the live week share their customers
* 1.5 % test orders; 2 % cancelled 1 to 20 h later
* deliveries: shipped after 12 to 36 h; delivered log-normally, median 2.5 days after (grocer: median 5 h after the
  order); 4 % are never confirmed
* returns: 5 % of delivered orders, 1 to 6 days after delivery, half of them of the whole order; received 3 days later
* answers to a satisfaction check: 60 %, log-normally with median 3 h; 12 % of them unhappy
* readers: 35 % of e-mails are opened (median 4 h), a fifth of those clicked; 0.4 % unsubscribe
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from decimal import Decimal
from functools import cache
from pathlib import Path
from random import Random
from typing import Any
from zoneinfo import ZoneInfo

import yaml

from shared import events, ids
from shared.events import Event

SOURCE = "demo"
REGIONS = (
    ("NY", "America/New_York"), ("MA", "America/New_York"), ("FL", "America/New_York"), ("GA", "America/New_York"),
    ("IL", "America/Chicago"), ("TX", "America/Chicago"), ("MN", "America/Chicago"), ("CO", "America/Denver"),
    ("AZ", "America/Phoenix"), ("WA", "America/Los_Angeles"), ("CA", "America/Los_Angeles"), ("OR", "America/Los_Angeles"),
)  # fmt: skip
FIRST_NAMES = (
    "Ada", "Ben", "Cleo", "Dan", "Ella", "Finn", "Gia", "Hugo", "Iris", "Jon", "Kaya", "Leo", "Mia", "Nils", "Ona", "Pia",
    "Quinn", "Rosa", "Sam", "Tess", "Uma", "Vera", "Will", "Xena", "Yara", "Zoe",
)  # fmt: skip
WORKED_SHOPS = ("skincare", "fitness", "home-goods")


@dataclass(frozen=True)
class Person:
    """A customer of one shop. `zone` is an IANA name."""

    shop: str
    customer: str
    region: str
    zone: str

    @property
    def key(self) -> tuple[str, str]:
        """Shop and customer."""
        return self.shop, self.customer


@dataclass(frozen=True)
class Shop:
    """A worked shop as shops.yaml has it."""

    name: str
    products: dict[str, events.Product]
    baskets: Mapping[str, Any]

    def of_category(self, category: str) -> list[events.Product]:
        """Products of one category."""
        return [product for product in self.products.values() if product.category == category]


@cache
def worked_shops() -> dict[str, Shop]:
    """The three worked shops, by id."""
    loaded = yaml.safe_load(Path(__file__).with_name("shops.yaml").read_text())
    return {
        shop: Shop(item["name"], _products(shop, item["products"]), item["baskets"])
        for shop, item in loaded.items()
    }


def _products(shop: str, rows: Sequence[Sequence[Any]]) -> dict[str, events.Product]:
    epoch = datetime(2017, 1, 1, tzinfo=UTC)
    return {
        sku: events.Product(
            product_id=sku, updated_at=epoch, name=name, category=category, brand=brand, price=Decimal(str(price)),
            currency="USD", consumable=consumable, url=f"https://{shop}.example.com/p/{sku}",
            image_url=f"https://{shop}.example.com/i/{sku}.png",
        )
        for sku, name, category, brand, price, consumable in rows
    }  # fmt: skip


def seeded(seed: int, *parts: object) -> Random:
    """A generator of its own for each thing, so that one more order changes no other person's life."""
    return Random(f"{seed}|{'|'.join(str(part) for part in parts)}")  # noqa: S311  no secret depends on it


def person(seed: int, shop: str, customer: str) -> Person:
    """Where a customer lives."""
    region, zone = seeded(seed, shop, customer, "home").choice(REGIONS)
    return Person(shop, customer, region, zone)


def profile(seed: int, who: Person, number: int, at: datetime) -> Event:
    """A customer's profile, contact and consent as of `at`; `number` is unique within the demo."""
    random = seeded(seed, *who.key, "profile")
    consent = {
        channel: events.Consent(
            granted=random.random() < share, changed_at=at - timedelta(days=30), source="checkout"
        )
        for channel, share in ((events.Channel.EMAIL, 0.85), (events.Channel.SMS, 0.45))
    }
    data = events.Customer(
        version=1, email=f"{who.customer}@{who.shop}.example.com",
        phone=f"+1{200 + number // 100:03d}55501{number % 100:02d}",
        first_name=random.choice(FIRST_NAMES), time_zone=who.zone, country="US", region=who.region, consent=consent,
        staff=random.random() < 0.01,  # noqa: PLR2004  stated above
    )  # fmt: skip
    return _event(events.CustomerRecorded, who, "profile", at, data, who.customer)


def _event(kind: type[Event], who: Person, name: str, at: datetime, data: Any, *parts: object) -> Event:  # noqa: ANN401  any model
    return kind(
        id=ids.event_id("demo", who.shop, name, *parts), source=SOURCE, time=at, shopid=who.shop, customerid=who.customer,
        type=kind.type_name(), data=data,
    )  # fmt: skip


def order_event(who: Person, order: events.Order) -> Event:
    """The event of an order as it is."""
    at = order.status_at or order.placed_at
    return _event(events.OrderRecorded, who, "order", at, order, order.order_id, order.version)


def customer_ids(seed: int, shop: str, count: int) -> Iterator[str]:
    """Who places the next order: seven in ten are new, the others have come before."""
    random = seeded(seed, shop, "who")
    known: list[str] = []
    for number in range(count):
        if known and random.random() < 0.3:  # noqa: PLR2004  stated above
            yield random.choice(known)
        else:
            known.append(f"{shop[:4]}-{number:05d}")
            yield known[-1]


def placed_times(random: Random, start: datetime, days: int, count: int) -> list[datetime]:
    """When orders are placed, in local time of nobody in particular: day hours, more at weekends. Sorted."""
    weights = [1.4 if (start + timedelta(days=day)).weekday() >= 5 else 1.0 for day in range(days)]  # noqa: PLR2004  Saturday
    times = []
    for day in random.choices(range(days), weights, k=count):
        hour = min(max(random.gauss(14.5, 3.5), 8.0), 22.0)
        midnight = datetime.combine((start + timedelta(days=day)).date(), time(), UTC)
        times.append(midnight + timedelta(hours=hour, seconds=random.randrange(60)))
    return sorted(times)


def shop_orders(  # noqa: PLR0913  a generator's own parameters
    seed: int, shop: str, start: datetime, days: int, count: int, *, label: str
) -> Iterator[tuple[Person, events.Order]]:
    """Orders of a worked shop, in order of time."""
    random = seeded(seed, shop, label)
    times = placed_times(random, start, days, count)
    customers = list(customer_ids(seed, shop, count * 2))
    random.shuffle(customers)
    for number, placed_at in enumerate(times):
        who = person(seed, shop, customers[number])
        local = placed_at.replace(tzinfo=ZoneInfo(who.zone)).astimezone(UTC)
        moment = min(max(local, start), start + timedelta(days=days) - timedelta(minutes=1))
        yield who, _order(random, who, f"{shop[:4]}-{label}-{number:05d}", moment)


def _order(random: Random, who: Person, order_id: str, placed_at: datetime) -> events.Order:
    shop = worked_shops()[who.shop]
    categories = list(shop.baskets)
    first = random.choices(categories, [shop.baskets[name]["weight"] for name in categories])[0]
    companions = [name for name, chance in shop.baskets[first]["with"].items() if random.random() < chance]
    lines = []
    for category in [first, *companions]:
        product = random.choice(shop.of_category(category))
        quantity = 2 if category == first and random.random() < 0.08 else 1  # noqa: PLR2004  stated above
        lines.append(
            events.Line(
                product_id=product.product_id,
                quantity=quantity,
                unit_price=product.price or Decimal(0),
                category=category,
            )
        )
    return events.Order(
        order_id=order_id, placed_at=placed_at, test=random.random() < 0.015, currency="USD",  # noqa: PLR2004  stated above
        total=sum((line.unit_price * line.quantity for line in lines), Decimal(0)), lines=tuple(lines), country="US",
        region=who.region,
    )  # fmt: skip


def aftermath(seed: int, who: Person, order: events.Order) -> Iterator[Event]:
    """What follows an order: perhaps a cancellation; else shipping, delivery, perhaps a return."""
    random = seeded(seed, who.shop, order.order_id, "aftermath")
    if random.random() < 0.02:  # noqa: PLR2004  stated above
        at = order.placed_at + timedelta(hours=random.uniform(1, 20))
        changed = {"version": 2, "status": events.OrderStatus.CANCELLED, "status_at": at}
        yield order_event(who, order.model_copy(update=changed))
        return
    shipped, delivered = _delivery(random, who, order)
    yield _shipment(who, order, events.ShipmentStatus.IN_TRANSIT, shipped)
    if random.random() < 0.04:  # noqa: PLR2004  stated above
        return
    yield _shipment(who, order, events.ShipmentStatus.DELIVERED, delivered)
    if random.random() < 0.05:  # noqa: PLR2004  stated above
        yield from _return(random, who, order, delivered)


def _delivery(random: Random, who: Person, order: events.Order) -> tuple[datetime, datetime]:
    if who.shop == "grocer":
        shipped = order.placed_at + timedelta(hours=1)
        return shipped, shipped + timedelta(hours=4 * random.lognormvariate(0, 0.5))
    shipped = order.placed_at + timedelta(hours=random.uniform(12, 36))
    return shipped, shipped + timedelta(days=2.5 * random.lognormvariate(0, 0.35))


def _shipment(who: Person, order: events.Order, status: events.ShipmentStatus, at: datetime) -> Event:
    data = events.Shipment(
        shipment_id=f"s-{order.order_id}", order_id=order.order_id, status=status, occurred_at=at
    )
    event = _event(events.ShipmentRecorded, who, "shipment", at, data, order.order_id, status)
    return event.model_copy(update={"customerid": None})


def _return(random: Random, who: Person, order: events.Order, delivered: datetime) -> Iterator[Event]:
    lines = order.lines if random.random() < 0.5 else (random.choice(order.lines),)  # noqa: PLR2004  stated above
    at = delivered + timedelta(days=random.uniform(1, 6))
    for version, (status, later) in enumerate(
        ((events.ReturnStatus.REQUESTED, 0), (events.ReturnStatus.RECEIVED, 3)), 1
    ):
        moment = at + timedelta(days=later)
        data = events.Return(
            return_id=f"r-{order.order_id}", order_id=order.order_id, version=version, status=status, occurred_at=moment,
            lines=tuple(events.ReturnLine(product_id=line.product_id, quantity=line.quantity) for line in lines),
            refund=sum((line.unit_price * line.quantity for line in lines), Decimal(0)),
        )  # fmt: skip
        event = _event(events.ReturnRecorded, who, "return", moment, data, order.order_id, version)
        yield event.model_copy(update={"customerid": None})


def reactions(seed: int, who: Person, message_id: str, *, asked: bool, at: datetime) -> Iterator[Event]:
    """What a reader does with an e-mail that arrived at business time `at`; `asked` if it is a satisfaction check."""
    random = seeded(seed, message_id)
    if random.random() < 0.35:  # noqa: PLR2004  stated above
        opened = at + timedelta(hours=4 * math.exp(random.gauss(0, 0.8)))
        yield _reaction(who, message_id, events.EngagementKind.OPENED, opened)
        if random.random() < 0.2:  # noqa: PLR2004  stated above
            yield _reaction(who, message_id, events.EngagementKind.CLICKED, opened + timedelta(minutes=1))
    if asked and random.random() < 0.6:  # noqa: PLR2004  stated above
        answer = "unhappy" if random.random() < 0.12 else "happy"  # noqa: PLR2004  stated above
        later = at + timedelta(hours=3 * math.exp(random.gauss(0, 0.8)))
        yield _reaction(who, message_id, events.EngagementKind.ANSWERED, later, answer)
    if random.random() < 0.004:  # noqa: PLR2004  stated above
        yield _reaction(who, message_id, events.EngagementKind.UNSUBSCRIBED, at + timedelta(hours=1))


def _reaction(
    who: Person, message_id: str, kind: events.EngagementKind, at: datetime, answer: str | None = None
) -> Event:
    data = events.Engagement(
        kind=kind,
        channel=events.Channel.EMAIL,
        occurred_at=at,
        message_id=message_id,
        answer=answer,
        provider="demo",
    )
    return _event(events.EngagementRecorded, who, kind, at, data, message_id)
