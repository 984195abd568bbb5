"""How many messages a scope may still hand over: what a process believes between two looks at the shared row."""

from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from math import floor, inf

QUARTER = 0.25
"""A bucket holds a quarter of a second's worth, and one message at least: a rate is a rate, not a burst each second."""


@dataclass(frozen=True, slots=True)
class Rate:
    """Messages a second and a UTC day, over all replicas; None for no limit."""

    per_second: float | None = None
    per_day: int | None = None

    @property
    def unlimited(self) -> bool:
        """Whether there is nothing to count."""
        return self.per_second is None and self.per_day is None

    @property
    def most(self) -> float:
        """What the bucket holds when full."""
        return inf if self.per_second is None else max(self.per_second * QUARTER, 1.0)


@dataclass(slots=True)
class Allowance:
    """What was left at the last look; since then the bucket filled, and others may have taken from it."""

    rate: Rate
    tokens: float
    used: int
    looked_at: datetime

    def left(self, now: datetime) -> int:
        """Messages that may go at machine time `now`, at most."""
        return max(floor(min(self._tokens(now), self._of_the_day(now), 1e9)), 0)

    def wait(self, now: datetime, place: int) -> float:
        """Seconds until the message in so many places from now, counted from 1, has its token."""
        if self._of_the_day(now) < 1:
            return until_tomorrow(now)
        if self.rate.per_second is None:
            return 0.0
        return max(place - self._tokens(now), 0.0) / self.rate.per_second

    def used_up(self, now: datetime) -> bool:
        """Whether nothing goes any more today."""
        return self._of_the_day(now) < 1

    def _tokens(self, now: datetime) -> float:
        if self.rate.per_second is None:
            return inf
        gone = max((now - self.looked_at).total_seconds(), 0.0)
        return min(self.rate.most, self.tokens + self.rate.per_second * gone)

    def _of_the_day(self, now: datetime) -> float:
        if self.rate.per_day is None:
            return inf
        return self.rate.per_day - (self.used if now.date() == self.looked_at.date() else 0)


def until_tomorrow(now: datetime) -> float:
    """Seconds until the next UTC day."""
    return (datetime.combine(now.date() + timedelta(days=1), time(0), UTC) - now).total_seconds()
