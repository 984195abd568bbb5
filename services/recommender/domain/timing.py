"""When people buy next, from counters: shares and gaps among all who bought, with those who have not bought *yet* allowed for.

A product's buyers are observed until the counters end, and until their eighth order after (then `left`). Whoever was not
observed for long enough may still buy. Both ends of observation are known for every buyer, whether or not they bought, so
each event is weighted by the inverse of the share still observed at its gap (inverse-probability-of-censoring weighting,
Robins and Rotnitzky 1992): the share by gap g is the sum of events / at risk over the bins up to g. `docs/timing.md` says
why this and not the product-limit estimator (of which it is a weighted form: Satten and Datta, The American Statistician
55, 2001, 207-210), and what is assumed.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain, pairwise
from typing import NamedTuple, TypedDict

from services.recommender.domain.gaps import EDGES
from services.recommender.domain.tally import BUCKET_DAYS, Tally

FOLLOWING_DAYS = 182
AGAIN_DAYS = EDGES[-1]
MIN_SUPPORT = 20
LEAST_AT_RISK = 20
LEAST_WINDOW_DAYS = 28
LEAST_STAYING = 0.8
"""A window ends where fewer than this share of those whom the calendar still shows have not left."""

_QUARTILES = (0.25, 0.5, 0.75)
_BINS = tuple((str(low), low, high) for low, high in pairwise(EDGES))


class Timed(TypedDict):
    """The fields of `shared.events.affinity.Timing`."""

    support: int
    share: float
    days: tuple[float, float, float]
    mean_days: float
    within_days: int


class Watched(NamedTuple):
    """A bin of gaps as far as it was observed: `at_risk` people, of the buckets up to `newest`, all through the bin."""

    name: str
    low: int
    high: int
    at_risk: float
    newest: int


def following(
    tallies: Mapping[int, Tally], until_day: float, wanted: Iterable[str] | None = None
) -> dict[str, Timed]:
    """By other product: who of a product's first-time buyers buys it for the first time later, and after how long.

    `tallies` are the product's, by bucket; `until_day` is the moment, in days since 1970-01-01, up to which they are
    complete. Only products of `wanted`, if given, and only with MIN_SUPPORT observed buyers.
    """
    watched = watch(
        {bucket: tally["buyers"] for bucket, tally in tallies.items()},
        {bucket: tally["left"] for bucket, tally in tallies.items()},
        until_day,
        FOLLOWING_DAYS,
    )
    seen = list(_seen(tallies, watched))
    if wanted is None:
        wanted = {product for _, numbers in seen for product in numbers}
    events: dict[str, list[int]] = {product: [0] * len(watched) for product in wanted}
    get = events.get
    for place, numbers in seen:
        for product, number in numbers.items():
            counted = get(product)
            if counted is not None:
                counted[place] += number
    return {product: timed for product, counted in events.items() if (timed := estimate(watched, counted))}


def again(tallies: Mapping[int, Tally], until_day: float) -> Timed | None:
    """Who buys the product once more, of all its purchases, and after how long; None below MIN_SUPPORT.

    Each purchase counts by itself, ends with the next one and is observed until `until_day` (as for `following`).
    """
    watched = watch({bucket: tally["orders"] for bucket, tally in tallies.items()}, {}, until_day, AGAIN_DAYS)
    events = [
        sum(tally["again"].get(found.name, 0) for bucket, tally in tallies.items() if bucket <= found.newest)
        for found in watched
    ]
    return estimate(watched, events)


def observed_until(tallies: Mapping[int, Tally]) -> float:
    """The last moment, in days since 1970-01-01, that a product's tallies themselves show to have been observed.

    That is its last day with a purchase, or the earliest at which the latest of its buyers' later orders can have been.
    Whoever reads a history that ended long ago, or only up to here so far, must not take silence since then for an answer.
    """
    bought = (int(day) for tally in tallies.values() for day, number in tally["days"].items() if number > 0)
    later = (
        bucket * BUCKET_DAYS + int(gap)
        for bucket, tally in tallies.items()
        for gap, number in tally["later"].items()
        if number > 0
    )
    return float(max(chain(bought, later), default=0))


def watch(
    subjects: Mapping[int, int], left: Mapping[int, Mapping[str, int]], until_day: float, window_days: int
) -> list[Watched]:
    """How many subjects were observed through each bin, from the shortest gap on; empty if that is not long enough.

    A bucket counts in a bin only if its very last day was observed through the whole bin: when in the bucket people
    bought is not asked. Of those who left within a bin half its length counts, as in a life table (Cutler and Ederer 1958).
    """
    gone: dict[int, float] = dict.fromkeys(subjects, 0.0)
    watched: list[Watched] = []
    for name, low, high in _BINS:
        newest = int((until_day - high) // BUCKET_DAYS) - 1
        seen = at_risk = 0.0
        for bucket, number in subjects.items():
            leaving = left[bucket].get(name, 0) if bucket in left else 0
            if bucket <= newest:
                seen += number
                at_risk += number - gone[bucket] - leaving / 2
            gone[bucket] += leaving
        if high > window_days or at_risk < LEAST_AT_RISK or at_risk < LEAST_STAYING * seen:
            break
        watched.append(Watched(name, low, high, at_risk, newest))
    return watched if watched and watched[-1].high >= LEAST_WINDOW_DAYS else []


def estimate(watched: Sequence[Watched], events: Sequence[int]) -> Timed | None:
    """Share and gaps from the events of each observed bin; None below MIN_SUPPORT events.

    Quartiles and the mean are of the gaps of those who bought within the window, spread evenly within a bin.
    """
    support = sum(events)
    if support < MIN_SUPPORT:
        return None
    steps = [number / found.at_risk for found, number in zip(watched, events, strict=True)]
    share = sum(steps)
    mean = (
        sum(step * (found.low + found.high) / 2 for step, found in zip(steps, watched, strict=True)) / share
    )
    first, median, third = (_quantile(watched, steps, part * share) for part in _QUARTILES)
    return {
        "support": support,
        "share": round(min(share, 1.0), 4),
        "days": (round(first, 2), round(median, 2), round(third, 2)),
        "mean_days": round(mean, 2),
        "within_days": watched[-1].high,
    }


def _seen(
    tallies: Mapping[int, Tally], watched: Sequence[Watched]
) -> Iterator[tuple[int, Mapping[str, int]]]:
    """Place of the bin, and who followed in it, of all buckets and bins that were observed."""
    places = {found.name: (place, found.newest) for place, found in enumerate(watched)}
    for bucket, tally in tallies.items():
        for name, numbers in tally["follows"].items():
            place, newest = places.get(name, (0, bucket - 1))
            if bucket <= newest:
                yield place, numbers


def _quantile(watched: Sequence[Watched], steps: Sequence[float], target: float) -> float:
    below = 0.0
    for found, step in zip(watched, steps, strict=True):
        if step > 0 and below + step >= target:
            return found.low + (found.high - found.low) * (target - below) / step
        below += step
    return float(watched[-1].high)
