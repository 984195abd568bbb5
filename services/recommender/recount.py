"""A single-threaded recount of the log: what the tables must equal, by a way of its own.

It looks at the final state of each order and return, and goes through each customer's timeline once. So it shares with the
live stages what a timeline teaches and what is beyond the horizon, but neither their differences, nor their deltas, nor
their watermarks.
"""

from collections.abc import Collection, Iterable, Mapping

from services.recommender.domain import baskets, kept
from services.recommender.domain.affinity import bucket_key, load, split_bucket_key
from services.recommender.domain.baskets import CustomerRecord
from services.recommender.domain.tally import Counted, bare, tallies
from services.recommender.domain.timeline import teach_all
from shared.events import CustomerRecorded, OrderRecorded, ReturnRecorded

Counts = dict[bytes, dict[str, object]]
"""Tallies without what is zero, by product and bucket (see `bucket_key`)."""

_Customer = tuple[str, str]


def recount(
    events: Iterable[OrderRecorded | ReturnRecorded | CustomerRecorded],
    erased: Collection[tuple[str, str]] = (),
) -> Counts:
    """Count by product and bucket from all records of orders, returns and customers.

    They may come more than once, and in any order that does not put an order beyond the horizon. `erased` are shop and
    customer of those whose last record of `customers` is a tombstone: their orders count no more.
    """
    records: dict[_Customer, CustomerRecord] = {}
    became: dict[_Customer, str] = {}
    told = list(events)
    for event in told:
        if isinstance(event, CustomerRecorded):
            became.update(((event.shopid, former), event.customerid or "") for former in event.data.formerly)
    for event in told:
        if isinstance(event, CustomerRecorded):
            continue
        customer = _now(became, (event.shopid, event.customerid or ""))
        if customer in erased:
            continue
        record = records.setdefault(customer, baskets.load(None))
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


def _now(became: Mapping[_Customer, str], customer: _Customer) -> _Customer:
    """Who a customer is by now."""
    seen = {customer}
    while customer in became and (customer[0], became[customer]) not in seen:
        customer = customer[0], became[customer]
        seen.add(customer)
    return customer


def _merge_order(record: CustomerRecord, event: OrderRecorded) -> None:
    order, known = kept.bought(event.data), record["orders"].get(event.data.order_id)
    if known is None or kept.order_precedence(order) > kept.order_precedence(known):
        record["orders"][event.data.order_id] = order


def _merge_return(record: CustomerRecord, event: ReturnRecorded) -> None:
    of_order = record["returns"].setdefault(event.data.order_id, {})
    item, known = kept.came_back(event.data), of_order.get(event.data.return_id)
    if known is None or kept.return_precedence(item) > kept.return_precedence(known):
        of_order[event.data.return_id] = item


def counts_in(table: Iterable[tuple[bytes, bytes]]) -> Counts:
    """Read the counts out of the table `pairs`, to be compared with a recount: what came to nothing is left out."""
    return {key: tally for key, raw in table if split_bucket_key(key) and (tally := bare(load(raw)["tally"]))}
