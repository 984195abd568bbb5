"""What sells of late, from rows as they come: orders by slot, where one counts half after a half-life."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from services.recommender.domain.cooccurrence import POPULAR_DAYS, RECENT_HALF_LIFE

Numbers = NDArray[np.float64]


class Recency:
    """Numbers by slot on `day` (since 1970-01-01), the newest on which anything was sold; `total` is their sum."""

    def __init__(self) -> None:
        self._by_day: dict[int, Mapping[str, int]] = {}
        self._faded: Numbers = np.zeros(64)
        self._stale = False
        self.day = 0
        self.total = 0.0

    def put(self, slot: int, by_day: Mapping[str, int]) -> None:
        """Take a product's orders of the last weeks in place of its former ones."""
        self._by_day[slot] = by_day
        if slot >= len(self._faded):
            self._faded = np.concatenate([self._faded, np.zeros(slot)])
        newest = max((int(day) for day, number in by_day.items() if number > 0), default=0)
        if newest > self.day:
            self.day, self._stale = newest, True
        self._set(slot)

    def faded(self, size: int) -> Numbers:
        """Orders [size] of the last POPULAR_DAYS days, `day` being the first, by RECENT_HALF_LIFE."""
        if self._stale:
            self._stale = False
            for slot in self._by_day:
                self._set(slot)
            self.total = float(self._faded.sum())
        if size > len(self._faded):
            self._faded = np.concatenate([self._faded, np.zeros(size)])
        return self._faded[:size]

    def _set(self, slot: int) -> None:
        recent = 0.0
        for name, number in self._by_day[slot].items():
            ago = self.day - int(name)
            if 0 <= ago < POPULAR_DAYS:
                recent += number * 2.0 ** (-ago / RECENT_HALF_LIFE)
        self.total += recent - float(self._faded[slot])
        self._faded[slot] = recent
