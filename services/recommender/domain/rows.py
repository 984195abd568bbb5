"""A product's row: its tallies over all buckets, as `pair-counts` publishes them and relevance reads them.

What is faded counts a purchase half after a half-life: TOGETHER_HALF_LIFE days for baskets, by bucket; for what follows
FOLLOWS_HALF_LIFE days since the later purchase and LAG_HALF_LIFE days between the two, by bucket and gap. All as of the end
of the row's newest bucket, so a row changes only when a count does; readers fade further, to their own moment.
"""

from collections import defaultdict
from collections.abc import Mapping
from typing import Any, Literal

from services.recommender.domain.affinity import most_frequent
from services.recommender.domain.gaps import EDGES, span_of
from services.recommender.domain.tally import BUCKET_DAYS, Tally
from services.recommender.domain.timing import again, following, observed_until

TOGETHER_HALF_LIFE = 364.0
FOLLOWS_HALF_LIFE = 60.0
LAG_HALF_LIFE = 30.0
RECENT_DAYS = 56

_MIDDLES = {str(edge): sum(span_of(str(edge))) / 2 for edge in EDGES[:-1]}


def row(buckets: Mapping[int, Tally], kept: int, until_day: float) -> dict[str, Any]:
    """Return a product's row, as `shared.events.PairCounts` without the product, from its tallies by bucket (at least one).

    Of neighbours and followers the `kept` heaviest stay. `until_day` is how far, in days since 1970-01-01, purchases have
    been observed at most: who has not bought again by then counts as not having bought yet.
    """
    newest = max(buckets)
    pairs, together = _pairs(buckets, newest)
    near = most_frequent(together, kept)
    followers, faded = _follows(buckets, newest)
    after = most_frequent(followers, kept)
    found: dict[str, Any] = {
        "orders": max(sum(tally["orders"] for tally in buckets.values()), 0),
        "pairs": {other: pairs[other] for other in near},
        "bucket": newest,
        "bought": sum(
            max(tally["orders"], 0) * together_fade(newest - bucket)
            for bucket, tally in sorted(buckets.items())
        ),
        "together": {other: together[other] for other in near},
        "buyers": max(sum(tally["buyers"] for tally in buckets.values()), 0),
        "follows": {other: (followers[other], faded[other]) for other in after},
        "exposure": _exposure(buckets, newest),
        "recent": _last_days(buckets, "days", newest),
        "newly": _last_days(buckets, "newly", newest),
    }
    until = min(until_day, observed_until(buckets))
    return found | {"timing": following(buckets, until, after), "repurchase": again(buckets, until)}


def together_fade(buckets_ago: int) -> float:
    """What a basket counts that is so many buckets older than the newest."""
    return float(2.0 ** (-buckets_ago * BUCKET_DAYS / TOGETHER_HALF_LIFE))


def _pairs(buckets: Mapping[int, Tally], newest: int) -> tuple[dict[str, int], dict[str, float]]:
    pairs: dict[str, int] = {}
    together: dict[str, float] = {}
    for bucket in sorted(buckets):
        fade = together_fade(newest - bucket)
        for other, number in buckets[bucket]["pairs"].items():
            pairs[other] = pairs.get(other, 0) + number
            together[other] = together.get(other, 0.0) + number * fade
    return pairs, together


def follow_weight(bucket: int, gap: str, newest: int) -> float:
    """What one later purchase counts: the longer ago, and the longer after the first, the less."""
    middle = _MIDDLES[gap]
    ago = (newest - bucket + 0.5) * BUCKET_DAYS - middle
    return float(2.0 ** (-max(ago, 0.0) / FOLLOWS_HALF_LIFE - middle / LAG_HALF_LIFE))


def _follows(buckets: Mapping[int, Tally], newest: int) -> tuple[dict[str, int], dict[str, float]]:
    followers: dict[str, int] = defaultdict(int)
    faded: dict[str, float] = defaultdict(float)
    for bucket in sorted(buckets):
        by_gap = buckets[bucket]["follows"]
        for gap in sorted(by_gap):
            weight = follow_weight(bucket, gap, newest)
            for other, number in by_gap[gap].items():
                followers[other] += number
                faded[other] += number * weight
    return followers, faded


def _exposure(buckets: Mapping[int, Tally], newest: int) -> float:
    return sum(
        number * follow_weight(bucket, gap, newest)
        for bucket in sorted(buckets)
        for gap, number in sorted(buckets[bucket]["later"].items())
    )


def _last_days(buckets: Mapping[int, Tally], field: Literal["days", "newly"], newest: int) -> dict[str, int]:
    first = (newest + 1) * BUCKET_DAYS - RECENT_DAYS
    found: dict[str, int] = {}
    for bucket in sorted(buckets):
        if (bucket + 1) * BUCKET_DAYS > first:
            numbers: Mapping[str, int] = buckets[bucket][field]
            found.update(
                (day, number) for day, number in sorted(numbers.items()) if number > 0 and int(day) >= first
            )
    return found
