"""What sells of late, more than it used to, or to customers who had not had it: numbers for every product of a shop.

A purchase counts half after a half-life, by the newest day on which the shop sold anything; what rows have faded to the end
of their own newest bucket is faded further, to the end of the shop's. What was sold before the weeks that rows keep by day
counts a little.
"""

from collections.abc import Iterable, Mapping

import numpy as np

from services.recommender.domain.cooccurrence import NEWLY_HALF_LIFE, RECENT_HALF_LIFE
from services.recommender.domain.relevance import DEFAULT, trend
from services.recommender.domain.rows import TOGETHER_HALF_LIFE
from services.recommender.domain.tally import BUCKET_DAYS
from services.recommender.domain.votes import Scores, by_its_top
from shared.events import PairCounts

LONG_AGO = 0.01
"""What an order of any time counts, beside one of today."""


class Popularity:
    """Numbers by slot, as of the first time that they are asked for after `forget`."""

    def __init__(self) -> None:
        self._known: Scores = np.zeros((6, 0))
        self._size = 0
        self._made: tuple[Scores, Scores, Scores] | None = None

    @property
    def now(self) -> Scores:
        """What sells of late."""
        return self._numbers()[0]

    @property
    def newly(self) -> Scores:
        """What customers who had ordered before bought for the first time of late; its top is about 1."""
        return self._numbers()[1]

    @property
    def trend(self) -> Scores:
        """By how much more than over the years it sells of late, to a power: about 1 for most."""
        return self._numbers()[2]

    def forget(self) -> None:
        """Have the numbers made anew when they are next asked for."""
        self._made = None

    def put(self, slot: int, row: PairCounts | None) -> None:
        """Take a product's newest row; None: it has none anymore."""
        if slot >= self._known.shape[1]:
            wider = np.zeros((6, max(2 * slot, 64)))
            wider[:, : self._known.shape[1]] = self._known
            self._known = wider
        self._size = max(self._size, slot + 1)
        if row is None:
            self._known[:, slot] = 0.0
            return
        day = max(map(int, row.recent), default=0)
        recent, newly = _faded(row.recent, day, RECENT_HALF_LIFE), _faded(row.newly, day, NEWLY_HALF_LIFE)
        until = (row.bucket + 1) * BUCKET_DAYS
        self._known[:, slot] = max(row.orders, 0), row.bought, until, recent, newly, day

    def _numbers(self) -> tuple[Scores, Scores, Scores]:
        if self._made is None:
            total, bought, until, recent, newly, day = self._known[:, : self._size]
            ago = day.max(initial=0.0) - day
            recent = recent * np.exp2(-ago / RECENT_HALF_LIFE)
            bought = bought * np.exp2((until - until.max(initial=0.0)) / TOGETHER_HALF_LIFE)
            self._made = (
                recent + LONG_AGO * total,
                by_its_top(newly * np.exp2(-ago / NEWLY_HALF_LIFE)),
                trend(recent, bought, DEFAULT),
            )
        return self._made

    def top(self, among: Iterable[int] | None, number: int) -> list[tuple[int, float]]:
        """The most popular slots (None: of all), each with its share of what is bought among them."""
        now = self.now
        slots = np.arange(len(now)) if among is None else np.fromiter(among, np.intp)
        slots = slots[slots < len(now)]
        slots = slots[now[slots] > 0]
        values = now[slots]
        if len(slots) > number:
            kept = np.argpartition(-values, number)[:number]
            slots, total, values = slots[kept], values.sum(), values[kept]
        else:
            total = values.sum()
        order = np.lexsort((slots, -values))
        return [(int(slots[place]), float(values[place] / total)) for place in order]


def _faded(by_day: Mapping[str, int], until: float, half_life: float) -> float:
    """Sum up as of day `until`, after which there is none."""
    ago = until - np.fromiter(map(int, by_day), np.float64, len(by_day))
    numbers = np.fromiter(by_day.values(), np.float64, len(by_day))
    return float(numbers @ np.exp2(-np.maximum(ago, 0.0) / half_life))
