"""Which orders and carts are on the way through which edition of a journey."""

from datetime import datetime, timedelta
from typing import Literal, NamedTuple

from msgspec.structs import replace

from services.scheduler.domain import facts
from services.scheduler.domain.conditions import facts_of, holds
from services.scheduler.domain.customer import CartFacts, CustomerState, OrderFacts
from services.scheduler.domain.journey import Journey
from services.scheduler.domain.programme import Programme
from services.scheduler.domain.published import Edition, Published
from services.scheduler.domain.step import When
from shared.events import OrderStatus

SLACK = timedelta(days=30)
"""How long after its last step has expired an enrolment is still derived, for news that come late."""


class Enrolment(NamedTuple):
    """An order, or a cart that was left, on its way through an edition of a journey."""

    edition: Edition
    order_id: str
    order: OrderFacts


def enrolments(state: CustomerState, published: Published, since: datetime | None) -> list[Enrolment]:
    """List who is on the way through which edition; those that are over are left out."""
    editions = published.by_shop.get(state.shop, ())
    if not editions:
        return []
    programme = published.programme(state.shop)
    began = _beginnings(state, programme)
    entered: dict[str, list[Enrolment]] = {}
    for edition in editions:
        journey, carts = edition.journey, edition.journey.starts == "cart"
        lets_all_in = journey.re_entry == "always"
        for order_id, order in began:
            if (
                order_id.startswith(facts.CART_PREFIX) is carts
                and (not lets_all_in or not _over(state, journey, order_id, order, since))
                and edition.takes(order.placed_at)
                and _enters(state, journey, order_id, order, programme)
            ):
                entered.setdefault(journey.id, []).append(Enrolment(edition, order_id, order))
    return [each for name, found in entered.items() for each in _let_in(state, name, found, since)]


def _beginnings(state: CustomerState, programme: Programme) -> list[tuple[str, OrderFacts]]:
    """List what may begin a journey, oldest first: orders, and carts that were left, unless ordered before any verdict."""
    found = [(order_id, order) for order_id, order in state.orders.items() if order.enrols]
    for cart_id, cart in state.carts.items():
        name = f"{facts.CART_PREFIX}{cart_id}"
        # A cart on its way stays, void, once it is ordered: what was deferred must end with a skip.
        if (cart.order_id is None or _decided_on(state, name)) and (left := _left(cart, programme)):
            found.append((name, left))
    found.sort(key=lambda entry: (entry[1].placed_at, entry[0]))
    return found


def _decided_on(state: CustomerState, order_id: str) -> bool:
    return any(fact.order_id == order_id for fact in state.verdicts.values())


def _left(cart: CartFacts, programme: Programme) -> OrderFacts | None:
    """Return a cart in the form of an order, placed when it counted as left."""
    if cart.idle_since is None or not cart.products:
        return None
    return OrderFacts(
        version=1,
        placed_at=cart.idle_since + programme.abandoned_after,
        currency=cart.currency,
        total=cart.total,
        products=dict.fromkeys(cart.products, 1),
    )


def order_of(state: CustomerState, order_id: str, programme: Programme) -> OrderFacts | None:
    """Return the order that began an enrolment, or the cart in the form of one; a cart that was ordered is void."""
    if not order_id.startswith(facts.CART_PREFIX):
        return state.orders.get(order_id)
    cart = state.carts.get(order_id.removeprefix(facts.CART_PREFIX))
    left = _left(cart, programme) if cart else None
    if left is None or cart is None or cart.order_id is None:
        return left
    return replace(left, status=OrderStatus.VOIDED)


def _enters(
    state: CustomerState, journey: Journey, order_id: str, order: OrderFacts, programme: Programme
) -> bool:
    if isinstance(journey.entry, When):
        return matches(journey.entry, order)
    known = facts_of(facts.values(state, order_id, order, journey.asked, programme, journey.words))
    return holds(journey.entry, known)


def _let_in(
    state: CustomerState, journey: str, found: list[Enrolment], since: datetime | None
) -> list[Enrolment]:
    """Leave out who entered too recently, by the journey's `re_entry`; whoever has a verdict in it is in already.

    Those that are over bar others, and are then left out themselves.
    """
    terms = found[-1].edition.journey.re_entry
    kept = found if terms == "always" else _apart(state, journey, found, terms)
    return [
        one
        for one in kept
        if one.edition.journey.re_entry == "always"
        or not _over(state, one.edition.journey, one.order_id, one.order, since)
    ]


def _apart(
    state: CustomerState, journey: str, found: list[Enrolment], terms: timedelta | Literal["once"]
) -> list[Enrolment]:
    inside = {fact.order_id for fact in state.verdicts.values() if fact.journey == journey}
    kept: list[Enrolment] = []
    began = sorted(each.order.placed_at for each in found if each.order_id in inside)
    for each in found:
        at = each.order.placed_at
        if each.order_id not in inside:
            near = began if terms == "once" else [one for one in began if abs(at - one) < terms]
            if near:
                continue
            began.append(at)
        kept.append(each)
    return kept


def _over(
    state: CustomerState, journey: Journey, order_id: str, order: OrderFacts, since: datetime | None
) -> bool:
    """Whether every step that known facts give a time to expired long ago."""
    if since is None:
        return False
    last = order.placed_at
    if last + journey.reach + SLACK >= since:
        return False
    if journey.waits_long:
        last = max(last, state.deliveries.get(order_id, last), reorder_at(state, order_id, order) or last)
        if journey.waits_for_gap:
            last += timedelta(days=182)
    return last + journey.reach + SLACK < since


def matches(when: When, order: OrderFacts) -> bool:
    """Whether an order meets every condition given."""
    categories = set(order.categories.values())
    return (
        (not when.categories or not categories.isdisjoint(when.categories))
        and categories.isdisjoint(when.without)
        and (not when.products or not order.products.keys().isdisjoint(when.products))
        and (when.single_item is None or when.single_item == (len(order.products) == 1))
        and (when.total_at_least is None or order.total >= when.total_at_least)
        and (when.total_below is None or order.total < when.total_below)
    )


def reorder_at(state: CustomerState, order_id: str, order: OrderFacts) -> datetime | None:
    """Return when the first of the order's products is likely to be needed again, if none was bought again since."""
    if state.predictions is None:
        return None
    foretold = state.predictions.reorder_at
    times = {
        each: foretold[each]
        for each in order.products
        if each in foretold and foretold[each] > order.placed_at
    }
    if times:
        for key, other in state.orders.items():
            if other.stands and (other.placed_at, key) > (order.placed_at, order_id):
                for product in times.keys() & other.products:
                    del times[product]
    return min(times.values(), default=None)
