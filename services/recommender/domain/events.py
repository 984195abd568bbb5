"""What happened as columns of numbers that only grow: cheap to note one by one, added up all at once."""

from collections.abc import Mapping
from math import floor
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Numbers = NDArray[np.float64]


class Events:
    """Events of one kind: so many columns, of these types."""

    def __init__(self, *types: type[np.generic]) -> None:
        self._noted: list[list[Array]] = [[] for _ in types]
        self._whole: list[Array] = [np.zeros(0, kind) for kind in types]

    def add(self, length: int, *columns: Array | int) -> None:
        """Note `length` events; a column that is one number is the same for all."""
        if not length:
            return
        for noted, whole, column in zip(self._noted, self._whole, columns, strict=True):
            noted.append(
                np.full(length, column, whole.dtype)
                if isinstance(column, int)
                else column.astype(whole.dtype)
            )

    def columns(self) -> list[Array]:
        """All events so far, one array a column."""
        for place, noted in enumerate(self._noted):
            if noted:
                self._whole[place] = np.concatenate([self._whole[place], *noted])
                noted.clear()
        return self._whole


class Days:
    """Numbers by day and slot."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._days: dict[int, NDArray[np.float32]] = {}

    def add(self, day: int, slots: NDArray[np.intp], sign: int) -> None:
        """Count once more (or less, by `sign`) on a day, for each of distinct slots."""
        if day not in self._days:
            self._days[day] = np.zeros(self._size, np.float32)
        self._days[day][slots] += sign

    def by_day(self, slot: int) -> Mapping[str, int]:
        """One slot's numbers that are not zero, by day, as rows have them."""
        return {str(day): int(of[slot]) for day, of in sorted(self._days.items()) if of[slot]}

    def faded(self, day: float, half_life: float, window: int) -> Numbers:
        """Sums [n] of the last `window` days, today's being the first, each half of one `half_life` days later."""
        today, total = floor(day), np.zeros(self._size)
        for ago in range(window):
            found = self._days.get(today - ago)
            if found is not None:
                total += found * 2.0 ** (-ago / half_life)
        return total
