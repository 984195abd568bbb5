"""A single-threaded recount of the log: what the tables must equal, by a way of its own.

It looks at the final state of each order and return, and goes through each customer's timeline once. So it shares with the
live stages what a timeline teaches and what is beyond the horizon, but neither their differences, nor their deltas, nor
their watermarks.
"""

from collections.abc import Iterable

from services.recommender.domain import baskets
from services.recommender.domain.affinity import bucket_key, load, split_bucket_key
from services.recommender.domain.baskets import CustomerRecord
from services.recommender.domain.tally import Counted, bare, tallies
from services.recommender.domain.timeline import teach_all
from shared.events import OrderRecorded, ReturnRecorded

Counts = dict[bytes, dict[str, object]]
"""Tallies without what is zero, by product and bucket (see `bucket_key`)."""

_Customer = tuple[str, str | None]


def recount(events: Iterable[OrderRecorded | ReturnRecorded]) -> Counts:
    """Count by product and bucket from all records of orders and returns.

    They may come more than once, and in any order that does not put an order beyond the horizon.
    """
    records: dict[_Customer, CustomerRecord] = {}
    for event in events:
        record = records.setdefault((event.shopid, event.customerid), baskets.load(None))
        if isinstance(event, OrderRecorded):
            _merge_order(record, event)
        else:
            _merge_return(record, event)
    counts: Counts = {}
    by_shop: dict[str, Counted] = {}
    for (shop, _), record in records.items():
        teach_all(by_shop.setdefault(shop, {}), baskets.timeline(record))
    for shop, counted in by_shop.items():
        counts.update(
            (bucket_key(shop, product, bucket), tally) for product, bucket, tally in tallies(counted)
        )
    return counts


def _merge_order(record: CustomerRecord, event: OrderRecorded) -> None:
    order, known = baskets.bought(event.data), record["orders"].get(event.data.order_id)
    if known is None or baskets.order_precedence(order) > baskets.order_precedence(known):
        record["orders"][event.data.order_id] = order


def _merge_return(record: CustomerRecord, event: ReturnRecorded) -> None:
    of_order = record["returns"].setdefault(event.data.order_id, {})
    item, known = baskets.came_back(event.data), of_order.get(event.data.return_id)
    if known is None or baskets.return_precedence(item) > baskets.return_precedence(known):
        of_order[event.data.return_id] = item


def counts_in(table: Iterable[tuple[bytes, bytes]]) -> Counts:
    """Read the counts out of the table `pairs`, to be compared with a recount: what came to nothing is left out."""
    return {key: tally for key, raw in table if split_bucket_key(key) and (tally := bare(load(raw)["tally"]))}
