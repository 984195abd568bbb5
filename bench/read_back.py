"""What each contender's pair counts are, read from what it made durable."""

import re
from itertools import groupby

import orjson

from bench.broker import Broker
from bench.orders import Baskets, counts_of
from services.recommender.domain.affinity import Tally, most_frequent, total_of
from services.recommender.recount import Counts, counts_in
from shared.events import PairCountsUpdated, decode
from shared.topics import PAIR_COUNTS, RECOMMENDER_APP, changelog_name

_QUIX_KEY = re.compile(rb'[^|]+\|([^|"]+)"?\|"(\d+)\|([^"]*)"')
Totals = dict[bytes, Tally]


async def ours(broker: Broker) -> Counts:
    """The recommender's table, from its changelog."""
    found = await broker.latest(changelog_name(RECOMMENDER_APP, "pairs"))
    return counts_in((key, value) for key, value in found.values.items() if value)


async def quix(broker: Broker, changelog: str) -> Baskets:
    """A quixstreams store, from its changelog: keys are product and state key, values JSON."""
    found = await broker.latest(changelog)
    matches = ((_QUIX_KEY.fullmatch(key), value) for key, value in found.values.items())
    return counts_of(
        (match[1].decode(), int(match[2]), match[3].decode(), orjson.loads(value or b"0"))
        for match, value in matches
        if match
    )


async def stock(broker: Broker, changelog: str) -> Baskets:
    """A Faust table, from its changelog: keys and values are JSON."""
    found = await broker.latest(changelog)
    names = ((orjson.loads(key).split("|"), value) for key, value in found.values.items())
    return counts_of(
        (product, int(bucket), other, orjson.loads(value or b"0"))
        for (_, product, bucket, other), value in names
    )


async def streams(broker: Broker, changelog: str) -> Baskets:
    """A Kafka Streams store, from its changelog: keys are text, values eight bytes."""
    found = await broker.latest(changelog)
    names = ((key.decode().split("|"), value) for key, value in found.values.items())
    return counts_of(
        (product, int(bucket), other, int.from_bytes(value or b"", "big"))
        for (_, product, bucket, other), value in names
    )


def totals_of(counts: Counts, kept: int) -> Totals:
    """What `pair-counts` must say of each product (shop|product)."""
    grouped = groupby(sorted(counts), key=lambda key: key.rpartition(b"|")[0])
    totals = {product: total_of([counts[key] for key in keys]) for product, keys in grouped}
    return {
        product: {"orders": total["orders"], "pairs": most_frequent(total["pairs"], kept)}
        for product, total in totals.items()
    }


async def published(broker: Broker, expected: Totals) -> float | None:
    """When the last `pair-counts` record came, if all say what is expected; None while they do not."""
    found = await broker.latest(PAIR_COUNTS.name)
    said: Totals = {}
    for key, value in found.values.items():
        event = decode(value, PAIR_COUNTS.types)
        if isinstance(event, PairCountsUpdated):
            said[key] = {"orders": event.data.orders, "pairs": event.data.pairs}
    return found.at if said == expected else None
