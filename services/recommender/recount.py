"""A single-threaded recount of the log: what the tables must equal, by a way of its own.

It looks at the final state of each order only, so it shares the definition of what a basket teaches with the live stages,
but neither their deltas nor their watermarks.
"""

from collections.abc import Iterable
from itertools import permutations

from services.recommender.domain.affinity import BucketCounts, ProductRecord
from services.recommender.domain.baskets import Bought, CameBack, bought, came_back, taught_by
from shared.events import OrderRecorded, ReturnRecorded
from shared.ids import partition_key

Counts = dict[bytes, dict[str, BucketCounts]]


def recount(events: Iterable[OrderRecorded | ReturnRecorded]) -> Counts:
    """Counts by product key (shop|product) and bucket, from all records of orders and returns.

    Records of one order, and of one return, must come in the order of the log where their versions are equal; otherwise any
    order will do.
    """
    orders: dict[tuple[str, str | None, str], Bought] = {}
    returns: dict[tuple[str, str | None, str], dict[str, CameBack]] = {}
    for event in events:
        key = (event.shopid, event.customerid, event.data.order_id)
        if isinstance(event, OrderRecorded):
            known = orders.get(key)
            if known is None or event.data.version > known["version"]:
                orders[key] = bought(event.data)
        else:
            of_order = returns.setdefault(key, {})
            former = of_order.get(event.data.return_id)
            if former is None or event.data.version > former["version"]:
                of_order[event.data.return_id] = came_back(event.data)
    counts: Counts = {}
    for key, order in orders.items():
        _add(counts, key[0], order["bucket"], taught_by(order, returns.get(key, {})))
    return counts


def _add(counts: Counts, shop: str, bucket: int, products: list[str]) -> None:
    name = str(bucket)
    for product in products:
        by_bucket = counts.setdefault(partition_key(shop, product), {})
        by_bucket.setdefault(name, {"orders": 0, "pairs": {}})["orders"] += 1
    for product, other in permutations(products, 2):
        pairs = counts[partition_key(shop, product)][name]["pairs"]
        pairs[other] = pairs.get(other, 0) + 1


def counts_of(records: Iterable[tuple[bytes, ProductRecord]]) -> Counts:
    """The counts in records of the second stage, by key, to be compared with a recount."""
    return {key: record["counts"] for key, record in records if record["counts"]}
