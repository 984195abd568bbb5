"""Second stage: deltas between baskets, and the counts per product that they add up to.

A record holds one product's counts in one bucket of 28 days. So only the open bucket's records are rewritten,
and none grows with the years.

**Why a watermark per source partition is enough.** The deltas of source partition S come from the one worker
that owns S. It reads S in offset order, sends the deltas of its records in that order and waits for the
acknowledgement of a batch before it takes the next; within a target partition the producer keeps the order,
retries included. A product's deltas all go to one partition, and one source record has at most one delta for a
product in a bucket. So a record sees the origins of S in rising order. After a crash or a rebalance the new
owner starts at the committed offset, at or below what had been sent, and sends the same deltas again in the
same order: those counted are at or below the watermark, and the first one above it is the first one missing.
Several sources interleave at will: each has its own watermark, and sums do not care. (After a crash a return's
delta may overtake its order's; until that comes, counts may be below zero, and are kept so.)

**Why sent again means the same.** A delta depends on how far both orders and returns of the customer had been
read, and that may differ after a crash. Therefore a lesson is durable in the customer's record before its deltas
leave, and a replay sends that lesson.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple, TypedDict

import orjson

from services.recommender.domain.baskets import Change, Lesson, source_of
from shared.events import BasketDelta
from shared.ids import partition_key


class Delta(NamedTuple):
    """What a change of one basket adds to one product: baskets gained, and the same with each other product."""

    product: str
    bucket: int
    orders: int
    pairs: dict[str, int]


class Tally(TypedDict):
    """Baskets with a product, and of these how many had each other product."""

    orders: int
    pairs: dict[str, int]


class BucketRecord(Tally):
    """A product's counts in one bucket. `watermarks` hold the last offset counted of each source."""

    watermarks: dict[str, int]


def deltas_of(lesson: Lesson) -> Iterator[Delta]:
    """Yield the deltas of a lesson: always the same ones in the same order."""
    for change in lesson["changes"]:
        yield from _deltas(change)


def _deltas(change: Change) -> Iterator[Delta]:
    if not change["before"]:
        yield from _first_deltas(change["bucket"], change["after"])
        return
    before, after = set(change["before"]), set(change["after"])
    gained, lost = dict.fromkeys(change["after"], 1), dict.fromkeys(change["before"], -1)
    moved = {other: n for other, n in (gained | lost).items() if (other in before) != (other in after)}
    for product in sorted(before | after):
        if product in before and product in after:
            orders, pairs = 0, moved
        elif product in after:
            orders, pairs = 1, _without(gained, product)
        else:
            orders, pairs = -1, _without(lost, product)
        if orders or pairs:
            yield Delta(product, change["bucket"], orders, pairs)


def _first_deltas(bucket: int, products: Sequence[str]) -> Iterator[Delta]:
    """The deltas of a basket that taught nothing before: nearly all are such. `products` are distinct and sorted."""
    gained = dict.fromkeys(products, 1)
    for product in products:
        yield Delta(product, bucket, 1, _without(gained, product))


def _without(pairs: dict[str, int], product: str) -> dict[str, int]:
    others = pairs.copy()
    del others[product]
    return others


def bucket_key(shop: str, product: str, bucket: int) -> bytes:
    """Key of a product's record for one bucket."""
    return b"%b|%d" % (partition_key(shop, product), bucket)


def split_bucket_key(key: bytes) -> tuple[bytes, int] | None:
    """Undo `bucket_key`: the product's key (shop|product) and the bucket; None for a key of another kind."""
    product, _, bucket = key.rpartition(b"|")
    return (product, int(bucket)) if b"|" in product else None


def load(raw: bytes | None) -> BucketRecord:
    """Read a table's value; None is an empty record."""
    if raw is None:
        return {"orders": 0, "pairs": {}, "watermarks": {}}
    record: BucketRecord = orjson.loads(raw)
    return record


def dump(record: BucketRecord) -> bytes:
    """Write a record as a table's value."""
    return orjson.dumps(record)


def count(record: BucketRecord, delta: BasketDelta) -> bool:
    """Add one delta to `record` in place; False, and nothing changes, if its origin was counted already."""
    source = source_of(delta.origin.topic, delta.origin.partition)
    if delta.origin.offset <= record["watermarks"].get(source, -1):
        return False
    record["watermarks"][source] = delta.origin.offset
    record["orders"] += delta.orders
    pairs = record["pairs"]
    for other, number in delta.pairs.items():
        total = pairs.get(other, 0) + number
        if total:
            pairs[other] = total
        else:
            pairs.pop(other, None)
    return True


def total_of(records: Sequence[Tally]) -> Tally:
    """Add up a product's buckets."""
    if len(records) == 1:
        return {"orders": records[0]["orders"], "pairs": records[0]["pairs"]}
    pairs: dict[str, int] = {}
    for record in records:
        for other, number in record["pairs"].items():
            pairs[other] = pairs.get(other, 0) + number
    return {"orders": sum(record["orders"] for record in records), "pairs": pairs}


def most_frequent(pairs: Mapping[str, int], kept: int) -> dict[str, int]:
    """Keep the `kept` neighbours with the highest positive counts, highest first; among equals the lower id."""
    floor = sorted(pairs.values(), reverse=True)[kept - 1] if len(pairs) > kept else 1
    ranked = [item for item in pairs.items() if item[1] >= max(floor, 1)]
    ranked.sort(key=lambda item: (-item[1], item[0]))
    return dict(ranked[:kept])
