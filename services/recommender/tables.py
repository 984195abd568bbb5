"""From a batch to a table and out again: one read and one write per key and batch, however many events it has."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import orjson

from services.recommender import wire
from services.recommender.domain import affinity, baskets
from services.recommender.domain.affinity import Tally, bucket_key
from shared import metrics
from shared.events import BasketDelta, BasketDeltaEmitted, OrderRecorded, Origin, ReturnRecorded
from shared.ids import partition_key, split_key
from shared.kafka.faust import Output, PartitionTable
from shared.kafka.records import Admitted
from shared.topics import BASKET_DELTAS

UNPUBLISHED = b"\0unpublished"


@dataclass(frozen=True, slots=True)
class Counted:
    """What a batch of deltas did: keys (shop|product) of products whose counts changed, and how many pair counts."""

    products: frozenset[bytes]
    pairs: int


def learn_batch(
    table: PartitionTable, batch: Sequence[Admitted], acknowledged: Mapping[str, int]
) -> list[Output]:
    """First stage: write what customers' orders and returns became, and say the deltas, in the batch's order.

    `acknowledged` is, by source ("topic-partition"), the offset below which all deltas are with the broker.
    """
    keys = {one.record.key or b"" for one in batch}
    found = table.get_many(keys)
    records = {key: baskets.load(found.get(key)) for key in keys}
    outputs: list[Output] = []
    changed: set[bytes] = set()
    replays = 0
    for one in batch:
        key = one.record.key or b""
        if not isinstance(one.event, OrderRecorded | ReturnRecorded):
            continue
        origin = Origin(topic=one.record.topic, partition=one.record.partition, offset=one.record.offset)
        if baskets.is_replay(records[key], origin):
            replays += 1
        else:
            changed.add(key)
        lesson = baskets.learn(records[key], origin, one.event)
        if lesson:
            keyed = wire.deltas(split_key(key)[0], lesson)
            outputs.extend(Output(BASKET_DELTAS.name, name, value) for name, value in keyed)
    for key in changed:
        baskets.forget_acknowledged(records[key], acknowledged)
    table.set_many({key: baskets.dump(records[key]) for key in changed})
    metrics.REPLAYS_IGNORED.labels("customers").inc(replays)
    return outputs


def count_batch(table: PartitionTable, batch: Sequence[Admitted]) -> Counted:
    """Second stage: add up a batch of deltas by product and bucket."""
    by_key: dict[bytes, list[BasketDelta]] = defaultdict(list)
    shop_of: dict[bytes, str] = {}
    for one in batch:
        if isinstance(one.event, BasketDeltaEmitted):
            delta = one.event.data
            key = bucket_key(one.event.shopid, delta.product_id, delta.bucket)
            by_key[key].append(delta)
            shop_of[key] = one.event.shopid
    found = table.get_many(by_key)
    changes: dict[bytes, bytes | None] = {}
    products: set[bytes] = set()
    pairs = ignored = 0
    for key, deltas in by_key.items():
        record = affinity.load(found.get(key))
        counted = [delta for delta in deltas if affinity.count(record, delta)]
        ignored += len(deltas) - len(counted)
        if counted:
            changes[key] = affinity.dump(record)
            products.add(partition_key(shop_of[key], deltas[0].product_id))
            pairs += sum(len(delta.pairs) for delta in counted)
    table.set_many(changes)
    _name_buckets(table, [key for key in changes if key not in found])
    metrics.PAIRS_UPDATED.inc(pairs)
    metrics.REPLAYS_IGNORED.labels("products").inc(ignored)
    return Counted(frozenset(products), pairs)


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


def totals(table: PartitionTable, products: Sequence[bytes], kept: int) -> dict[bytes, Tally]:
    """Read products' counts over all buckets, by key (shop|product), pruned to the `kept` most frequent neighbours."""
    named = {
        product: [b"%b|%d" % (product, bucket) for bucket in orjson.loads(raw)]
        for product, raw in table.get_many(products).items()
    }
    found = table.get_many({key for keys in named.values() for key in keys})
    result: dict[bytes, Tally] = {}
    for product, keys in named.items():
        total = affinity.total_of([affinity.load(found[key]) for key in keys])
        result[product] = Tally(
            orders=max(total["orders"], 0), pairs=affinity.most_frequent(total["pairs"], kept)
        )
    return result
