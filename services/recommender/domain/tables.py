"""Rows of all products of a shop at once, from events: what `rows.row` says of each, as arrays.

Everything is faded as of the end of the shop's newest bucket.
"""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from services.recommender.domain.events import Array, Events, Numbers
from services.recommender.domain.gaps import EDGES
from services.recommender.domain.rows import FOLLOWS_HALF_LIFE, follow_weight, together_fade
from services.recommender.domain.tally import BUCKET_DAYS

Floats = NDArray[np.float32]
Slots = NDArray[np.intp]


@dataclass(frozen=True)
class Tables:
    """By place in the `catalogue`: [n] or [n, n], row before column; neighbours that were pruned are zero.

    `place` [size] says where a slot stands in the catalogue, -1 if it does not. The rest is as in `PairCounts`.
    """

    catalogue: Slots
    place: Slots
    orders: Numbers
    bought: Numbers
    buyers: Numbers
    exposure: Numbers
    pairs: Floats
    together: Floats
    followers: Floats
    follows: Floats


@dataclass(frozen=True)
class Noted:
    """Events by kind. Each ends with its sign; before it, where they matter, slot or slots, bucket, lower edge of the gap."""

    bought: Events = field(default_factory=lambda: Events(np.int32, np.int16, np.int8))
    pairs: Events = field(default_factory=lambda: Events(np.int32, np.int32, np.int16, np.int8))
    buyers: Events = field(default_factory=lambda: Events(np.int32, np.int8))
    follows: Events = field(default_factory=lambda: Events(np.int32, np.int32, np.int16, np.int16, np.int8))
    later: Events = field(default_factory=lambda: Events(np.int32, np.int16, np.int16, np.int8))


def add_up(noted: Noted, catalogue: Slots, size: int, kept: int) -> Tables:
    """Add up events of `size` slots for a catalogue."""
    place = np.full(size, -1, np.intp)
    place[catalogue] = np.arange(len(catalogue))
    sums = _Sums(place, len(catalogue))
    slots, buckets, signs = noted.bought.columns()
    newest = _newest(place, len(catalogue), slots, buckets, signs)
    last = int(newest.max(initial=0))
    fades = np.array([together_fade(ago) for ago in range(last + 1)])
    orders = sums.single(slots, signs)
    held = sums.single(slots, signs * fades[np.maximum(last - buckets, 0)])
    one, other, buckets, signs = noted.pairs.columns()
    cells, inside = sums.cells(one, other)
    both = sums.square(cells, signs[inside])
    faded = sums.square(cells, (signs * fades[np.maximum(last - buckets, 0)])[inside])
    together = np.asarray(faded + faded.T, np.float32)  # so that equals stay equal, whatever came first
    near = heaviest(together, kept)
    slots, signs = noted.buyers.columns()
    first = sums.single(slots, signs)
    weigh = _Weigher(place, newest)
    slots, buckets, gaps, signs = noted.later.columns()
    exposure = sums.single(slots, signs * weigh(slots, buckets, gaps))
    one, other, buckets, gaps, signs = noted.follows.columns()
    cells, inside = sums.cells(one, other)
    weights = (signs * weigh(one, buckets, gaps))[inside]
    followed = sums.square(cells, weights)
    followers = sums.square(cells, signs[inside])
    after = heaviest(followers, kept)
    return Tables(
        catalogue=catalogue,
        place=place,
        orders=orders,
        bought=held,
        buyers=first,
        exposure=exposure,
        pairs=np.where(near, both + both.T, 0).astype(np.float32),
        together=np.where(near, together, np.float32(0)),
        followers=np.where(after, followers, 0).astype(np.float32),
        follows=np.where(after, followed, 0).astype(np.float32),
    )


def _newest(place: Slots, size: int, slots: Array, buckets: Array, signs: Array) -> NDArray[np.int64]:
    """Newest bucket [n] in which each was bought; 0 for what was not."""
    known = place[slots] >= 0
    if not known.any():
        return np.zeros(size, np.int64)
    least, span = int(buckets.min()), int(np.ptp(buckets)) + 1
    cells = place[slots[known]] * span + (buckets[known] - least)
    held = np.bincount(cells, signs[known], size * span).reshape(size, span) > 0
    return np.where(held.any(axis=1), least + span - 1 - np.argmax(held[:, ::-1], axis=1), 0)


class _Sums:
    """Adds up what concerns slots of the catalogue alone."""

    def __init__(self, place: Slots, size: int) -> None:
        self._place, self._size = place, size

    def single(self, slots: Array, weights: Array) -> Numbers:
        places = self._place[slots]
        known = places >= 0
        return np.asarray(np.bincount(places[known], weights[known], self._size), np.float64)

    def cells(self, one: Array, other: Array) -> tuple[Slots, NDArray[np.bool_]]:
        rows, columns = self._place[one], self._place[other]
        inside = (rows >= 0) & (columns >= 0)
        return rows[inside] * self._size + columns[inside], inside

    def square(self, cells: Slots, weights: Array) -> Numbers:
        found = np.bincount(cells, weights, self._size**2)
        return np.asarray(found, np.float64).reshape(self._size, self._size)


class _Weigher:
    """What a later purchase counts, as of the end of the first product's own newest bucket, and faded from there."""

    def __init__(self, place: Slots, newest: NDArray[np.int64]) -> None:
        self._place, self._newest = place, newest

    def __call__(self, slots: Array, buckets: Array, gaps: Array) -> Numbers:
        places = self._place[slots]
        own = self._newest[places]
        ago = np.where(places >= 0, np.maximum(own - buckets, 0), 0)
        table = _follow_fades(int(ago.max(initial=0)) + 1)
        last = int(self._newest.max(initial=0))
        further = np.exp2(-(last - own) * (BUCKET_DAYS / FOLLOWS_HALF_LIFE))
        return np.asarray(table[ago, gaps] * further, np.float64)


def _follow_fades(buckets: int) -> Numbers:
    """By buckets ago and lower edge of the gap."""
    table = np.zeros((buckets, EDGES[-1]))
    for ago in range(buckets):
        for edge in EDGES[:-1]:
            table[ago, edge] = follow_weight(0, str(edge), ago)
    return table


def heaviest(numbers: Array, kept: int) -> NDArray[np.bool_]:
    """Which are among the `kept` largest positive ones of their row; of equals the first."""
    chosen: NDArray[np.bool_] = numbers > 0
    if numbers.shape[1] <= kept:
        return chosen
    least = np.partition(numbers, -kept, axis=1)[:, -kept, None]
    above, level = numbers > least, numbers == least
    room = kept - above.sum(axis=1, keepdims=True)
    found: NDArray[np.bool_] = chosen & (above | (level & (np.cumsum(level, axis=1) <= room)))
    return found
