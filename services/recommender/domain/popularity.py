"""What sells of late, more than it used to, or to customers who had not had it: numbers for every product of a shop.

They are those of `cooccurrence.Counts` on the newest day on which the shop sold anything, from rows.
"""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from services.recommender.domain.cooccurrence import NEWLY_HALF_LIFE, POPULAR_DAYS, RECENT_HALF_LIFE
from services.recommender.domain.relevance import DEFAULT, trend
from services.recommender.domain.rows import RECENT_DAYS, TOGETHER_HALF_LIFE
from services.recommender.domain.tally import BUCKET_DAYS
from services.recommender.domain.votes import Scores, by_its_top
from shared.events import PairCounts

LONG_AGO = 0.01
"""What an order of any time counts, beside one of today."""

_ROOM = 64
_DAYS = np.arange(RECENT_DAYS)
_RECENT, _NEWLY = (
    np.append(np.exp2(-np.arange(POPULAR_DAYS) / half_life), 0.0).astype(np.float32)
    for half_life in (RECENT_HALF_LIFE, NEWLY_HALF_LIFE)
)
"""What a day counts, by how long ago it is; nothing from POPULAR_DAYS on."""


class _Made(NamedTuple):
    now: Scores
    newly: Scores
    trend: Scores


class Popularity:
    """Numbers by slot, as of the first time that they are asked for after `forget`."""

    def __init__(self) -> None:
        self._size = self._day = 0
        self._sold: Scores = np.zeros((3, _ROOM))
        self._by_day: NDArray[np.float32] = np.zeros((2, _ROOM, RECENT_DAYS), np.float32)
        self._made: _Made | None = None

    @property
    def now(self) -> Scores:
        """What sells of late."""
        return self._numbers().now

    @property
    def newly(self) -> Scores:
        """What customers who had ordered before bought for the first time of late; its top is about 1."""
        return self._numbers().newly

    @property
    def trend(self) -> Scores:
        """By how much more than over the years it sells of late, to a power: about 1 for most."""
        return self._numbers().trend

    def forget(self) -> None:
        """Have the numbers made anew when they are next asked for."""
        self._made = None

    def put(self, slot: int, row: PairCounts | None) -> None:
        """Take a product's newest row; None: it has none anymore."""
        if slot >= self._sold.shape[1]:
            self._sold = np.concatenate([self._sold, np.zeros((3, slot))], axis=1)
            room = np.zeros((2, slot, RECENT_DAYS), np.float32)
            self._by_day = np.concatenate([self._by_day, room], axis=1)
        self._size = max(self._size, slot + 1)
        self._by_day[:, slot] = 0.0
        if row is None:
            self._sold[:, slot] = 0.0
            return
        until = (row.bucket + 1) * BUCKET_DAYS
        self._sold[:, slot] = max(row.orders, 0), row.bought, until
        for of, by_day in zip(self._by_day[:, slot], (row.recent, row.newly), strict=True):
            _spread(of, by_day, until - RECENT_DAYS)
        self._day = max(self._day, *map(int, row.recent), 0)

    def _numbers(self) -> _Made:
        if self._made is None:
            orders, bought, until = self._sold[:, : self._size]
            recent, newly = self._faded(until)
            bought = bought * np.exp2((until - until.max(initial=0.0)) / TOGETHER_HALF_LIFE)
            self._made = _Made(recent + LONG_AGO * orders, by_its_top(newly), trend(recent, bought, DEFAULT))
        return self._made

    def _faded(self, until: Scores) -> tuple[Scores, Scores]:
        """Add up the days of each, by how long ago they are. Rows whose windows end together are added up together."""
        recent, newly = np.zeros(self._size), np.zeros(self._size)
        for end in np.unique(until[until > self._day - POPULAR_DAYS]):
            ago = np.clip(self._day - (int(end) - RECENT_DAYS + _DAYS), 0, POPULAR_DAYS)
            among = np.flatnonzero(until == end)
            recent[among] = self._by_day[0, among] @ _RECENT[ago]
            newly[among] = self._by_day[1, among] @ _NEWLY[ago]
        return recent, newly

    def top(self, among: Iterable[int] | None, number: int) -> list[tuple[int, float]]:
        """The most popular slots (None: of all), each with its share of what is bought among them."""
        now = self.now
        slots = np.arange(len(now)) if among is None else np.fromiter(among, np.intp)
        slots = slots[slots < len(now)]
        slots = slots[now[slots] > 0]
        values = now[slots]
        total = values.sum()
        if len(slots) > number:
            kept = np.argpartition(-values, number)[:number]
            slots, values = slots[kept], values[kept]
        order = np.lexsort((slots, -values))
        return [(int(slots[place]), float(values[place] / total)) for place in order]


def _spread(of: NDArray[np.float32], by_day: Mapping[str, int], first: int) -> None:
    for day, number in by_day.items():
        if 0 <= int(day) - first < RECENT_DAYS:
            of[int(day) - first] = number
