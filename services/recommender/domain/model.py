"""Relevance from rows: what is bought together with a product, and who speaks for it, as of the shop's newest bucket."""

from collections.abc import Iterable, Mapping
from heapq import nlargest

import numpy as np

from services.recommender.domain.relevance import DEFAULT, Config
from services.recommender.domain.rows import TOGETHER_HALF_LIFE
from services.recommender.domain.solver import Floats, Matrix, Slots, Slotting
from services.recommender.domain.tally import BUCKET_DAYS
from shared.events import PairCounts


class Model:
    """One shop's rows, ready to be solved one product at a time."""

    def __init__(self, config: Config = DEFAULT) -> None:
        self._config = config
        self._slots = Slotting()
        self._baskets = Matrix(np.maximum)
        self._owners = Matrix(np.add)
        self._unread: dict[int, PairCounts] = {}
        self._newest = 0
        self._first: int | None = None

    def put(self, row: PairCounts) -> None:
        """Take a product's newest row. It is made ready only when a solve asks for it."""
        self._newest = max(self._newest, row.bucket)
        if self._first is None:
            self._first = row.bucket
        self._unread[self._slots.of(row.product_id)] = row

    def _read(self, slots: Iterable[int]) -> None:
        for slot in self._unread.keys() & slots:
            row = self._unread.pop(slot)
            grown = 1 / self._fade(row.bucket - (self._first or 0))
            together = ((other, number * grown) for other, number in row.together.items() if number > 0)
            self._baskets.put(slot, row.bought * grown, self._slots.by_slot(together))
            self._owners.put(slot, float(row.buyers), self._slots.by_slot(self._owned(row)))

    def _solve(self, matrix: Matrix, slot: int, penalty: float) -> tuple[Slots, Floats]:
        self._read((slot,))
        self._read(matrix.row(slot)[0].tolist())
        return matrix.solve(slot, penalty)

    def _owned(self, row: PairCounts) -> list[tuple[str, float]]:
        """This row's part of how many customers own both: those who bought the other later, and half of those at once.

        Baskets with both become customers at the rate at which baskets with the product do.
        """
        customers = row.buyers / row.orders / 2 if row.orders > 0 else 0.0
        owned = {other: number * customers for other, number in row.pairs.items() if number > 0}
        for other, (number, _) in row.follows.items():
            owned[other] = owned.get(other, 0.0) + max(number, 0)
        return nlargest(self._config.neighbours, owned.items(), key=lambda item: (item[1], item[0]))

    def together(self, product: str) -> list[str]:
        """What is bought together with a product, by relevance to it alone, best first; of equals the lower id."""
        config, fade = self._config, self._present()
        slot = self._slots.of(product)
        self._read((slot,))
        near, counts = self._baskets.row(slot)
        self._read(near.tolist())
        bought = self._baskets.bought(near) * fade
        scores = counts * fade / (bought + config.single_damping) ** config.single_alpha
        names = [self._slots.names[slot] for slot in near]
        return [name for _, name in sorted(zip(-scores, names, strict=True))]

    def baskets(self, product: str) -> Mapping[str, float]:
        """How much having another product in a basket speaks for `product`, less for what everybody takes."""
        config, fade, slot = self._config, self._present(), self._slots.of(product)
        near, weights = self._solve(self._baskets, slot, config.basket_penalty / fade)
        bought = float(self._baskets.bought(slot)) * fade
        return self._named(near, weights / (bought + config.damping) ** config.basket_alpha)

    def owners(self, product: str) -> Mapping[str, float]:
        """How much owning another product speaks for `product`."""
        slot = self._slots.of(product)
        return self._named(*self._solve(self._owners, slot, self._config.customer_penalty))

    def _named(self, near: Slots, weights: Floats) -> Mapping[str, float]:
        return {self._slots.names[slot]: float(weight) for slot, weight in zip(near, weights, strict=True)}

    def _fade(self, buckets: int) -> float:
        return float(2.0 ** (-buckets * BUCKET_DAYS / TOGETHER_HALF_LIFE))

    def _present(self) -> float:
        return self._fade(self._newest - (self._first or 0))
