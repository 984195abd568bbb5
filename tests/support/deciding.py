"""A small shop, one customer and short journeys for tests of the decision core. No clock and no I/O."""

import dataclasses
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import cache
from typing import Any

from services.scheduler.domain import (
    Catalogue,
    Context,
    CustomerState,
    Due,
    Journey,
    Programme,
    Published,
    apply,
    decide,
    due,
    page_due,
    record,
)
from shared import events, ids
from shared.events import Candidate, Channel, Decision, EngagementKind, Event, Outcome, Reason, RuleOutcome
from shared.law import ContactHours

SHOP, CUSTOMER = "skincare", "c-1"
MONDAY_NOON = datetime(2026, 3, 2, 17, 0, tzinfo=UTC)  # in New York

SHELF = {
    "cleanser": ("cleanser", "18.00", "Dew", False),
    "toner": ("toner", "9.00", "Dew", False),
    "toner-rich": ("toner", "12.00", "Dew", False),
    "serum": ("serum", "30.00", "Lux", False),
    "serum-pro": ("serum", "55.00", "Lux", False),
    "spf": ("spf", "8.00", "Dew", True),
    "mask": ("mask", "7.00", "Lux", False),
    "candle": ("candle", "6.00", "Lux", True),
}


@cache
def law() -> ContactHours:
    """Return the law as shipped."""
    return ContactHours.load()


def product(product_id: str, **changes: Any) -> events.Product:  # noqa: ANN401  any field
    """Return a product of the shelf, changed."""
    category, price, brand, consumable = SHELF[product_id]
    fields: dict[str, Any] = {
        "product_id": product_id,
        "updated_at": MONDAY_NOON - timedelta(days=90),
        "name": product_id.title(),
        "category": category,
        "brand": brand,
        "price": Decimal(price),
        "currency": "USD",
        "consumable": consumable,
        "url": f"https://shop.example.com/{product_id}",
    }
    return events.Product.model_validate(fields | changes)


def catalogue(*changed: events.Product) -> Catalogue:
    """Return the shelf, with some products as given."""
    shelf = Catalogue(product(each) for each in SHELF)
    for each in changed:
        shelf.put(each)
    return shelf


def candidates(*product_ids: str) -> tuple[Candidate, ...]:
    """Return evidence for products, best first."""
    return tuple(
        Candidate(product_id=each, score=1 / (rank + 2), support=150, relation="pair", reliable=True)
        for rank, each in enumerate(product_ids)
    )


def context(attempt: int = 1, shelf: Catalogue | None = None, **given: Any) -> Context:  # noqa: ANN401  any field
    """Return a context with the shelf and the law as shipped, changed."""
    return dataclasses.replace(Context(shelf or catalogue(), law(), attempt, {"orders-0": 7}, 3), **given)


def programme(**fields: Any) -> Programme:  # noqa: ANN401  any field
    """Return the shop's rules."""
    return Programme.model_validate({"shop": SHOP} | fields)


def step(name: str = "pair", **changes: Any) -> dict[str, Any]:  # noqa: ANN401  any field
    """Return an e-mail 45 minutes after the order, with two complements at any price."""
    fields: dict[str, Any] = {
        "id": name,
        "channel": "email",
        "template": f"skincare/{name}",
        "after": "order",
        "delay": "45m",
        "offer": {"from": ["complements"], "count": 2, "max_price_share": None},
    }
    return fields | changes


def journey(*steps: Mapping[str, Any], **changes: Any) -> Journey:  # noqa: ANN401  any field
    """Return a journey of these steps (by default `step()`), with nobody held out."""
    fields: dict[str, Any] = {
        "id": "routine",
        "shop": SHOP,
        "shop_name": "Dewpoint",
        "steps": steps or (step(),),
        "holdout": {"share": 0},
    }
    return Journey.model_validate(fields | changes)


def envelope(at: datetime, *origin: object) -> dict[str, Any]:
    """Return the attributes of a customer's event; its id follows from what it is about."""
    return {
        "id": ids.event_id(*origin),
        "source": "/tests",
        "time": at,
        "shopid": SHOP,
        "customerid": CUSTOMER,
    }


def order(
    order_id: str = "o-1",
    products: Sequence[str] = ("cleanser",),
    at: datetime = MONDAY_NOON,
    **changes: Any,  # noqa: ANN401  any field
) -> events.OrderRecorded:
    """Return an order of one piece each."""
    lines = [
        {"product_id": each, "quantity": 1, "unit_price": SHELF[each][1], "category": SHELF[each][0]}
        for each in products
    ]
    total = sum(Decimal(SHELF[each][1]) for each in products)
    fields: dict[str, Any] = {
        "order_id": order_id,
        "placed_at": at,
        "currency": "USD",
        "total": total,
        "lines": lines,
    }
    data = events.Order.model_validate(fields | changes)
    return events.OrderRecorded(**envelope(at, "order", order_id, data.version, str(data.status)), data=data)


