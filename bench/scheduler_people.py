"""Customers of a made shop as the scheduler finds them, what it knows besides, and news of them; the same every time.

Each customer has eight orders. Seven of them, bought over ten months, went through the skincare journey: 28 verdicts by the
very core that is measured, 15 of them messages (or ghosts). The first step of the eighth order comes due some time after NOW, a
thousand customers a second; its second one waits for hours.
"""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from services.scheduler.domain import (
    ContactHours,
    Context,
    CustomerState,
    Journey,
    Published,
    apply,
    decide,
    due,
    record,
)
from services.scheduler.journeys import load_journeys
from services.scheduler.views import Views
from shared import events, ids
from shared.events import Channel, EngagementKind, Event
from shared.kafka.records import Record
from shared.topics import CATALOG, COMPLEMENTS

SHOP = "skincare"
NOW = datetime(2026, 3, 2, 20, 0, tzinfo=UTC)
RATE = 1000
"""Steps that come due in each second from NOW on."""
ORDERED = (300, 295, 240, 180, 175, 120, 60)
"""Days ago. Of two orders close together, the later one's steps are dropped: the cool-down holds."""
ORDERS = len(ORDERED) + 1
CATEGORIES = ("cleanser", "toner", "serum", "spf", "moisturizer", "mask", "eye-cream", "exfoliant")
PRODUCTS, CANDIDATES = 200, 20
_EACH = 2


def frame(shop: str, customer: str | None, at: datetime, *origin: object) -> dict[str, Any]:
    """Return the attributes of an event; its id follows from what it is about."""
    return {
        "id": ids.event_id(shop, customer, *origin),
        "source": "/bench",
        "time": at,
        "shopid": shop,
        "customerid": customer,
    }


def published(shops: Sequence[str] = (SHOP,)) -> Published:
    """Return the skincare journey as it stands in `journeys/`, published for each of these shops."""
    text = load_journeys()["skincare-routine"].model_dump(mode="json")
    return Published.of(
        Journey.model_validate(text | {"id": f"{shop}-routine", "shop": shop}) for shop in shops
    )


def views(shops: Sequence[str] = (SHOP,)) -> Views:
    """Return the shop's products, and twenty candidates for each of them."""
    known = Views()
    names = [f"p-{number}" for number in range(PRODUCTS)]
    for shop in shops:
        for number, name in enumerate(names):
            key = ids.partition_key(shop, name)
            listed = events.ProductRecorded(**frame(shop, None, NOW, name), data=_product(name, number))
            known.take(Record(CATALOG.name, 0, 0, key, b""), listed)
            others = [names[(number + step * 7) % PRODUCTS] for step in range(1, CANDIDATES + 1)]
            found = events.ComplementsUpdated(**frame(shop, None, NOW, name), data=_evidence(name, others))
            known.take(Record(COMPLEMENTS.name, 0, 0, key, b""), found)
    return known


def _product(name: str, number: int) -> events.Product:
    return events.Product(
        product_id=name,
        updated_at=NOW - timedelta(days=90),
        name=f"Product {number}",
        category=CATEGORIES[number % len(CATEGORIES)],
        brand=f"brand {number % 10}",
        price=Decimal(500 + number * 37 % 4000) / 100,
        currency="USD",
        consumable=number % 3 == 0,
        url=f"https://shop.example.com/{name}",
        image_url=f"https://shop.example.com/{name}.jpg",
    )


def _evidence(name: str, others: Sequence[str]) -> events.Complements:
    candidates = tuple(
        events.Candidate(product_id=other, score=1 / (place + 2), support=150, relation="pair", reliable=True)
        for place, other in enumerate(others)
    )
    return events.Complements(product_id=name, version=7, candidates=candidates)


def name_of(number: int) -> str:
    """Return a customer's id."""
    return f"c-{number:07d}"


def person(number: int, shop: str, plan: Published, known: Views, law: ContactHours) -> CustomerState:
    """Return a customer with a life behind them, told by the core itself."""
    customer = name_of(number)
    state = CustomerState(shop=shop, customer_id=customer)
    for event in life(number, shop):
        state = apply(state, event)
    for each in sorted(due(state, plan).values(), key=lambda each: each.due_at):
        if each.due_at < NOW - timedelta(days=7):
            found = known.proposals(shop, state.orders[each.order_id].products)
            context = Context(known.catalogue(shop), law, 1, {f"orders-{number % 6}": 1}, found.version)
            journey = plan.journey(each.journey, each.journey_version)
            state = record(state, decide(state, each, journey, found.candidates, context, each.due_at))
    return state


