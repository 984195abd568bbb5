"""The records that the recommender writes in bulk, as bytes.

A quarter of a million deltas come out of two months of a grocer's orders. Building them as models would cost
several times what counting them does; a test reads each kind back as its model.
"""

from collections.abc import Iterator

import orjson

from services.recommender.domain.affinity import Tally, deltas_of
from services.recommender.domain.baskets import Lesson
from shared.events import BasketDeltaEmitted, PairCountsUpdated
from shared.ids import partition_key

SOURCE = "orderwake/recommender"
Keyed = tuple[bytes, bytes]


def deltas(shop: str, lesson: Lesson) -> Iterator[Keyed]:
    """Yield key and value of each `basket-deltas` record of a lesson, always the same."""
    origin = {"topic": lesson["topic"], "partition": lesson["partition"], "offset": lesson["offset"]}
    name = f"{lesson['topic']}-{lesson['partition']}-{lesson['offset']}"
    for number, delta in enumerate(deltas_of(lesson)):
        data = {
            "origin": origin, "product_id": delta.product, "bucket": delta.bucket,
            "orders": delta.orders, "pairs": delta.pairs,
        }  # fmt: skip
        kind = BasketDeltaEmitted.type_name()
        yield _record(shop, delta.product, kind, f"{name}-{number}", lesson["time"], data)


def pair_counts(shop: str, product: str, tally: Tally, identity: str, occurred_at: str) -> Keyed:
    """Key and value of a `pair-counts` record with these (pruned) counts."""
    data = {"product_id": product, "orders": tally["orders"], "pairs": tally["pairs"]}
    return _record(shop, product, PairCountsUpdated.type_name(), identity, occurred_at, data)


def _record(shop: str, product: str, kind: str, identity: str, time: str, data: object) -> Keyed:
    envelope = {
        "specversion": "1.0", "id": identity, "source": SOURCE, "type": kind, "time": time, "subject": product,
        "datacontenttype": "application/json", "shopid": shop, "data": data,
    }  # fmt: skip
    return partition_key(shop, product), orjson.dumps(envelope)
