"""Second stage: deltas between baskets, and the counts per product that they add up to.

**Why a watermark per source partition is enough.** The deltas of source partition S come from the one worker that owns S. It
reads S in offset order, sends the deltas of its records in that order and waits for the acknowledgement of each batch
before it takes the next, through an idempotent producer, which keeps the order within each target partition. A product's
deltas all go to one partition. So a product sees the origins of S in rising order, and a product's deltas from one record
in the order of their `part`. After a crash or a rebalance the new owner starts at the committed offset, at or below what had
been sent, and sends the same deltas again in the same order: what was counted is at or below the watermark, and the first
delta above it is the first one missing. The same holds for two source partitions in any interleaving, since each has its
own watermark, and addition does not care about order. (Counts may be below zero for a moment when a return's delta overtakes its
order's after a crash; they are kept so.)

**Why sent again means the same.** A delta depends on how far the customer's orders and returns had been read, which may differ
after a crash. Therefore the lesson is durable in the customer's record before its deltas leave, and a replay sends that lesson.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TypedDict

import orjson

from services.recommender.domain.baskets import Change, Lesson, source_of
from shared.events import BasketDelta, Origin

PARTS = 1024
RELIABLE_SUPPORT = 100


@dataclass(frozen=True, slots=True)
class Delta:
    """What a change of one basket adds to one product: baskets gained, and the same with each other product."""

    part: int
    product: str
    bucket: int
    orders: int
    pairs: dict[str, int]


class BucketCounts(TypedDict):
    """Baskets with a product in one bucket, and of these how many had each other product."""

    orders: int
    pairs: dict[str, int]


class ProductRecord(TypedDict):
    """All that the second stage knows of a product: counts by bucket, and the last place counted of each source."""

    counts: dict[str, BucketCounts]
    watermarks: dict[str, int]


def deltas_of(lesson: Lesson) -> Iterator[Delta]:
    """The deltas of a lesson: always the same ones in the same order."""
    for part, change in enumerate(lesson["changes"]):
        yield from _deltas(part, change)


def _deltas(part: int, change: Change) -> Iterator[Delta]:
    before, after = set(change["before"]), set(change["after"])
    gained, lost = dict.fromkeys(change["after"], 1), dict.fromkeys(change["before"], -1)
    moved = {product: n for product, n in (gained | lost).items() if (product in before) != (product in after)}
    for product in sorted(before | after):
        if product in before and product in after:
            orders, pairs = 0, moved
        elif product in after:
            orders, pairs = 1, _without(gained, product)
        else:
            orders, pairs = -1, _without(lost, product)
        if orders or pairs:
            yield Delta(part, product, change["bucket"], orders, pairs)


def _without(pairs: dict[str, int], product: str) -> dict[str, int]:
    others = pairs.copy()
    del others[product]
    return others


def load(raw: bytes | None) -> ProductRecord:
    """The record in a table's value, or an empty one."""
    if raw is None:
        return {"counts": {}, "watermarks": {}}
    record: ProductRecord = orjson.loads(raw)
    return record


def dump(record: ProductRecord) -> bytes:
    """The table's value of a record."""
    return orjson.dumps(record)


def count(record: ProductRecord, delta: BasketDelta) -> bool:
    """Add one delta to `record` in place; False, and nothing is changed, if its origin was counted already."""
    source, place = source_of(delta.origin.topic, delta.origin.partition), place_of(delta.origin)
    if place <= record["watermarks"].get(source, -1):
        return False
    record["watermarks"][source] = place
    name = str(delta.bucket)
    bucket = record["counts"].setdefault(name, {"orders": 0, "pairs": {}})
    bucket["orders"] += delta.orders
    pairs = bucket["pairs"]
    for other, number in delta.pairs.items():
        total = pairs.get(other, 0) + number
        if total:
            pairs[other] = total
        else:
            del pairs[other]
    if not bucket["orders"] and not pairs:
        del record["counts"][name]
    return True


def place_of(origin: Origin) -> int:
    """An origin's place within its source partition: rises with offset, then part."""
    return origin.offset * PARTS + origin.part


def totals(record: ProductRecord) -> tuple[int, dict[str, int]]:
    """Baskets with the product over all buckets, and with each other product."""
    buckets = list(record["counts"].values())
    if len(buckets) == 1:
        return buckets[0]["orders"], buckets[0]["pairs"]
    pairs: dict[str, int] = {}
    for bucket in buckets:
        for other, number in bucket["pairs"].items():
            pairs[other] = pairs.get(other, 0) + number
    return sum(bucket["orders"] for bucket in buckets), pairs


def most_frequent(pairs: Mapping[str, int], kept: int) -> dict[str, int]:
    """The `kept` neighbours with the highest positive counts, highest first; among equals the lower id stays."""
    if len(pairs) > kept:
        floor = sorted(pairs.values(), reverse=True)[kept - 1]
        ranked = [item for item in pairs.items() if item[1] >= floor]
    else:
        ranked = list(pairs.items())
    ranked.sort(key=lambda item: (-item[1], item[0]))
    return {other: number for other, number in ranked[:kept] if number > 0}
