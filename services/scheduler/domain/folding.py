"""Old orders folded into product ids, counts and sums, so that a customer of thousands of orders stays cheap."""

from datetime import datetime
from decimal import Decimal

from msgspec.structs import replace

from services.scheduler.domain.customer import CustomerState, OrderFacts
from services.scheduler.domain.ownership import owned, sent_back
from shared.events import OrderStatus

WHOLE = 200
"""How many of a customer's newest orders are kept whole at most."""


def fold(state: CustomerState, before: datetime) -> CustomerState:
    """Return the state with orders placed before a moment, and all but the newest 200, reduced to what is owned and sums.

    `before` must lie further back than any journey reaches: folded orders have no steps any more. What comes
    later about one, such as its return, changes nothing; an order that comes again is folded again, and counts once.
    """
    cut = _cut(state, before)
    # A dispute forbids for good, so its order stays.
    old = {
        order_id: order
        for order_id, order in state.orders.items()
        if order.placed_at < cut and order.status is not OrderStatus.DISPUTED
    }
    returns = {
        key: fact
        for key, fact in state.returns.items()
        if fact.order_id in old or (fact.order_id not in state.orders and fact.occurred_at < cut)
    }
    orphans = {key for key, moment in state.deliveries.items() if key not in state.orders and moment < cut}
    carts = {key for key, cart in state.carts.items() if cart.idle_since is None or cart.idle_since < before}
    if not (old or returns or orphans or any(state.carts[key].idle_since for key in carts)):
        return state
    verdicts = {
        key: fact
        for key, fact in state.verdicts.items()
        if fact.order_id not in old or (fact.counts and fact.decided_at >= before)
    }
    part = replace(state, orders=old, returns=returns)
    newly = [order for order in old.values() if order.stands and _uncounted(state, order)]
    return replace(
        state,
        orders={key: order for key, order in state.orders.items() if key not in old},
        returns={key: fact for key, fact in state.returns.items() if key not in returns},
        deliveries={key: at for key, at in state.deliveries.items() if key not in old and key not in orphans},
        carts={key: cart for key, cart in state.carts.items() if key not in carts or cart.idle_since is None},
        verdicts=verdicts,
        responses={
            key: each for key, each in state.responses.items() if key in {str(kept) for kept in verdicts}
        },
        owned_before=tuple(sorted(owned(part))),
        returned_before=tuple(sorted(sent_back(part))),
        orders_before=state.orders_before + len(newly),
        spent_before=_sums(state.spent_before, newly),
        folded_until=max(cut, state.folded_until or cut) if old else state.folded_until,
    )


def _cut(state: CustomerState, before: datetime) -> datetime:
    """Return the moment before which orders are folded; once folded, a span stays so."""
    cut = max(before, state.folded_until or before)
    if len(state.orders) > WHOLE:
        newest = sorted((order.placed_at for order in state.orders.values()), reverse=True)
        cut = max(cut, newest[WHOLE - 1])
    return cut


def _uncounted(state: CustomerState, order: OrderFacts) -> bool:
    return state.folded_until is None or order.placed_at >= state.folded_until


def _sums(known: dict[str, Decimal], orders: list[OrderFacts]) -> dict[str, Decimal]:
    sums = dict(known)
    for order in orders:
        sums[order.currency] = sums.get(order.currency, Decimal(0)) + order.total
    return dict(sorted(sums.items()))
