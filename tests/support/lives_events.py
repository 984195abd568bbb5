"""What happens to a customer in a long life, before anything is sent to them."""

import random
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from shared import events
from shared.events import Channel, EngagementKind, Event, OrderStatus, ShipmentStatus
from tests.support.deciding import (
    MONDAY_NOON,
    SHELF,
    delivered,
    engagement,
    envelope,
    order,
    profile,
    sent_back,
)
from tests.support.histories import PRODUCTS, REGIONS, ZONES, Arrival

SHARES: Mapping[EngagementKind, float] = {
    EngagementKind.OPENED: 0.5,
    EngagementKind.CLICKED: 0.25,
    EngagementKind.OFFER_ACCEPTED: 0.1,
    EngagementKind.REJECTED: 0.03,
    EngagementKind.WITHHELD: 0.03,
    EngagementKind.UNKNOWN: 0.03,
    EngagementKind.UNSUBSCRIBED: 0.015,
    EngagementKind.COMPLAINED: 0.002,
    EngagementKind.BOUNCED: 0.02,
}
LATE = (0, 0, 0, 0, 3, 60, 3000)
ORDERS, CARTS, PREDICTIONS = 16, 9, 6


def arrivals(chance: random.Random, days: int) -> list[Arrival]:
    """Draw all that is not an answer to a message; some of it comes late, some twice."""
    found = []
    for event in _all(chance, days):
        late = timedelta(minutes=chance.choice(LATE))
        found.append(Arrival(event.time + late, event))
        if chance.random() < 0.08:
            found.append(Arrival(event.time + late + timedelta(minutes=9), event))
    return sorted(found, key=lambda each: each.at)


def _all(chance: random.Random, days: int) -> Iterator[Event]:
    yield profile(time_zone=chance.choice(ZONES), region=chance.choice(REGIONS))
    for number in range(ORDERS):
        yield from _order(chance, f"o-{number}", _moment(chance, days))
    for number in range(CARTS):
        yield from _cart(chance, f"cart-{number}", _moment(chance, days))
    for number in range(PREDICTIONS):
        yield _prediction(chance, _moment(chance, days), number)
    for version in range(2, 8):
        yield _profile(chance, version, _moment(chance, days))
    for kind in (EngagementKind.CLICKED, EngagementKind.ANSWERED, EngagementKind.UNSUBSCRIBED):
        if chance.random() < 0.4:
            channel = chance.choice([Channel.EMAIL, Channel.SMS])
            yield engagement(kind, _moment(chance, days), channel, chance.choice(["happy", "unhappy"]))


def _moment(chance: random.Random, days: int) -> datetime:
    return MONDAY_NOON + timedelta(minutes=chance.randint(0, days * 24 * 60))


def _order(chance: random.Random, order_id: str, at: datetime) -> Iterator[Event]:
    basket = chance.sample(PRODUCTS, chance.randint(1, 3))
    kind = chance.choice(["live"] * 12 + ["history", "test"])
    fields: dict[str, Any] = {"at": at, "history": kind == "history", "test": kind == "test"}
    yield order(order_id, basket, **fields)
    for hours, where in ((6, ShipmentStatus.IN_TRANSIT), (30, ShipmentStatus.OUT_FOR_DELIVERY)):
        yield _shipment(order_id, at + timedelta(hours=hours), where)
    for hours in chance.sample(range(20, 200), chance.choice([0, 1, 1, 1, 2])):
        yield delivered(order_id, at + timedelta(hours=hours), f"s-{order_id}-{hours}")
    if chance.random() < 0.12:
        status = chance.choice([OrderStatus.CANCELLED, OrderStatus.VOIDED, OrderStatus.DISPUTED])
        later = order(order_id, basket, version=2, status=status, **fields)
        yield later.model_copy(update={"time": at + timedelta(hours=chance.randint(1, 90))})
    if chance.random() < 0.2:
        back, on = (
            chance.sample(basket, chance.randint(1, len(basket))),
            at + timedelta(hours=chance.randint(40, 400)),
        )
        for version, became in enumerate(
            chance.choice([["requested", "received"], ["requested", "rejected"], ["received"]])
        ):
            yield sent_back(
                order_id, back, on + timedelta(days=3 * version), version=version + 1, status=became
            )


def _shipment(order_id: str, at: datetime, status: ShipmentStatus) -> Event:
    data = events.Shipment(shipment_id=f"s-{order_id}", order_id=order_id, status=status, occurred_at=at)
    return events.ShipmentRecorded(**envelope(at, "shipment", order_id, status), data=data)


def _cart(chance: random.Random, cart_id: str, at: datetime) -> Iterator[Event]:
    products = tuple(chance.sample(PRODUCTS, chance.randint(1, 3)))
    total = sum((Decimal(SHELF[each][1]) for each in products), Decimal(0))
    for number in range(2):
        moment = at + timedelta(minutes=12 * number)
        data = events.Cart(
            cart_id=cart_id, updated_at=moment, currency="USD", total=total, products=products[: number + 1]
        )
        yield events.CartRecorded(**envelope(moment, "cart", cart_id, number), data=data)
    if chance.random() < 0.4:
        moment = at + timedelta(hours=chance.randint(1, 30))
        data = events.Cart(
            cart_id=cart_id,
            updated_at=moment,
            currency="USD",
            total=total,
            products=products,
            order_id=f"o-{chance.randrange(ORDERS)}",
        )
        yield events.CartRecorded(**envelope(moment, "cart", cart_id, "ordered"), data=data)


def _prediction(chance: random.Random, at: datetime, number: int) -> Event:
    has = {
        each: events.Has(last_at=at, times=1, reorder_at=at + timedelta(days=chance.randint(2, 25)))
        for each in chance.sample(["spf", "candle"], chance.randint(1, 2))
    }
    return events.CustomerProductsUpdated(
        **envelope(at, "products", number, at), data=events.CustomerProducts(products=has)
    )


def _profile(chance: random.Random, version: int, at: datetime) -> Event:
    consent = {
        channel: {"granted": chance.random() < 0.85, "changed_at": at, "source": "account"}
        for channel in (Channel.EMAIL, Channel.SMS)
    }
    changed = profile(
        version,
        consent=consent,
        time_zone=chance.choice(ZONES),
        region=chance.choice(REGIONS),
        email=chance.choice(["ada@example.com"] * 12 + [None]),
        staff=chance.random() < 0.02,
    )
    return changed.model_copy(update={"time": at})
