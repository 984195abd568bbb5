"""What a shop's orders add up to, over slots: the counters of `tally.Tally`, held so that a year is counted in seconds.

An order teaches what `timeline.teach` says. Here that is noted as events, each with its bucket of 28 days and its gap, and
`tables` adds them up into what `rows.row` says of a product, for all products at once; that both are equal, item by item,
is tested. Unlearning is learning with the opposite sign.

Products are slots 0..n-1, moments are days as floats.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from math import floor

import numpy as np
from numpy.typing import NDArray

from services.recommender.domain.events import Days, Numbers
from services.recommender.domain.gaps import bin_of
from services.recommender.domain.tables import Noted, Tables, add_up
from services.recommender.domain.timeline import (
    MINUTES_A_DAY,
    SEQUENCE_DAYS,
    SEQUENCE_ORDERS,
    WINDOW_DAYS,
    WINDOW_ORDERS,
    bucket_of,
)

POPULAR_DAYS = 28
RECENT_HALF_LIFE = 14.0
NEWLY_HALF_LIFE = 7.0

Slots = NDArray[np.intp]
Orders = Sequence[tuple[float, Sequence[int]]]
"""A customer's orders, oldest first: day and distinct slots."""


@dataclass
class _Taught:
    minute: int
    new: Slots


@dataclass
class _Past:
    """One customer's timeline. `last`: minute and place of the last order with a slot."""

    orders: Orders = field(default_factory=list)
    taught: list[_Taught] = field(default_factory=list)
    last: dict[int, tuple[int, int]] = field(default_factory=dict)

    def is_new(self, slot: int, minute: int) -> bool:
        last = self.last.get(slot)
        return (
            last is None
            or last[0] <= minute - WINDOW_DAYS * MINUTES_A_DAY
            or len(self.taught) - last[1] > WINDOW_ORDERS
        )


class Counts:
    """Counters of one shop over `size` slots, from the orders learnt so far; orders come oldest first."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.orders = 0
        self.bought = np.zeros(size, np.int64)
        self._noted = Noted()
        self._recent, self._newly = Days(size), Days(size)
        self._pasts: dict[str, _Past] = {}

    def learn(self, customer: str | None, day: float, slots: Sequence[int]) -> None:
        """Count one order of distinct slots. One of no customer (a guest's) has nothing before it and nothing after."""
        past = _Past() if customer is None else self._pasts.setdefault(customer, _Past())
        self._teach(past, day, slots, 1)

    def relearn(self, customer: str, orders: Orders) -> None:
        """Count a customer's orders so far as these instead."""
        former = self._pasts.pop(customer, _Past())
        undone = _Past()
        for day, slots in former.orders:
            self._teach(undone, day, slots, -1)
        for day, slots in orders:
            self.learn(customer, day, slots)

    def _teach(self, past: _Past, day: float, slots: Sequence[int], sign: int) -> None:
        minute = floor(round(day * 86_400.0) / 60)
        bucket, basket, today = bucket_of(minute), np.array(slots, np.intp), minute // MINUTES_A_DAY
        new = np.array([slot for slot in slots if past.is_new(slot, minute)], np.intp)
        self.orders += sign
        self.bought[basket] += sign
        self._noted.bought.add(len(basket), basket, bucket, sign)
        self._recent.add(today, basket, sign)
        one, other = _both(len(basket))
        self._noted.pairs.add(len(one), basket[one], basket[other], bucket, sign)
        self._noted.buyers.add(len(new), new, sign)
        if past.taught:
            self._newly.add(today, new, sign)
            self._teach_sequence(past, minute, new, sign)
        past.last.update(dict.fromkeys(slots, (minute, len(past.taught))))
        past.taught.append(_Taught(minute, new))
        past.orders = [*past.orders, (day, slots)] if sign > 0 else past.orders

    def _teach_sequence(self, past: _Past, minute: int, new: Slots, sign: int) -> None:
        for former in past.taught[-SEQUENCE_ORDERS:]:
            gap, many = minute - former.minute, len(former.new)
            if not many or gap >= SEQUENCE_DAYS * MINUTES_A_DAY:
                continue
            span, bucket = int(bin_of(gap / MINUTES_A_DAY) or 0), bucket_of(former.minute)
            self._noted.later.add(many, former.new, bucket, span, sign)
            if len(new):
                both = np.repeat(former.new, len(new)), np.tile(new, many)
                self._noted.follows.add(many * len(new), *both, bucket, span, sign)

    def tables(self, catalogue: Slots, kept: int) -> Tables:
        """Rows of all products of a catalogue (slots, ascending), pruned to `kept` neighbours among them."""
        return add_up(self._noted, catalogue, self.size, kept)

    def owned_by(self, customer: str | None) -> Mapping[int, float]:
        """Slots that a customer bought, with the day of the last time."""
        past = self._pasts.get(customer) if customer is not None else None
        if past is None:
            return {}
        return {slot: minute / MINUTES_A_DAY for slot, (minute, _) in past.last.items()}

    def recent(self, day: float) -> Numbers:
        """Orders [n] of the last POPULAR_DAYS days, where one of RECENT_HALF_LIFE days ago counts half."""
        return self._recent.faded(day, RECENT_HALF_LIFE, POPULAR_DAYS)

    def newly(self, day: float) -> Numbers:
        """First purchases [n] by returning customers, of the same days, by NEWLY_HALF_LIFE."""
        return self._newly.faded(day, NEWLY_HALF_LIFE, POPULAR_DAYS)

    def by_day(self, slot: int) -> tuple[Mapping[str, int], Mapping[str, int]]:
        """Orders with a slot by day, and what of them was newly bought by returning customers."""
        return self._recent.by_day(slot), self._newly.by_day(slot)


@lru_cache(maxsize=128)
def _both(size: int) -> tuple[Slots, Slots]:
    """Places of each two of `size`, once."""
    one, other = np.triu_indices(size, 1)
    return one, other
