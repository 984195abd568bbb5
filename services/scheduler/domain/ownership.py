"""What a customer has bought, sent back, and so owns."""

from services.scheduler.domain.customer import CustomerState


def owned(state: CustomerState) -> frozenset[str]:
    """Return the products of standing orders that were not sent back, and those that `fold` remembers."""
    kept = set(state.owned_before)
    back = _by_order(state)
    for order_id, order in state.orders.items():
        if not order.stands:
            continue
        gone = back.get(order_id)
        if gone is None:
            kept.update(order.products)
        else:
            kept.update(key for key, quantity in order.products.items() if quantity > gone.get(key, 0))
    return frozenset(kept)


def sent_back(state: CustomerState) -> frozenset[str]:
    """Return the products of any return that was not rejected, even when another piece was kept."""
    products = {product for fact in state.returns.values() if fact.stands for product in fact.products}
    return frozenset(products.union(state.returned_before))


def fully_returned(state: CustomerState, order_id: str) -> bool:
    """Whether every piece of an order was, or is to be, sent back."""
    order = state.orders.get(order_id)
    if order is None or not state.returns:
        return False
    back = _by_order(state).get(order_id, {})
    return all(back.get(product, 0) >= count for product, count in order.products.items())


def _by_order(state: CustomerState) -> dict[str, dict[str, int]]:
    """Return how many of each product of each order were, or are to be, sent back."""
    back: dict[str, dict[str, int]] = {}
    for fact in state.returns.values():
        if fact.stands:
            total = back.setdefault(fact.order_id, {})
            for product, quantity in fact.products.items():
                total[product] = total.get(product, 0) + quantity
    return back
