"""What a customer has bought, sent back, and so owns."""

from services.scheduler.domain.customer import CustomerState


def owned(state: CustomerState) -> frozenset[str]:
    """Return the products of standing orders that were not sent back, and those that `fold` remembers."""
    kept = {
        product
        for order_id, order in state.orders.items()
        if order.stands
        for product, quantity in order.products.items()
        if quantity > came_back(state, order_id).get(product, 0)
    }
    return frozenset(kept.union(state.owned_before))


def sent_back(state: CustomerState) -> frozenset[str]:
    """Return the products of any return that was not rejected, even when another piece was kept."""
    products = {product for fact in state.returns.values() if fact.stands for product in fact.products}
    return frozenset(products.union(state.returned_before))


def came_back(state: CustomerState, order_id: str) -> dict[str, int]:
    """Return how many of each product of an order were, or are to be, sent back."""
    total: dict[str, int] = {}
    for fact in state.returns.values():
        if fact.order_id == order_id and fact.stands:
            for product, quantity in fact.products.items():
                total[product] = total.get(product, 0) + quantity
    return total


def fully_returned(state: CustomerState, order_id: str) -> bool:
    """Whether every piece of an order was, or is to be, sent back."""
    order, back = state.orders.get(order_id), came_back(state, order_id)
    return order is not None and all(
        back.get(product, 0) >= count for product, count in order.products.items()
    )
