"""Events and verdicts become facts. They merge by id and version: neither order nor repetition matters."""

import json
from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import TypeVar

from pydantic import BaseModel

from services.scheduler.domain.customer import (
    Answer,
    CustomerState,
    OrderFacts,
    ReturnFacts,
    VerdictFacts,
)
from shared.events import (
    Customer,
    CustomerRecorded,
    Decision,
    Engagement,
    EngagementKind,
    EngagementRecorded,
    Event,
    Line,
    Order,
    OrderRecorded,
    OrderStatus,
    Return,
    ReturnLine,
    ReturnRecorded,
    Shipment,
    ShipmentRecorded,
    ShipmentStatus,
)

# Equal amounts get one text, or facts that are equal could sort differently.
_SMALLEST_AMOUNT = Decimal("0.000001")

Versioned = TypeVar("Versioned", OrderFacts, ReturnFacts, Customer)
Key = TypeVar("Key")
Value = TypeVar("Value")


def _newer(old: Versioned | None, new: Versioned) -> Versioned:
    """Return the higher version; of two with one version, the more cautious, then the greater JSON text."""
    return new if old is None or new == old else max(old, new, key=_precedence)


def _precedence(fact: Versioned) -> tuple[int, int, str]:
    return fact.version, _caution(fact), _canonical(fact)


def _caution(fact: Versioned) -> int:
    """Higher for what forbids more: an order that is off, a channel without consent."""
    if isinstance(fact, OrderFacts):
        return int(fact.status is not OrderStatus.PLACED)
    if isinstance(fact, Customer):
        return -sum(consent.granted for consent in fact.consent.values())
    return 0


def _canonical(fact: BaseModel) -> str:
    return json.dumps(fact.model_dump(mode="json"), sort_keys=True)


def _with(facts: Mapping[Key, Value], key: Key, value: Value) -> dict[Key, Value]:
    return {**facts, key: value}


def apply(state: CustomerState, event: Event) -> CustomerState:
    """Return the state after `event`; commutative and idempotent. Events of other types change nothing.

    Raises ValueError if the event is about another customer.
    """
    if (event.shopid, event.customerid) != (state.shop, state.customer_id):
        message = f"event {event.id} is about another customer"
        raise ValueError(message)
    match event:
        case OrderRecorded(data=order):
            return _apply_order(state, order)
        case ShipmentRecorded(data=shipment):
            return _apply_shipment(state, shipment)
        case ReturnRecorded(data=returned):
            return _apply_return(state, returned)
        case CustomerRecorded(data=profile):
            return state.model_copy(update={"profile": _newer(state.profile, profile)})
        case EngagementRecorded(data=engagement):
            return _apply_engagement(state, engagement)
    return state


def _apply_order(state: CustomerState, order: Order) -> CustomerState:
    categories = {line.product_id: line.category for line in sorted(order.lines, key=str) if line.category}
    fact = OrderFacts(
        version=order.version,
        placed_at=order.placed_at,
        status=order.status,
        test=order.test,
        history=order.history,
        currency=order.currency,
        total=order.total.quantize(_SMALLEST_AMOUNT),
        country=order.country,
        region=order.region,
        products=_quantities(order.lines),
        categories={} if order.history else categories,
    )
    merged = _newer(state.orders.get(order.order_id), fact)
    return state.model_copy(update={"orders": _with(state.orders, order.order_id, merged)})


def _quantities(lines: Iterable[Line | ReturnLine]) -> dict[str, int]:
    """Return pieces by product, sorted, so that equal facts have one text."""
    products: dict[str, int] = {}
    for line in sorted(lines, key=lambda line: line.product_id):
        products[line.product_id] = products.get(line.product_id, 0) + line.quantity
    return products


def _apply_shipment(state: CustomerState, shipment: Shipment) -> CustomerState:
    if shipment.status is not ShipmentStatus.DELIVERED:
        return state
    first = min(state.deliveries.get(shipment.order_id, shipment.occurred_at), shipment.occurred_at)
    return state.model_copy(update={"deliveries": _with(state.deliveries, shipment.order_id, first)})


def _apply_return(state: CustomerState, returned: Return) -> CustomerState:
    fact = ReturnFacts(
        version=returned.version,
        order_id=returned.order_id,
        status=returned.status,
        occurred_at=returned.occurred_at,
        products=_quantities(returned.lines),
    )
    merged = _newer(state.returns.get(returned.return_id), fact)
    return state.model_copy(update={"returns": _with(state.returns, returned.return_id, merged)})


def _apply_engagement(state: CustomerState, engagement: Engagement) -> CustomerState:
    moment, channel = engagement.occurred_at, engagement.channel
    match engagement.kind:
        case EngagementKind.ANSWERED if engagement.answer:
            new = Answer(occurred_at=moment, answer=engagement.answer)
            answer = max(state.answer or new, new, key=lambda a: (a.occurred_at, a.answer))
            return state.model_copy(update={"answer": answer})
        case EngagementKind.COMPLAINED:
            return state.model_copy(update={"complained_at": min(state.complained_at or moment, moment)})
        case EngagementKind.UNSUBSCRIBED:
            last = max(state.unsubscribed.get(channel, moment), moment)
            return state.model_copy(update={"unsubscribed": _with(state.unsubscribed, channel, last)})
        case EngagementKind.BOUNCED:
            last = max(state.bounced.get(channel, moment), moment)
            return state.model_copy(update={"bounced": _with(state.bounced, channel, last)})
    return state


def record(state: CustomerState, decision: Decision) -> CustomerState:
    """Return the state with the decision's verdict as a fact.

    A final verdict stays whatever comes; of defers the latest attempt counts.
    """
    known = state.verdicts.get(decision.message_id)
    if known is not None and (known.final or known.attempt >= decision.attempt):
        return state
    offered = decision.offer.products if decision.offer else ()
    fact = VerdictFacts(
        journey=decision.journey,
        enrolment_id=decision.enrolment_id,
        order_id=decision.order_id,
        step=decision.step,
        occurrence=decision.occurrence,
        channel=decision.channel,
        verdict=decision.verdict,
        decided_at=decision.decided_at,
        attempt=decision.attempt,
        next_at=decision.next_at,
        products=tuple(candidate.product_id for candidate in offered),
    )
    return state.model_copy(update={"verdicts": _with(state.verdicts, decision.message_id, fact)})
