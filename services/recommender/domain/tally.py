"""What is counted of a product in a bucket, as plain dicts: numbers that add up, whatever comes first.

The fields are those of `shared.events.affinity.Tally`. Millions of these are added and written; as models they would cost
several times what counting costs.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, TypedDict, cast

BUCKET_DAYS = 28

Numbers = dict[str, int]
Counted = dict[str, dict[int, "Tally"]]
"""Tallies by product and bucket."""


class Tally(TypedDict):
    """One product's counts in one bucket; see `shared.events.affinity.Tally` for what each means."""

    orders: int
    pairs: Numbers
    days: Numbers
    again: Numbers
    buyers: int
    newly: Numbers
    follows: dict[str, Numbers]
    later: Numbers
    left: Numbers


def empty() -> Tally:
    """Return a tally of nothing."""
    return {
        "orders": 0,
        "pairs": {},
        "days": {},
        "again": {},
        "buyers": 0,
        "newly": {},
        "follows": {},
        "later": {},
        "left": {},
    }


def at(counted: Counted, product: str, bucket: int) -> Tally:
    """Return a product's tally in a bucket, made if need be."""
    buckets = counted.get(product)
    if buckets is None:
        buckets = counted[product] = {}
    tally = buckets.get(bucket)
    if tally is None:
        tally = buckets[bucket] = empty()
    return tally


def add(tally: Tally, more: Mapping[str, Any]) -> None:
    """Add `more`, a tally that may leave out what is zero, to `tally` in place. What comes to zero goes."""
    into = cast("dict[str, Any]", tally)
    for name, value in more.items():
        if isinstance(value, int):
            into[name] += value
        elif name == "follows":
            _add_follows(into[name], value)
        else:
            _add(into[name], value)


def _add_follows(into: dict[str, Numbers], more: Mapping[str, Mapping[str, int]]) -> None:
    for gap, numbers in more.items():
        held = into.get(gap)
        if held is None:
            held = into[gap] = {}
        _add(held, numbers)
        if not held:
            del into[gap]


def _add(into: Numbers, more: Mapping[str, int]) -> None:
    if not into:
        into.update(more)
        return
    get = into.get
    for key, number in more.items():
        total = get(key, 0) + number
        if total:
            into[key] = total
        else:
            into.pop(key, None)


def bare(tally: Tally) -> dict[str, object]:
    """Return a tally without what is zero; empty if all is."""
    found: dict[str, object] = {}
    for name, value in tally.items():
        if name == "follows":
            by_gap = {
                gap: kept for gap, numbers in tally["follows"].items() if (kept := _without_zeros(numbers))
            }
            if by_gap:
                found[name] = by_gap
        elif isinstance(value, dict):
            if value and (kept := _without_zeros(value)):
                found[name] = kept
        elif value:
            found[name] = value
    return found


def _without_zeros(numbers: Numbers) -> Numbers:
    return {key: number for key, number in numbers.items() if number} if 0 in numbers.values() else numbers


def tallies(counted: Counted) -> Iterator[tuple[str, int, dict[str, object]]]:
    """Yield product, bucket and bare tally of all that did not come to nothing."""
    for product, buckets in counted.items():
        for bucket, tally in buckets.items():
            if what := bare(tally):
                yield product, bucket, what


def total(buckets: Iterable[Tally]) -> Tally:
    """Return the sum of tallies."""
    whole = empty()
    for tally in buckets:
        add(whole, tally)
    return whole
