"""Relevance live: what `relevance.py` says of a shop, one product at a time, from rows as they come."""

from collections.abc import Iterable, Mapping

import numpy as np

from services.recommender.domain.recency import Recency
from services.recommender.domain.relevance import DEFAULT, Config, common
from services.recommender.domain.rows import together_fade
from services.recommender.domain.solver import Floats, Matrix, Slots, Slotting
from shared.events import PairCounts


class Model:
    """One shop's rows, ready to be solved one product at a time, as of the shop's newest bucket."""

    def __init__(self, config: Config = DEFAULT) -> None:
        self._config = config
        self._slots = Slotting()
        self._baskets = Matrix(np.maximum)
        self._owners = Matrix(np.add)
        self._recency = Recency()
        self._unread: dict[int, PairCounts] = {}
        self._grown: dict[int, float] = {}
        self._bought = 0.0
        self._newest = 0
        self._first: int | None = None

    @property
    def day(self) -> int:
        """The newest day, since 1970-01-01, on which the shop sold anything: what sells of late is measured from it."""
        return self._recency.day

    def put(self, row: PairCounts) -> None:
        """Take a product's newest row. Its neighbours are made ready only when a solve asks for them."""
        self._newest = max(self._newest, row.bucket)
        if self._first is None:
            self._first = row.bucket
        slot = self._slots.of(row.product_id)
        bought = row.bought / together_fade(row.bucket - self._first)
        self._bought += bought - self._grown.get(slot, 0.0)
        self._grown[slot] = bought
        self._recency.put(slot, row.recent)
        self._unread[slot] = row

    def together(self, product: str) -> list[str]:
        """What is bought together with a product, by relevance to it alone, best first; of equals the lower id."""
        config, slot = self._config, self._slots.of(product)
        self._read((slot,))
        near, counts = self._baskets.row(slot)
        self._read(near.tolist())
        recent = self._recency.faded(len(self._slots.names))[near]
        bought = self._baskets.bought(near) * self._present()
        usual = self._baskets.bought(near) * self._recency.total / max(self._bought, 1e-9)
        trend = ((recent + config.trend_prior) / (usual + config.trend_prior)) ** config.trend_power
        scores = counts * trend / (bought + config.single_damping) ** config.single_alpha
        names = [self._slots.names[slot] for slot in near]
        return [name for _, name in sorted(zip(-scores, names, strict=True))]

    def baskets(self, product: str) -> Mapping[str, float]:
        """How much having another product in a basket speaks for `product`, less for what everybody takes."""
        config, fade, slot = self._config, self._present(), self._slots.of(product)
        near, weights = self._solve(self._baskets, slot, config.basket_penalty / fade)
        return self._named(near, weights / self._common(slot))

    def beyond(self, product: str) -> Mapping[str, float]:
        """How much `product` speaks for those of its neighbours that do not count it among theirs: they have likelier ones.

        By what its share is above the expected.
        """
        config, fade, slot = self._config, self._present(), self._slots.of(product)
        self._read((slot,))
        near, counts = self._baskets.row(slot)
        self._read(near.tolist())
        one_way = ~self._baskets.counting(slot, near)
        near, mine = near[one_way], counts[one_way] * fade
        expected = counts.sum() * self._baskets.bought(near) * fade / max(self._bought, 1.0)
        beyond = (mine - expected) / (self._grown.get(slot, 0.0) * fade + config.damping)
        return self._named(near, config.beyond_part * beyond / self._common(near))

    def owners(self, product: str) -> Mapping[str, float]:
        """How much owning another product speaks for `product`, less for what everybody owns."""
        config, slot = self._config, self._slots.of(product)
        near, weights = self._solve(self._owners, slot, config.customer_penalty)
        common = (float(self._owners.bought(slot)) + config.damping) ** config.customer_alpha
        return self._named(near, weights / common)

    def _common(self, slots: int | Slots) -> Floats:
        bought = self._baskets.bought(slots) * np.float32(self._present())
        return np.asarray(common(bought, self._config), np.float32)

    def _solve(self, matrix: Matrix, slot: int, penalty: float) -> tuple[Slots, Floats]:
        self._read((slot,))
        self._read(matrix.row(slot)[0].tolist())
        return matrix.solve(slot, penalty, self._config.neighbours)

    def _read(self, slots: Iterable[int]) -> None:
        for slot in self._unread.keys() & slots:
            row = self._unread.pop(slot)
            grown = 1 / together_fade(row.bucket - (self._first or 0))
            together = ((other, number * grown) for other, number in row.together.items() if number > 0)
            self._baskets.put(slot, row.bought * grown, self._slots.by_slot(together))
            self._owners.put(slot, float(row.buyers), self._slots.by_slot(self._owned(row)))

    def _owned(self, row: PairCounts) -> list[tuple[str, float]]:
        """This row's part of how many customers own both: those who bought the other later, and half of those at once.

        Baskets with both become customers at the rate at which baskets with the product do.
        """
        customers = row.buyers / row.orders / 2 if row.orders > 0 else 0.0
        owned = {other: number * customers for other, number in row.pairs.items() if number > 0}
        for other, (number, _) in row.follows.items():
            owned[other] = owned.get(other, 0.0) + max(number, 0)
        return list(owned.items())

    def _named(self, near: Slots, weights: Floats) -> Mapping[str, float]:
        return {self._slots.names[slot]: float(weight) for slot, weight in zip(near, weights, strict=True)}

    def _present(self) -> float:
        return together_fade(self._newest - (self._first or 0))
