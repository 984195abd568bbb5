"""Gaps between purchases as histograms: integers per bin, so that they add up and subtract exactly.

Bins are a day wide up to two weeks, two days up to four weeks, a week up to a quarter, two or three weeks up to half a
year and four weeks beyond: about a tenth of the gap or finer from ten days on, and quantiles are interpolated in them.
"""

from bisect import bisect_right

EDGES = (
    *range(15),
    *range(16, 29, 2),
    *range(35, 92, 7),
    *range(105, 162, 14),
    182,
    *range(210, 365, 28),
)
"""Bin edges in days, ascending; the last is the end of the last bin."""

LIMIT_DAYS = EDGES[-1]

_NAMES = tuple(str(edge) for edge in EDGES[:-1])
_NAME_OF_DAY = tuple(_NAMES[bisect_right(EDGES, day) - 1] for day in range(LIMIT_DAYS))


def bin_of(days: float) -> str | None:
    """Name of the bin that a gap falls into, its lower edge in days; None for a gap below zero or past the last bin."""
    return _NAME_OF_DAY[int(days)] if 0 <= days < LIMIT_DAYS else None


def span_of(name: str) -> tuple[int, int]:
    """Lower and upper edge of a bin, in days."""
    place = _NAMES.index(name)
    return EDGES[place], EDGES[place + 1]
