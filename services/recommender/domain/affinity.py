"""Second stage: the counts per product that deltas add up to.

A record holds one product's tally in one bucket of 28 days, so that what is past is seldom rewritten and none grows with
the years.

**Why a watermark per source partition is enough.** A delta sums up a run of one source partition's records, and is durable
in the first stage's table, in the very write that makes those records' effects durable there, before it leaves. The worker
that owns the source partition sends its deltas in order, and waits for the acknowledgement of one run before it takes the
next. After a crash or a rebalance the new owner finds in the table how far the effects reach and the last run's deltas,
sends those again, the same, and goes on with the first record that has no effect yet. So a product's record sees rising
origins of each source; what comes again is at or below the watermark, and nothing above it is missing. Several sources
interleave at will: each has its own watermark, and sums do not care. (After a crash a return's delta may overtake its
order's; until that comes, counts may be below zero, and are kept so.)
"""

from collections.abc import Mapping
from typing import TypedDict

import orjson

from services.recommender.domain.tally import Tally, add, bare, empty
from shared.ids import partition_key


class BucketRecord(TypedDict):
    """A product's counts in one bucket. `watermarks` hold the last offset counted of each source."""

    tally: Tally
    watermarks: dict[str, int]


def source_of(topic: str, partition: int) -> str:
    """Name of a source partition in watermarks."""
    return f"{topic}-{partition}"


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
        return {"tally": empty(), "watermarks": {}}
    read = orjson.loads(raw)
    watermarks: dict[str, int] = read.pop("watermarks")
    tally: Tally = {**empty(), **read}
    return {"tally": tally, "watermarks": watermarks}


def dump(record: BucketRecord) -> bytes:
    """Write a record as a table's value."""
    return orjson.dumps({**bare(record["tally"]), "watermarks": record["watermarks"]})


def count(record: BucketRecord, source: str, offset: int, tally: Mapping[str, object]) -> bool:
    """Add one delta to `record` in place; False, and nothing changes, if its origin was counted already."""
    watermarks = record["watermarks"]
    if offset <= watermarks.get(source, -1):
        return False
    watermarks[source] = offset
    add(record["tally"], tally)
    return True


def most_frequent(numbers: Mapping[str, float], kept: int) -> list[str]:
    """Return the `kept` neighbours with the highest positive counts, highest first; among equals the lower id."""
    floor = sorted(numbers.values(), reverse=True)[kept - 1] if len(numbers) > kept else 0
    ranked = sorted((-number, other) for other, number in numbers.items() if number > 0 and number >= floor)
    return [other for _, other in ranked[:kept]]
