"""Second stage: from a batch of deltas to a table and out again, one read and one write per key and batch."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from services.recommender.domain import affinity, rows
from services.recommender.domain.affinity import bucket_key, source_of
from services.recommender.domain.tally import Tally
from shared import metrics
from shared.ids import partition_key
from shared.kafka.faust import PartitionTable
from shared.kafka.records import Admitted

UNPUBLISHED = b"\0unpublished"


@dataclass(frozen=True, slots=True)
class Updated:
    """What a batch of deltas did: keys (shop|product) of products whose counts changed, and how many pair counts."""

    products: frozenset[bytes]
    pairs: int


def count_batch(table: PartitionTable, batch: Sequence[Admitted]) -> Updated:
    """Second stage: add up a batch of deltas (see `deltas.admission`) by product and bucket."""
    by_key: dict[bytes, list[tuple[str, int, Mapping[str, Any]]]] = defaultdict(list)
    product_of: dict[bytes, bytes] = {}
    for one in batch:
        if one.event is None:
            continue
        shop, data = one.event.shopid, one.event.data
        origin = data["origin"]
        source, offset = source_of(origin["topic"], origin["partition"]), origin["offset"]
        for product, buckets in data["counts"].items():
            for bucket, tally in buckets.items():
                key = bucket_key(shop, product, int(bucket))
                by_key[key].append((source, offset, tally))
                product_of[key] = partition_key(shop, product)
    found = table.get_many(by_key)
    changes: dict[bytes, bytes | None] = {}
    products: set[bytes] = set()
    pairs = ignored = 0
    for key, deltas in by_key.items():
        record = affinity.load(found.get(key))
        counted = [tally for source, offset, tally in deltas if affinity.count(record, source, offset, tally)]
        ignored += len(deltas) - len(counted)
        if counted:
            changes[key] = affinity.dump(record)
            products.add(product_of[key])
            pairs += sum(len(tally.get("pairs", ())) for tally in counted)
    table.set_many(changes)
    _name_buckets(table, [key for key in changes if key not in found])
    metrics.PAIRS_UPDATED.inc(pairs)
    metrics.REPLAYS_IGNORED.labels("products").inc(ignored)
    return Updated(frozenset(products), pairs)


def _name_buckets(table: PartitionTable, new: Sequence[bytes]) -> None:
    """Keep, under each product's own key, which buckets it has."""
    buckets: dict[bytes, set[int]] = defaultdict(set)
    for key in new:
        split = affinity.split_bucket_key(key)
        if split:
            buckets[split[0]].add(split[1])
    found = table.get_many(buckets)
    table.set_many(
        {
            product: orjson.dumps(sorted(numbers.union(orjson.loads(found.get(product, b"[]")))))
            for product, numbers in buckets.items()
        }
    )


def rows_of(
    table: PartitionTable, products: Sequence[bytes], kept: int, until_day: float
) -> dict[bytes, dict[str, Any]]:
    """Read products' rows (see `domain.rows`) by key (shop|product)."""
    named = {
        product: [b"%b|%d" % (product, bucket) for bucket in orjson.loads(raw)]
        for product, raw in table.get_many(products).items()
    }
    found = table.get_many({key for keys in named.values() for key in keys})
    return {
        product: rows.row(_buckets(keys, found), kept, until_day) for product, keys in named.items() if keys
    }


def _buckets(keys: Iterable[bytes], found: Mapping[bytes, bytes]) -> dict[int, Tally]:
    return {int(key.rpartition(b"|")[2]): affinity.load(found[key])["tally"] for key in keys}
