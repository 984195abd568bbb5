"""From a batch to a table and out again: one read and one write per key and batch, however many events it has."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson
from cramjam import snappy

from services.recommender import wire
from services.recommender.domain import affinity, baskets, rows
from services.recommender.domain.affinity import bucket_key, source_of
from services.recommender.domain.baskets import CustomerRecord, Outcome
from services.recommender.domain.tally import Counted, Tally
from shared import metrics
from shared.events import OrderRecorded, Origin, ReturnRecorded
from shared.ids import partition_key, split_key
from shared.kafka.faust import Output, PartitionTable
from shared.kafka.records import Admitted
from shared.topics import BASKET_DELTAS

UNPUBLISHED = b"\0unpublished"
_SEEN, _PENDING = b"\0seen ", b"\0pending "


@dataclass(frozen=True, slots=True)
class Learned:
    """What a batch of the first stage sends, and keys (shop|customer) of those whose record changed."""

    outputs: list[Output]
    customers: frozenset[bytes]


@dataclass(frozen=True, slots=True)
class Updated:
    """What a batch of deltas did: keys (shop|product) of products whose counts changed, and how many pair counts."""

    products: frozenset[bytes]
    pairs: int


class Learner:
    """First stage: what customers' orders and returns become, and the deltas that say so.

    A batch's changes of the table are written as one, all or none, and hold how far they reach (by topic) and the deltas to
    send. So a batch that comes again has no effect and sends the same deltas again. `partition_of` says where a product's
    key belongs.
    """

    def __init__(self, table: PartitionTable, partition_of: Callable[[bytes], int]) -> None:
        self._table = table
        self._partition_of = partition_of
        self._records: dict[bytes, CustomerRecord] = {}
        self._counted: dict[str, Counted] = defaultdict(dict)
        self._times: dict[str, str] = {}

    def learn(self, batch: Sequence[Admitted]) -> Learned:
        """Take a batch of one partition of one topic, in order (at least one record)."""
        first = batch[0].record
        name = f"{first.topic}".encode()
        seen = int(self._table.get(_SEEN + name) or b"-1")
        again = _unpack(self._table.get(_PENDING + name)) if first.offset <= seen else []
        fresh = [one for one in batch if one.record.offset > seen]
        metrics.REPLAYS_IGNORED.labels("customers").inc(len(batch) - len(fresh))
        if not fresh:
            return Learned(_outputs(again), frozenset())
        self._take(fresh)
        last = fresh[-1].record
        origin = Origin(topic=last.topic, partition=last.partition, offset=last.offset)
        deltas = [
            delta
            for shop, counted in sorted(self._counted.items())
            for delta in wire.deltas(shop, origin, self._times[shop], counted, self._partition_of)
        ]
        self._table.set_many({key: baskets.dump(record) for key, record in self._records.items()})
        self._table.set(_SEEN + name, b"%d" % last.offset)
        self._table.set(_PENDING + name, _pack([*again, *deltas]))
        return Learned(_outputs([*again, *deltas]), frozenset(self._records))

    def _take(self, fresh: Sequence[Admitted]) -> None:
        keys = {one.record.key or b"" for one in fresh}
        found = self._table.get_many(keys)
        self._records = {key: baskets.load(found.get(key)) for key in keys}
        late = 0
        for one in fresh:
            key, event = one.record.key or b"", one.event
            if not isinstance(event, OrderRecorded | ReturnRecorded):
                continue
            shop = split_key(key)[0]
            counted = self._counted[shop]
            self._times[shop] = event.time.isoformat()
            if isinstance(event, OrderRecorded):
                outcome = baskets.take_order(self._records[key], event.data, counted)
            else:
                outcome = baskets.take_return(self._records[key], event.data, counted)
            late += outcome is Outcome.BEYOND_HORIZON
        metrics.BEYOND_HORIZON.inc(late)


def _outputs(deltas: Iterable[tuple[int, bytes]]) -> list[Output]:
    return [Output(BASKET_DELTAS.name, None, value, (), partition) for partition, value in deltas]


def _pack(deltas: Sequence[tuple[int, bytes]]) -> bytes:
    return bytes(snappy.compress(orjson.dumps([(partition, value.decode()) for partition, value in deltas])))


def _unpack(raw: bytes | None) -> list[tuple[int, bytes]]:
    if raw is None:
        return []
    found = orjson.loads(bytes(snappy.decompress(raw)))
    return [(partition, value.encode()) for partition, value in found]


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
