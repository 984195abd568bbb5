"""What a shop's orders add up to, for ranking by relevance: counters that one order changes by a few additions.

Products are slots 0..n-1, moments are days as floats. Old evidence fades by a half-life; instead of shrinking all
counters with time, what is added grows (`growth`), and readers divide by the growth of their own moment.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

TOGETHER_HALF_LIFE = 365.0
FOLLOWS_HALF_LIFE = 60.0
LAG_HALF_LIFE = 30.0
RECENT_HALF_LIFE = 7.0

Floats = NDArray[np.float32]
Slots = NDArray[np.intp]


class Counts:
    """Counters of one shop over `size` slots, from the orders learnt so far; orders come oldest first.

    baskets      [n, n] baskets that held both; the diagonal: baskets that held one
    together     the same, faded: an order of TOGETHER_HALF_LIFE days ago counts half
    owners       [n, n] customers who bought both at any time; the diagonal: customers who bought one
    follows      [n, n] "A in an earlier order, B new to this customer in this one", less the longer the lag, faded
    exposure     [n] the same weights for every order that an owner of A placed, whatever it held
    newly        [n] purchases by customers with an earlier order to whom the product was new, of the last days
    recent       [n] orders of the last days
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self.orders = 0
        self.baskets = np.zeros((size, size), np.int32)
        self.together = np.zeros((size, size), np.float32)
        self.owners = np.zeros((size, size), np.float32)
        self.follows = np.zeros((size, size), np.float32)
        self.exposure = np.zeros(size)
        self._newly = np.zeros(size)
        self._recent = np.zeros(size)
        self._owned: dict[str, dict[int, float]] = {}
        self._first_day = 0.0

    def learn(self, customer: str | None, day: float, slots: Sequence[int]) -> None:
        """Count one order of distinct slots. A guest's order (no customer) teaches baskets and popularity only."""
        if not self.orders:
            self._first_day = day
        self.orders += 1
        basket = np.array(slots, np.intp)
        both = np.ix_(basket, basket)
        self.baskets[both] += 1
        self.together[both] += np.float32(self.growth(day, TOGETHER_HALF_LIFE))
        recent = self.growth(day, RECENT_HALF_LIFE)
        self._recent[basket] += recent
        if customer is None:
            return
        owned = self._owned.setdefault(customer, {})
        new = np.array([slot for slot in slots if slot not in owned], np.intp)
        if owned:
            self._newly[new] += recent
        self._learn_sequence(owned, day, new)
        owned.update(dict.fromkeys(slots, day))

    def _learn_sequence(self, owned: Mapping[int, float], day: float, new: Slots) -> None:
        old = np.fromiter(owned, np.intp, len(owned))
        weights = self.growth(day, FOLLOWS_HALF_LIFE) * np.exp2(
            (np.fromiter(owned.values(), float, len(owned)) - day) / LAG_HALF_LIFE
        )
        self.exposure[old] += weights
        self.follows[np.ix_(old, new)] += weights[:, None].astype(np.float32)
        self.owners[np.ix_(old, new)] += 1
        self.owners[np.ix_(new, old)] += 1
        self.owners[np.ix_(new, new)] += 1

    def growth(self, day: float, half_life: float) -> float:
        """By what a count added on `day` is larger than one of the first day."""
        return float(2.0 ** ((day - self._first_day) / half_life))

    def owned_by(self, customer: str | None) -> Mapping[int, float]:
        """Slots that a customer bought, with the day of the last time."""
        return self._owned.get(customer, {}) if customer is not None else {}

    def recent(self, day: float) -> NDArray[np.float64]:
        """Orders by slot, where one of RECENT_HALF_LIFE days ago counts half."""
        return self._recent / self.growth(day, RECENT_HALF_LIFE)

    def newly(self, day: float) -> NDArray[np.float64]:
        """First purchases by returning customers, faded as `recent`."""
        return self._newly / self.growth(day, RECENT_HALF_LIFE)

    def age(self, day: float) -> float:
        """Days from the first order to `day`."""
        return max(day - self._first_day, 0.0)