def delivered(
    order_id: str = "o-1", at: datetime = MONDAY_NOON + timedelta(days=2), shipment_id: str = "s-1"
) -> events.ShipmentRecorded:
    """Return the news that a shipment of an order was delivered."""
    data = events.Shipment(
        shipment_id=shipment_id,
        order_id=order_id,
        status=events.ShipmentStatus.DELIVERED,
        occurred_at=at,
    )
    return events.ShipmentRecorded(**envelope(at, "shipment", order_id, shipment_id, at), data=data)


def sent_back(
    order_id: str = "o-1",
    products: Sequence[str] = ("cleanser",),
    at: datetime = MONDAY_NOON + timedelta(days=3),
    **changes: Any,  # noqa: ANN401  any field
) -> events.ReturnRecorded:
    """Return a return of one piece each, received."""
    fields: dict[str, Any] = {
        "return_id": f"r-{order_id}-{'-'.join(products)}",
        "order_id": order_id,
        "status": "received",
        "occurred_at": at,
        "lines": [{"product_id": each, "quantity": 1} for each in products],
    }
    data = events.Return.model_validate(fields | changes)
    return events.ReturnRecorded(**envelope(at, "return", data.return_id, data.version), data=data)


def profile(version: int = 1, **changes: Any) -> events.CustomerRecorded:  # noqa: ANN401  any field
    """Return someone in New York who said yes on both channels a month ago."""
    at = MONDAY_NOON - timedelta(days=30)
    consent = {channel: {"granted": True, "changed_at": at, "source": "checkout"} for channel in Channel}
    fields: dict[str, Any] = {
        "version": version,
        "email": "ada@example.com",
        "phone": "+12025550142",
        "first_name": "Ada",
        "time_zone": "America/New_York",
        "country": "US",
        "region": "NY",
        "consent": consent,
    }
    data = events.Customer.model_validate(fields | changes)
    return events.CustomerRecorded(**envelope(at, "customer", version), data=data)


def engagement(
    kind: EngagementKind,
    at: datetime = MONDAY_NOON,
    channel: Channel = Channel.EMAIL,
    answer: str | None = None,
    message_id: str | None = None,
) -> events.EngagementRecorded:
    """Return something that happened to a message."""
    data = events.Engagement(kind=kind, channel=channel, occurred_at=at, answer=answer, message_id=message_id)
    origin = ("engagement", kind, channel, answer, at, message_id)
    return events.EngagementRecorded(**envelope(at, *origin), data=data)


def state(*happened: Event) -> CustomerState:
    """Return the customer after these events."""
    known = CustomerState(shop=SHOP, customer_id=CUSTOMER)
    for event in happened:
        known = apply(known, event)
    return known


def only(known: CustomerState, plan: Journey, name: str = "pair", order_id: str = "o-1") -> Due:
    """Return the first occurrence of a step for an order, on the thank-you page or after it."""
    published = Published.of([plan])
    return next(
        each
        for each in (*due(known, published).values(), *page_due(known, published, order_id))
        if (each.step, each.order_id, each.occurrence) == (name, order_id, 0)
    )


def decided(  # noqa: PLR0913  tests name only what they are about
    known: CustomerState,
    plan: Journey,
    *,
    name: str = "pair",
    order_id: str = "o-1",
    now: datetime | None = None,
    attempt: int = 1,
    proposed: Sequence[Candidate] | None = None,
    shelf: Catalogue | None = None,
    **given: Any,  # noqa: ANN401  any field of the context
) -> Decision:
    """Return the decision on a step, at its due time unless told otherwise."""
    occurrence = only(known, plan, name, order_id)
    found = candidates("toner", "serum", "mask") if proposed is None else proposed
    return decide(known, occurrence, plan, found, context(attempt, shelf, **given), now or occurrence.due_at)


def sent(
    known: CustomerState, plan: Journey, *, at: datetime, name: str = "pair", order_id: str = "o-1"
) -> CustomerState:
    """Return the state after deciding a step at a time."""
    return record(known, decided(known, plan, name=name, order_id=order_id, now=at))


def rule(decision: Decision, reason: Reason) -> RuleOutcome:
    """Return what one rule said."""
    return next(each for each in decision.rules if each.rule is reason)


def objections(decision: Decision) -> list[Reason]:
    """List the rules that did not let it pass."""
    return [each.rule for each in decision.rules if each.outcome is not Outcome.PASS]
