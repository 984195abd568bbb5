"""One shop's orders as they come, the counters over its catalogue, and the solved weights, renewed as it grows.

A product gets a slot while it is among the CATALOGUE_LIMIT most bought; so memory is bounded (about 30 bytes per pair
of slots) and a solve takes seconds. Weights are renewed whenever the number of orders has grown by GROWTH; what is
counted in between is used at once by all that needs no solving. When the catalogue has changed or an order lost a
product to a return, everything is counted anew from the log, so nothing of it is left.
"""

from collections import defaultdict
from dataclasses import dataclass

import numpy as np

from services.recommender.domain.cooccurrence import Counts
from services.recommender.domain.relevance import Weights, solve

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
    """Learns purchases oldest first. `slots` and `products` map the catalogue as of the last `renew`."""

    def __init__(self, limit: int = CATALOGUE_LIMIT) -> None:
        self._limit = limit
        self._log: list[Purchase] = []
        self._bought: dict[str, int] = defaultdict(int)
        self._by_customer: dict[str, list[Purchase]] = defaultdict(list)
        self._counted = False
        self._came_back = False
        self.products: list[str] = []
        self.slots: dict[str, int] = {}
        self.counts = Counts(0)
        self.weights = Weights(np.zeros((0, 0), np.float32), np.zeros((0, 0), np.float32))

    def learn(self, purchase: Purchase) -> None:
        """Take the next order."""
        self._log.append(purchase)
        if purchase.customer is not None:
            self._by_customer[purchase.customer].append(purchase)
        for product in purchase.quantities:
            self._bought[product] += 1
        if self._counted:
            self._count(purchase)

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
                self._bought[product] -= 1
                self._came_back = True
            if quantity <= 0:
                return

    def renew(self) -> None:
        """Bring catalogue, counters and weights up to all that was learnt."""
        catalogue = self._catalogue()
        if not self._counted or self._came_back or catalogue != self.products:
            self.products = catalogue
            self.slots = {product: slot for slot, product in enumerate(catalogue)}
            self.counts = Counts(len(catalogue))
            for purchase in self._log:
                self._count(purchase)
            self._counted, self._came_back = True, False
        if self._log:
            self.weights = solve(self.counts, self._log[-1].day)

    def owned_by(self, customer: str | None) -> set[str]:
        """Products that a customer bought and did not return, in the catalogue or not."""
        purchases = self._by_customer.get(customer, []) if customer is not None else []
        return {product for purchase in purchases for product in purchase.quantities}

    def _catalogue(self) -> list[str]:
        sold = [product for product, orders in self._bought.items() if orders > 0]
        return sorted(sorted(sold, key=lambda product: (-self._bought[product], product))[: self._limit])

    def _count(self, purchase: Purchase) -> None:
        slots = [self.slots[product] for product in purchase.quantities if product in self.slots]
        self.counts.learn(purchase.customer, purchase.day, slots)


def next_renewal(orders: int) -> int:
    """Count of orders at which weights that were renewed at `orders` are due again."""
    return max(orders + 1, int(np.ceil(orders * GROWTH)))
