"""The records that the recommender writes in bulk, as bytes.

A quarter of a million deltas come out of two months of a grocer's orders. Building them as models would cost
several times what counting them does; a test reads each kind back as its model.
"""

from collections.abc import Iterator, Mapping

import orjson

from services.recommender.domain.affinity import Tally, deltas_of
from services.recommender.domain.baskets import Lesson
from shared.events import BasketDeltaEmitted, PairCountsUpdated
from shared.ids import event_id, partition_key

SOURCE = "orderwake/recommender"
Keyed = tuple[bytes, bytes]

_DELTA = BasketDeltaEmitted.type_name()
_COUNTS = PairCountsUpdated.type_name()


def deltas(shop: str, lesson: Lesson) -> Iterator[Keyed]:
    """Yield key and value of each `basket-deltas` record of a lesson, always the same."""
    origin = {"topic": lesson["topic"], "partition": lesson["partition"], "offset": lesson["offset"]}
    name = f"{lesson['topic']}-{lesson['partition']}-{lesson['offset']}"
    for number, delta in enumerate(deltas_of(lesson)):
        yield _record(
            shop,
            delta.product,
            {"id": f"{name}-{number}", "type": _DELTA, "time": lesson["time"]},
            {"origin": origin, "bucket": delta.bucket, "orders": delta.orders, "pairs": delta.pairs},
        )


def pair_counts(shop: str, product: str, tally: Tally, occurred_at: str) -> Keyed:
    """Key and value of the `pair-counts` record with these (pruned) counts."""
    identity = event_id(_COUNTS, shop, product, orjson.dumps(tally))
    return _record(shop, product, {"id": identity, "type": _COUNTS, "time": occurred_at}, dict(tally))


def _record(shop: str, product: str, head: Mapping[str, str], data: Mapping[str, object]) -> Keyed:
    envelope = {
        "specversion": "1.0",
        **head,
        "source": SOURCE,
        "subject": product,
        "datacontenttype": "application/json",
        "shopid": shop,
        "data": {"product_id": product, **data},
    }
    return partition_key(shop, product), orjson.dumps(envelope)
