"""What conditions look at: an order as it was placed, who the customer was by then, and what happened since.

`order`, `segment` and the customer's numbers count what was placed up to the order, so a later purchase changes no branch.
What was learned since (delivery, answers, engagement, returns, a further order) is as of now.
"""

from collections.abc import Callable, Collection
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Literal
from uuid import UUID

from services.scheduler.domain.customer import CustomerState, OrderFacts, VerdictFacts
from services.scheduler.domain.ownership import fully_returned
from services.scheduler.domain.programme import Programme
from shared.events import MESSAGE_CHANNELS, Channel, Verdict

RETURNING_FROM = 2
LOYAL_FROM = 6
VIP_FROM = 10
"""Orders, with the one at hand, from which a customer is of the segment (design of the programme, item 4)."""

_DAY_SECONDS = 86400.0
SegmentName = Literal["first", "returning", "loyal", "vip"]
CART_PREFIX = "cart:"


def segment_of(number: int) -> SegmentName:
    """Return the segment of who places an order for the `number`th time."""
    if number >= VIP_FROM:
        return "vip"
    if number >= LOYAL_FROM:
        return "loyal"
    return "returning" if number >= RETURNING_FROM else "first"


def orders_until(state: CustomerState, order_id: str, order: OrderFacts) -> list[OrderFacts]:
    """List the standing orders placed before one, oldest first, as far as they are kept whole."""
    mark = (order.placed_at, order_id)
    before = [
        (each.placed_at, key, each)
        for key, each in state.orders.items()
        if each.stands and key != order_id and (each.placed_at, key) < mark
    ]
    return [each for _, _, each in sorted(before, key=lambda entry: entry[:2])]


def number_of(state: CustomerState, order_id: str, order: OrderFacts) -> int:
    """Return how many orders the customer had placed with this one."""
    mark = (order.placed_at, order_id)
    before = sum(each.stands and (each.placed_at, key) < mark for key, each in state.orders.items())
    return state.orders_before + before + 1


def values(  # noqa: PLR0913, PLR0917  what facts stand on
    state: CustomerState,
    order_id: str,
    order: OrderFacts,
    asked: Collection[str],
    programme: Programme,
    words: frozenset[str] | None = None,
) -> dict[str, dict[str, Any]]:
    """Return the facts as conditions see them; amounts are numbers here, exact enough to compare. See `conditions.FIELDS`.

    Only what is named in `words` is in it, if they are given: to hand a condition all that a customer ever bought costs more
    than the condition.
    """
    before = orders_until(state, order_id, order)
    ours = [(key, fact) for key, fact in state.verdicts.items() if fact.order_id == order_id]
    sections: dict[str, Callable[[], dict[str, Any]]] = {
        "order": lambda: _order(state, order_id, order, before, programme),
        "customer": lambda: _customer(state, order, before, ours, words),
        "segment": lambda: _segment(state, order_id, order, before, programme),
        "delivery": lambda: _delivery(state, order_id, order),
        "engagement": lambda: _engagement(
            state, [str(key) for key, fact in ours if fact.verdict is Verdict.SEND]
        ),
        "answers": lambda: dict.fromkeys(asked, "") | _answers(state, ours),
        "cart": lambda: _cart(state, order_id),
    }
    if words is None:
        return {name: make() for name, make in sections.items()}
    found = {name: make() for name, make in sections.items() if name in words}
    # Answers are by step, whose names are no words.
    return {
        name: each
        if name == "answers" or f"{name}[" in words
        else {key: value for key, value in each.items() if f"{name}.{key}" in words}
        for name, each in found.items()
    }


def _order(
    state: CustomerState, order_id: str, order: OrderFacts, before: list[OrderFacts], programme: Programme
) -> dict[str, Any]:
    return {
        "id": order_id,
        "total": float(order.total),
        "currency": order.currency,
        "country": order.country or "",
        "region": order.region or "",
        "products": list(order.products),
        "categories": sorted(set(order.categories.values())),
        "items": sum(order.products.values()),
        "number": state.orders_before + len(before) + 1,
        "single_item": len(order.products) == 1,
        "from_cart": from_left_cart(state, order_id, order, programme.abandoned_after),
        "cancelled": not order.stands,
        "returned": fully_returned(state, order_id),
        "returned_any": any(each.order_id == order_id and each.stands for each in state.returns.values()),
    }


def _segment(
    state: CustomerState, order_id: str, order: OrderFacts, before: list[OrderFacts], programme: Programme
) -> dict[str, Any]:
    name = segment_of(state.orders_before + len(before) + 1)
    return {
        "name": name,
        **{each: each == name for each in ("first", "returning", "loyal", "vip")},
        "converted_abandoner": from_left_cart(state, order_id, order, programme.abandoned_after),
    }


