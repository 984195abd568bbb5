"""Old orders folded into product ids, so that a customer of thousands of orders stays cheap."""

from datetime import datetime

from services.scheduler.domain.customer import CustomerState
from services.scheduler.domain.ownership import owned, sent_back


def fold(state: CustomerState, before: datetime) -> CustomerState:
    """Return the state with orders placed before a moment reduced to the products owned and sent back.

    `before` must lie further back than any journey reaches: folded orders have no steps any more. What comes
    later about one, such as its return, changes nothing; an order that comes again is folded again.
    """
    old = {order_id for order_id, order in state.orders.items() if order.placed_at < before}
    returns = {
        key: fact
        for key, fact in state.returns.items()
        if fact.order_id in old or (fact.order_id not in state.orders and fact.occurred_at < before)
    }
    orphans = {key for key, moment in state.deliveries.items() if key not in state.orders and moment < before}
    verdicts = {
        key: fact
        for key, fact in state.verdicts.items()
        if fact.order_id not in old or fact.decided_at >= before
    }
    if not (old or returns or orphans):
        return state
    part = state.model_copy(update={"orders": {key: state.orders[key] for key in old}, "returns": returns})
    return state.model_copy(
        update={
            "orders": {key: order for key, order in state.orders.items() if key not in old},
            "returns": {key: fact for key, fact in state.returns.items() if key not in returns},
            "deliveries": {key: at for key, at in state.deliveries.items() if key not in old | orphans},
            "verdicts": verdicts,
            "owned_before": tuple(sorted(owned(part))),
            "returned_before": tuple(sorted(sent_back(part))),
        }
    )
