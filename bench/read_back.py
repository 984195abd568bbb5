"""What each contender's pair counts are, read from what it made durable."""

import re
from collections import defaultdict
from collections.abc import Mapping
from typing import Any

import orjson

from bench.broker import Broker
from bench.orders import Baskets, counts_of
from services.recommender.domain.rows import row
from services.recommender.domain.tally import Tally, add, empty
from services.recommender.recount import Counts, counts_in
from shared.topics import PAIR_COUNTS, RECOMMENDER_APP, changelog_name

_QUIX_KEY = re.compile(rb'[^|]+\|([^|"]+)"?\|"(\d+)\|([^"]*)"')
_OF_THE_MOMENT = ("product_id", "timing", "repurchase")
Rows = dict[bytes, dict[str, Any]]


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


def rows_of(counts: Counts, kept: int) -> Rows:
    """What `pair-counts` must say of each product (shop|product), but for what depends on when it is said."""
    grouped: dict[bytes, dict[int, Tally]] = defaultdict(dict)
    for key, tally in counts.items():
        product, _, bucket = key.rpartition(b"|")
        whole = empty()
        add(whole, tally)
        grouped[product][int(bucket)] = whole
    return {
        product: _lasting(row(dict(sorted(buckets.items())), kept, 0.0))
        for product, buckets in grouped.items()
    }


def _lasting(said: Mapping[str, Any]) -> dict[str, Any]:
    as_read: dict[str, Any] = orjson.loads(orjson.dumps(said))
    return {name: value for name, value in as_read.items() if name not in _OF_THE_MOMENT}


async def published(broker: Broker, expected: Rows) -> float | None:
    """When the last `pair-counts` record came, if all say what is expected; None while they do not."""
    found = await broker.latest(PAIR_COUNTS.name)
    said = {key: _lasting(orjson.loads(value or b"{}")["data"]) for key, value in found.values.items()}
    return found.at if said == expected else None
