"""The records that the recommender writes in bulk, as bytes.

Building them as models would cost several times what counting them does; a test reads each kind back as its model.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from hashlib import blake2b

import orjson

from services.recommender.domain.tally import Counted, tallies
from shared.events import (
    BasketDeltaEmitted,
    CustomerJoined,
    CustomerProductsUpdated,
    HistoryMoved,
    Origin,
    PairCountsUpdated,
)
from shared.ids import partition_key

SOURCE = "orderwake/recommender"
DELTA_BYTES = 400_000
Keyed = tuple[bytes, bytes]

_DELTA = BasketDeltaEmitted.type_name()
_COUNTS = PairCountsUpdated.type_name()
_HAS = CustomerProductsUpdated.type_name()
_JOINED = CustomerJoined.type_name()
_HISTORY = HistoryMoved.type_name()


def deltas(
    shop: str, origin: Origin, time: str, counted: Counted, partition_of: Callable[[bytes], int]
) -> Iterator[tuple[int, bytes]]:
    """Yield partition and value of each `basket-deltas` record of a run of orders and returns of one shop.

    `partition_of` says where a product's key belongs. A product is in one record, and records are of DELTA_BYTES or so.
    """
    of = origin.model_dump()
    by_partition: dict[int, dict[str, dict[str, object]]] = {}
    for product, bucket, tally in tallies(counted):
        partition = partition_of(partition_key(shop, product))
        by_partition.setdefault(partition, {}).setdefault(product, {})[str(bucket)] = tally
    for partition, products in sorted(by_partition.items()):
        for number, part in enumerate(_parts(products)):
            head = {
                "specversion": "1.0",
                "id": f"{origin.topic}-{origin.partition}-{origin.offset}-{shop}-{partition}-{number}",
                "source": SOURCE,
                "type": _DELTA,
                "time": time,
                "datacontenttype": "application/json",
                "shopid": shop,
            }
            yield partition, orjson.dumps({**head, "data": {"origin": of, "counts": orjson.Fragment(part)}})


def _parts(products: dict[str, dict[str, object]]) -> Iterator[bytes]:
    """Split products so that each part, as JSON, is of DELTA_BYTES or so."""
    whole = orjson.dumps(products)
    if len(whole) <= DELTA_BYTES or len(products) == 1:
        yield whole
        return
    names = list(products)
    half = len(names) // 2
    yield from _parts({name: products[name] for name in names[:half]})
    yield from _parts({name: products[name] for name in names[half:]})


def pair_counts(shop: str, product: str, row: Mapping[str, object], occurred_at: str) -> Keyed:
    """Key and value of the `pair-counts` record with a product's row (see `domain.rows`)."""
    data = orjson.dumps({"product_id": product, **row})
    head = {"id": _digest(shop, data), "type": _COUNTS, "time": occurred_at}
    return _record(shop, product, head, orjson.Fragment(data))


def joined(shop: str, former: str, customer: str, identity: str, occurred_at: str) -> Keyed:
    """Key and value of the `customer-moves` record that says who a former id became."""
    head = {"id": identity, "type": _JOINED, "time": occurred_at, "customerid": former}
    return _record(shop, former, head, {"customer_id": customer})


def history(shop: str, customer: str, data: Mapping[str, object], identity: str, occurred_at: str) -> Keyed:
    """Key and value of the `customer-moves` record that hands orders and returns (`shared.events.History`) on."""
    head = {"id": identity, "type": _HISTORY, "time": occurred_at, "customerid": customer}
    return _record(shop, customer, head, data)


def customer_products(
    shop: str, customer: str, products: Mapping[str, object], returned: Sequence[str], occurred_at: str
) -> Keyed:
    """Key and value of the `customer-products` record with what a customer has, and what they sent back."""
    data = orjson.dumps({"products": products, "returned": returned})
    head = {"id": _digest(shop, customer, data), "type": _HAS, "time": occurred_at, "customerid": customer}
    return _record(shop, customer, head, orjson.Fragment(data))


def _digest(*parts: str | bytes) -> str:
    """Id of a record that says a state: the same state has the same id."""
    whole = b"\x1f".join(part.encode() if isinstance(part, str) else part for part in parts)
    return blake2b(whole, digest_size=16).hexdigest()


def _record(
    shop: str, subject: str, head: Mapping[str, str], data: Mapping[str, object] | orjson.Fragment
) -> Keyed:
    envelope = {
        "specversion": "1.0",
        **head,
        "source": SOURCE,
        "subject": subject,
        "datacontenttype": "application/json",
        "shopid": shop,
        "data": data,
    }
    return partition_key(shop, subject), orjson.dumps(envelope)