def newcomer(number: int, shop: str) -> CustomerState:
    """Return a customer with one order, whose first step was due two minutes before NOW."""
    state = CustomerState(shop=shop, customer_id=name_of(number))
    for event in (profile(number, shop), order(number, shop, 0, NOW - timedelta(minutes=47))):
        state = apply(state, event)
    return state


def life(number: int, shop: str) -> Iterator[Event]:
    """Tell what happened to a customer: who they are, seven orders and their deliveries, and the order of today."""
    customer = name_of(number)
    yield profile(number, shop)
    for place, days in enumerate(ORDERED):
        at = NOW - timedelta(days=days, hours=3, seconds=number % 3000)
        yield order(number, shop, place, at)
        yield delivered(shop, customer, f"o-{number}-{place}", at + timedelta(days=2))
    yield order(
        number, shop, len(ORDERED), NOW - timedelta(minutes=45) + number * timedelta(seconds=1) / RATE
    )


def profile(number: int, shop: str, version: int = 1) -> Event:
    """Someone in New York who said yes on both channels."""
    at = NOW - timedelta(days=400)
    given = events.Consent(granted=True, changed_at=at, source="checkout")
    customer = name_of(number)
    data = events.Customer(
        version=version,
        email=f"{customer}@example.com",
        phone=f"+1202555{number % 10000:04d}",
        first_name="Ada",
        time_zone="America/New_York",
        country="US",
        region="NY",
        consent={Channel.EMAIL: given, Channel.SMS: given},
    )
    return events.CustomerRecorded(**frame(shop, customer, at, "profile", version), data=data)


def order(number: int, shop: str, place: int, at: datetime) -> Event:
    """Two products in an order."""
    bought = [f"p-{(number * 13 + place * 29 + each * 41) % PRODUCTS}" for each in range(_EACH)]
    lines = tuple(
        events.Line(
            product_id=name,
            quantity=1,
            unit_price=Decimal("20.00"),
            category=CATEGORIES[int(name[2:]) % len(CATEGORIES)],
        )
        for name in bought
    )
    data = events.Order(
        order_id=f"o-{number}-{place}", placed_at=at, currency="USD", total=Decimal("40.00"), lines=lines
    )
    return events.OrderRecorded(**frame(shop, name_of(number), at, "order", place), data=data)


def delivered(shop: str, customer: str, order_id: str, at: datetime) -> Event:
    """The confirmed delivery of an order."""
    data = events.Shipment(
        shipment_id=f"s-{order_id}", order_id=order_id, status=events.ShipmentStatus.DELIVERED, occurred_at=at
    )
    return events.ShipmentRecorded(**frame(shop, customer, at, "delivered", order_id), data=data)


def engagement(number: int, shop: str, kind: EngagementKind, message_id: str, at: datetime) -> Event:
    """Something that happened to a message."""
    data = events.Engagement(message_id=message_id, kind=kind, channel=Channel.EMAIL, occurred_at=at)
    return events.EngagementRecorded(**frame(shop, name_of(number), at, kind, message_id), data=data)


def news(numbers: Sequence[int], shop: str) -> Iterator[Event]:
    """Tell a day's news of everyone: a new order, a delivery, a message opened and clicked, a profile changed."""
    at = NOW - timedelta(hours=2)
    for number in numbers:
        yield order(number, shop, ORDERS, at)
    for number in numbers:
        yield delivered(shop, name_of(number), f"o-{number}-{ORDERS - 1}", at)
    for kind in (EngagementKind.OPENED, EngagementKind.CLICKED):
        for number in numbers:
            message = ids.message_id(
                shop, f"{shop}-routine", _enrolment(number, shop), "complete-your-routine", 0
            )
            yield engagement(number, shop, kind, str(message), at)
    for number in numbers:
        yield profile(number, shop, version=2)


def _enrolment(number: int, shop: str) -> UUID:
    return ids.enrolment_id(shop, f"{shop}-routine", name_of(number), f"o-{number}-0")


def past(numbers: Sequence[int], shop: str) -> Iterator[Event]:
    """Tell what a shop sold before it came to us: five orders of each customer, which begin no journey."""
    for place in range(5):
        for number in numbers:
            told = order(number, shop, place, NOW - timedelta(days=200 - 30 * place))
            yield told.model_copy(update={"data": told.data.model_copy(update={"history": True})})