def _delivery(state: CustomerState, order_id: str, order: OrderFacts) -> dict[str, Any]:
    delivered_at = state.deliveries.get(order_id)
    return {
        "confirmed": delivered_at is not None,
        "days": (delivered_at - order.placed_at).total_seconds() / _DAY_SECONDS if delivered_at else -1.0,
    }


def _cart(state: CustomerState, order_id: str) -> dict[str, Any]:
    cart = state.carts.get(order_id.removeprefix(CART_PREFIX))
    return {
        "total": float(cart.total) if cart else 0.0,
        "products": list(cart.products) if cart else [],
        "ordered": bool(cart and cart.order_id),
    }


def _customer(
    state: CustomerState,
    order: OrderFacts,
    before: list[OrderFacts],
    ours: list[tuple[Any, VerdictFacts]],
    words: frozenset[str] | None,
) -> dict[str, Any]:
    number = state.orders_before + len(before) + 1
    spent = state.spent_before.get(order.currency, Decimal(0)) + sum(
        (each.total for each in before if each.currency == order.currency), order.total
    )
    quarter = order.placed_at - timedelta(days=90)
    profile = state.profile
    first = min((fact.decided_at for _, fact in ours if fact.counts), default=None)
    return {
        "orders": number,
        "spent": float(spent),
        "average_order": float(spent) / number,
        "orders_in_90_days": 1 + sum(each.placed_at > quarter for each in before),
        "days_since_previous": (order.placed_at - before[-1].placed_at).days if before else -1,
        "ordered_again": first is not None
        and any(each.stands and each.placed_at > first for each in state.orders.values()),
        "returns": sum(each.stands for each in state.returns.values()),
        "unhappy": unhappy_since(state) is not None,
        "country": (profile and profile.country) or "",
        "region": (profile and profile.region) or "",
        "locale": profile.locale if profile else "",
        "guest": bool(profile and profile.guest),
        "staff": bool(profile and profile.staff),
        **{channel.value: consents(state, channel) for channel in MESSAGE_CHANNELS},
        **_bought(state, before, words),
    }


def _bought(
    state: CustomerState, before: list[OrderFacts], words: frozenset[str] | None
) -> dict[str, list[str]]:
    """Return what was bought before; it is long, and put together only for who asks."""
    found = {}
    if words is None or not words.isdisjoint(("customer.products", "customer[")):
        products = {product for each in before for product in each.products}
        found["products"] = sorted(products.union(state.owned_before))
    if words is None or not words.isdisjoint(("customer.categories", "customer[")):
        found["categories"] = sorted({category for each in before for category in each.categories.values()})
    return found


def consents(state: CustomerState, channel: Channel) -> bool:
    """Whether the customer said yes on a channel, and has not left it since."""
    consent = state.profile.consent.get(channel) if state.profile else None
    left_at = state.unsubscribed.get(channel)
    return consent is not None and consent.granted and (left_at is None or left_at < consent.changed_at)


def unhappy_since(state: CustomerState) -> datetime | None:
    """Return when the customer last answered "unhappy" to anything, unless they said "happy" later."""
    answers = [each.answer for each in state.responses.values() if each.answer]
    if state.answer:
        answers.append(state.answer)
    sad = max((each.occurred_at for each in answers if each.answer == "unhappy"), default=None)
    if sad is None or any(each.answer == "happy" and each.occurred_at > sad for each in answers):
        return None
    return sad


def _engagement(state: CustomerState, sent: list[str]) -> dict[str, Any]:
    responses = [each for key in sent if (each := state.responses.get(key))]
    return {
        "sent": len(sent),
        "opened": sum(each.opened_at is not None for each in responses),
        "clicked": sum(each.clicked_at is not None for each in responses),
        "answered": sum(each.answer is not None for each in responses),
        "accepted": sum(each.accepted_at is not None for each in responses),
        "responded": any(each.drew for each in responses),
    }


def _answers(state: CustomerState, ours: list[tuple[UUID, VerdictFacts]]) -> dict[str, str]:
    found: dict[str, str] = {}
    for key, fact in ours:
        response = state.responses.get(str(key))
        if response and response.answer:
            found[fact.step] = response.answer.answer
    return found


def from_left_cart(state: CustomerState, order_id: str, order: OrderFacts, after: timedelta) -> bool:
    """Whether the order came of a cart that had been left for at least `after`."""
    return any(
        cart.order_id == order_id
        and cart.idle_since is not None
        and order.placed_at - cart.idle_since >= after
        for cart in state.carts.values()
    )
