"""A single-threaded recount of the log: what the tables must equal, by a way of its own.

It looks at the final state of each order only. So it shares the definition of what a basket teaches with the live
stages, but neither their deltas nor their watermarks.
"""

from collections.abc import Iterable

from services.recommender.domain.affinity import Tally, bucket_key, load, split_bucket_key
from services.recommender.domain.baskets import (
    Bought,
    CameBack,
    bought,
    came_back,
    order_precedence,
    return_precedence,
    taught_by,
)
from shared.events import OrderRecorded, ReturnRecorded

Counts = dict[bytes, Tally]


def recount(events: Iterable[OrderRecorded | ReturnRecorded]) -> Counts:
    """Count by product and bucket (see `bucket_key`) from all records of orders and returns.

    They may come in any order, and more than once.
    """
    orders: dict[tuple[str, str | None, str], Bought] = {}
    returns: dict[tuple[str, str | None, str], dict[str, CameBack]] = {}
    for event in events:
        key = (event.shopid, event.customerid, event.data.order_id)
        if isinstance(event, OrderRecorded):
            order, known = bought(event.data), orders.get(key)
            if known is None or order_precedence(order) > order_precedence(known):
                orders[key] = order
        else:
            of_order = returns.setdefault(key, {})
            item, former = came_back(event.data), of_order.get(event.data.return_id)
            if former is None or return_precedence(item) > return_precedence(former):
                of_order[event.data.return_id] = item
    counts: Counts = {}
    for key, order in orders.items():
        _add(counts, key[0], order["bucket"], taught_by(order, returns.get(key, {})))
    return counts


def _add(counts: Counts, shop: str, bucket: int, products: list[str]) -> None:
    for product in products:
        tally = counts.setdefault(bucket_key(shop, product, bucket), {"orders": 0, "pairs": {}})
        tally["orders"] += 1
        for other in products:
            if other != product:
                tally["pairs"][other] = tally["pairs"].get(other, 0) + 1


def counts_in(table: Iterable[tuple[bytes, bytes]]) -> Counts:
    """Read the counts out of the table `pairs`, to be compared with a recount: what came to nothing is left out."""
    counts: Counts = {}
    for key, raw in table:
        if split_bucket_key(key):
            record = load(raw)
            if record["orders"] or record["pairs"]:
                counts[key] = {"orders": record["orders"], "pairs": record["pairs"]}
    return counts
