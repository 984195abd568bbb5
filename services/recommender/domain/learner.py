"""One shop's orders as they come, the counters over its products, and the solved weights, renewed as it grows.

A product is in the catalogue, that which relevance tells apart, while it is among the CATALOGUE_LIMIT most ordered; so memory
is bounded and a solve takes seconds. Weights are renewed whenever the number of orders has grown by GROWTH, and solved when
they are first asked for after that; popularity moves with every order.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from heapq import nsmallest
from math import ceil
from zlib import crc32

import numpy as np

from services.recommender.domain.cooccurrence import Counts
from services.recommender.domain.kept import BASKET_LIMIT
from services.recommender.domain.relevance import DEFAULT, Config, Weights, solved, unsolved
from services.recommender.domain.tables import Slots

CATALOGUE_LIMIT = 4096
GROWTH = 1.05


@dataclass
class Purchase:
    """One order: its day as a float, and units by product."""

    order_id: str
    customer: str | None
    day: float
    quantities: dict[str, float]


class Learner:
    """Learns purchases oldest first. Only `contenders` get a slot: whatever may come into the catalogue."""

    def __init__(
        self, contenders: Iterable[str], limit: int = CATALOGUE_LIMIT, config: Config = DEFAULT
    ) -> None:
        self._limit = limit
        self._config = config
        self.products = sorted(contenders)
        self.slots = {product: slot for slot, product in enumerate(self.products)}
        self.counts = Counts(len(self.products))
        self._by_customer: dict[str, list[Purchase]] = defaultdict(list)
        self._came_back: set[str] = set()
        self._ordered = np.zeros(len(self.products), np.int64)
        self._weights = self._unsolved()

    def learn(self, purchase: Purchase) -> None:
        """Take the next order."""
        slots = self._slots_of(purchase)
        self._ordered[slots] += 1
        if purchase.customer is not None:
            self._by_customer[purchase.customer].append(purchase)
        if purchase.customer not in self._came_back:
            self.counts.learn(purchase.customer, purchase.day, slots)

    def take_back(self, customer: str, product: str, quantity: float) -> None:
        """Units that came back leave the customer's latest orders that hold the product.

        An order with no unit left no longer teaches the product, from the next `renew` on. More than was bought is ignored.
        """
        for purchase in reversed(self._by_customer.get(customer, [])):
            held = purchase.quantities.get(product, 0.0)
            taken = min(held, quantity)
            if taken <= 0:
                continue
            quantity -= taken
            purchase.quantities[product] = held - taken
            if taken == held:
                del purchase.quantities[product]
                self._came_back.add(customer)
            if quantity <= 0:
                return

    def renew(self) -> None:
        """Bring counters up to what came back, and what is solved up to the counters."""
        for customer in sorted(self._came_back):
            orders = [(one.day, self._slots_of(one)) for one in self._by_customer[customer]]
            self.counts.relearn(customer, orders)
        self._came_back.clear()
        self._weights = self._unsolved()

    def weights(self, *, baskets: bool = False, customers: bool = False) -> Weights:
        """Weights as of the last `renew`, with those models solved that are asked for."""
        self._weights = solved(self._weights, baskets=baskets, customers=customers)
        return self._weights

    def owned_by(self, customer: str | None) -> set[str]:
        """Products that a customer bought and did not return, in the catalogue or not."""
        purchases = self._by_customer.get(customer, []) if customer is not None else []
        return {product for purchase in purchases for product in purchase.quantities}

    def _unsolved(self) -> Weights:
        return unsolved(self.counts, self._config, self._catalogue())

    def _slots_of(self, purchase: Purchase) -> list[int]:
        products: Iterable[str] = purchase.quantities
        if len(purchase.quantities) > BASKET_LIMIT:
            products = nsmallest(BASKET_LIMIT, products, key=lambda one: (crc32(one.encode()), one))
        return sorted(self.slots[product] for product in products if product in self.slots)

    def _catalogue(self) -> Slots:
        sold = np.flatnonzero(self.counts.bought > 0)
        by_orders = sold[np.lexsort((sold, -self._ordered[sold]))]
        return np.sort(by_orders[: self._limit])


def contenders(orders: Sequence[Purchase], limit: int = CATALOGUE_LIMIT) -> set[str]:
    """Products that are among the `limit` most ordered at one renewal at least, of orders oldest first.

    What else is sold only matters to itself; to pass over it is no look ahead, as each renewal chooses by what was before.
    """
    ordered: dict[str, int] = defaultdict(int)
    found: set[str] = set()
    due = 1
    for number, purchase in enumerate(orders, 1):
        for product in purchase.quantities:
            ordered[product] += 1
        if number in {due, len(orders)}:
            due = next_renewal(number)
            found.update(nsmallest(limit, ordered, key=lambda product: (-ordered[product], product)))
    return found


def next_renewal(orders: int) -> int:
    """Count of orders at which weights that were renewed at `orders` are due again."""
    return max(orders + 1, ceil(orders * GROWTH))
