"""Events and verdicts become facts. They merge by id and version: neither order nor repetition matters."""

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any, TypeVar

import msgspec
from msgspec.structs import replace

from services.scheduler.domain.customer import (
    NO_RESPONSE,
    Answer,
    CartFacts,
    ConsentFacts,
    CustomerState,
    OrderFacts,
    Predictions,
    Profile,
    Response,
    ReturnFacts,
    VerdictFacts,
)
from shared.events import (
    Cart,
    CartRecorded,
    Customer,
    CustomerProductsUpdated,
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

_FIRST_TIMES: Mapping[EngagementKind, str] = {
    EngagementKind.OPENED: "opened_at",
    EngagementKind.CLICKED: "clicked_at",
    EngagementKind.OFFER_ACCEPTED: "accepted_at",
    EngagementKind.BOUNCED: "bounced_at",
    EngagementKind.COMPLAINED: "complained_at",
    EngagementKind.UNSUBSCRIBED: "unsubscribed_at",
}

Versioned = TypeVar("Versioned", OrderFacts, ReturnFacts, Profile)
Key = TypeVar("Key")
Value = TypeVar("Value")


def _newer(old: Versioned | None, new: Versioned) -> Versioned:
    """Return the higher version; of two with one version, the more cautious, then the greater JSON text."""
    return new if old is None or new == old else max(old, new, key=_precedence)


def _precedence(fact: Versioned) -> tuple[int, int, bytes]:
    return fact.version, _caution(fact), _canonical(fact)


def _caution(fact: Versioned) -> int:
    """Higher for what forbids more: an order that is off, a channel without consent."""
    if isinstance(fact, OrderFacts):
        return int(fact.status is not OrderStatus.PLACED)
    if isinstance(fact, Profile):
        return -sum(consent.granted for consent in fact.consent.values())
    return 0


def _canonical(fact: object) -> bytes:
    return msgspec.json.encode(fact, order="deterministic")


def _with(facts: Mapping[Key, Value], key: Key, value: Value) -> dict[Key, Value]:
    return {**facts, key: value}


def apply(state: CustomerState, event: Event) -> CustomerState:
    """Return the state after `event`; commutative and idempotent. Events of other types change nothing.

    Raises ValueError if the event is about another customer.
    """
    if (event.shopid, event.customerid) != (state.shop, state.customer_id):
        message = f"event {event.id} is about another customer"
        raise ValueError(message)
    merge = _MERGES.get(type(event))
    return merge(state, event) if merge else state


def _apply_customer(state: CustomerState, customer: Customer) -> CustomerState:
    return replace(state, profile=_newer(state.profile, _profile(customer)))


def _profile(customer: Customer) -> Profile:
    return Profile(
        version=customer.version,
        email=customer.email,
        phone=customer.phone,
        first_name=customer.first_name,
        locale=customer.locale,
        time_zone=customer.time_zone,
        country=customer.country,
        region=customer.region,
        consent={
            channel: ConsentFacts(granted=each.granted, changed_at=each.changed_at, source=each.source)
            for channel, each in sorted(customer.consent.items())
        },
        staff=customer.staff,
        guest=customer.guest,
        push=customer.push[-1].model_dump_json() if customer.push else None,
    )


def _apply_order(state: CustomerState, order: Order) -> CustomerState:
    merged = _newer(state.orders.get(order.order_id), order_facts(order))
    return replace(state, orders=_with(state.orders, order.order_id, merged))


def order_facts(order: Order) -> OrderFacts:
    """Return what the rules ask of an order."""
    categories = {line.product_id: line.category for line in sorted(order.lines, key=str) if line.category}
    return OrderFacts(
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
        categories={} if order.history else dict(sorted(categories.items())),
    )


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
    return replace(state, deliveries=_with(state.deliveries, shipment.order_id, first))


def _apply_return(state: CustomerState, returned: Return) -> CustomerState:
    fact = ReturnFacts(
        version=returned.version,
        order_id=returned.order_id,
        status=returned.status,
        occurred_at=returned.occurred_at,
        products=_quantities(returned.lines),
    )
    merged = _newer(state.returns.get(returned.return_id), fact)
    return replace(state, returns=_with(state.returns, returned.return_id, merged))


def _apply_cart(state: CustomerState, cart: Cart) -> CustomerState:
    """A cart's state without an order is its latest; that it became an order stays, whatever comes."""
    known = state.carts.get(cart.cart_id, CartFacts())
    if cart.order_id is not None:
        merged = replace(known, order_id=max(known.order_id or cart.order_id, cart.order_id))
    else:
        new = replace(
            known,
            idle_since=cart.updated_at,
            currency=cart.currency,
            total=cart.total.quantize(_SMALLEST_AMOUNT),
            products=tuple(sorted(cart.products)),
        )
        merged = new if known.idle_since is None else max(known, new, key=_cart_precedence)
    return replace(state, carts=_with(state.carts, cart.cart_id, merged))


def _cart_precedence(cart: CartFacts) -> tuple[datetime | None, bytes]:
    return cart.idle_since, _canonical(cart)


def _apply_predictions(state: CustomerState, event: CustomerProductsUpdated) -> CustomerState:
    foretold = {key: has.reorder_at for key, has in sorted(event.data.products.items()) if has.reorder_at}
    new = Predictions(told_at=event.time, reorder_at=foretold)
    known = state.predictions or new
    return replace(state, predictions=max(known, new, key=lambda each: (each.told_at, _canonical(each))))


def _apply_engagement(state: CustomerState, engagement: Engagement) -> CustomerState:
    moment, channel = engagement.occurred_at, engagement.channel
    changes: dict[str, Any] = {}
    match engagement.kind:
        case EngagementKind.ANSWERED if engagement.answer:
            changes["answer"] = _later(state.answer, Answer(occurred_at=moment, answer=engagement.answer))
        case EngagementKind.COMPLAINED:
            changes["complained_at"] = min(state.complained_at or moment, moment)
        case EngagementKind.UNSUBSCRIBED:
            last = max(state.unsubscribed.get(channel, moment), moment)
            changes["unsubscribed"] = _with(state.unsubscribed, channel, last)
        case EngagementKind.BOUNCED:
            last = max(state.bounced.get(channel, moment), moment)
            changes["bounced"] = _with(state.bounced, channel, last)
    if engagement.message_id and (response := _response(state, engagement)):
        changes["responses"] = _with(state.responses, engagement.message_id, response)
    return replace(state, **changes) if changes else state


def _later(known: Answer | None, new: Answer) -> Answer:
    return max(known or new, new, key=lambda each: (each.occurred_at, each.answer))


def _response(state: CustomerState, engagement: Engagement) -> Response | None:
    """Return what is known of a message's response with this news, if it is of a kind that is kept."""
    known = state.responses.get(engagement.message_id or "", NO_RESPONSE)
    moment = engagement.occurred_at
    if engagement.kind is EngagementKind.ANSWERED and engagement.answer:
        new = Answer(occurred_at=moment, answer=engagement.answer)
        return replace(known, answer=_later(known.answer, new))
    field = _FIRST_TIMES.get(engagement.kind)
    if field is None:
        return None
    return replace(known, **{field: min(getattr(known, field) or moment, moment)})


_MERGES: Mapping[type[Event], Callable[[CustomerState, Any], CustomerState]] = {
    OrderRecorded: lambda state, event: _apply_order(state, event.data),
    ShipmentRecorded: lambda state, event: _apply_shipment(state, event.data),
    ReturnRecorded: lambda state, event: _apply_return(state, event.data),
    CustomerRecorded: lambda state, event: _apply_customer(state, event.data),
    CartRecorded: lambda state, event: _apply_cart(state, event.data),
    EngagementRecorded: lambda state, event: _apply_engagement(state, event.data),
    CustomerProductsUpdated: _apply_predictions,
}


def record(state: CustomerState, decision: Decision) -> CustomerState:
    """Return the state with the decision's verdict as a fact.

    A final verdict stays whatever comes; of defers the latest attempt counts.
    """
    known = state.verdicts.get(decision.message_id)
    if known is not None and (known.final or known.attempt >= decision.attempt):
        return state
    return replace(state, verdicts=_with(state.verdicts, decision.message_id, _verdict(decision)))


def _verdict(decision: Decision) -> VerdictFacts:
    offer = decision.offer
    incentive = offer.incentive if offer and offer.incentive.kind != "none" else None
    return VerdictFacts(
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
        products=tuple(candidate.product_id for candidate in offer.products) if offer else (),
        prices=dict(offer.prices) if offer else {},
        incentive=f"{incentive.kind}:{incentive.value or ''}" if incentive else None,
        offer_until=incentive.expires_at if incentive else None,
    )
