"""Who speaks for whom: solved columns, kept by who speaks.

A solve says of one product how much each of its neighbours speaks for it; `complements` says of one product for which
others it speaks. So a solve moves the weights of many, each by little.
"""

from collections.abc import Mapping
from heapq import nlargest
from sys import intern

LEAST_WEIGHT = 3e-4
"""What speaks for another by less is not kept."""
MOVED = 0.05
"""Weights are worth another look once all their changes together are more than this part of them."""

_NOTHING: Mapping[str, float] = {}


class Speaking:
    """One shop's weights. Before a product's column is solved, what was published of it stands in."""

    def __init__(self) -> None:
        self._weights: dict[str, dict[str, float]] = {}
        self._speakers: dict[str, tuple[str, ...]] = {}
        self._solved: set[str] = set()
        self._total: dict[str, float] = {}
        self._moved: dict[str, float] = {}

    def publish(self, product: str, weights: Mapping[str, float]) -> None:
        """Take what was published as the weights of `product`, where nothing was solved yet."""
        for other, weight in weights.items():
            if other not in self._solved:
                self._speakers[intern(other)] = (*self._speakers.get(other, ()), intern(product))
                self._set(product, other, weight)
        self._moved.pop(product, None)

    def solve(self, product: str, column: Mapping[str, float]) -> list[str]:
        """Take how much others speak for `product`; returns those whose weights have moved since they were last settled."""
        product = intern(product)
        kept = {intern(other): weight for other, weight in column.items() if abs(weight) >= LEAST_WEIGHT}
        touched = kept.keys() | self._speakers.get(product, ())
        self._speakers[product] = tuple(kept)
        self._solved.add(product)
        for other in touched:
            self._set(other, product, kept.get(other, 0.0))
        return sorted(
            other for other in touched if self._moved.get(other, 0.0) > MOVED * self._total.get(other, 0.0)
        )

    def is_solved(self, product: str) -> bool:
        """Whether a column of `product` was solved here."""
        return product in self._solved

    def settle(self, product: str) -> None:
        """Begin anew to add up how far the weights of `product` move."""
        self._moved.pop(product, None)

    def heaviest(self, product: str, number: int, more: Mapping[str, float] = _NOTHING) -> dict[str, float]:
        """For which others `product` speaks most, most first; `more` are weights for those by whom it is not heard."""
        weights = {**more, **self._weights.get(product, _NOTHING)}
        return dict(nlargest(number, weights.items(), key=lambda item: (item[1], item[0])))

    def _set(self, product: str, other: str, weight: float) -> None:
        weights = self._weights.setdefault(intern(product), {})
        former = weights.pop(other, 0.0)
        if weight:
            weights[other] = weight
        self._moved[product] = self._moved.get(product, 0.0) + abs(weight - former)
        self._total[product] = self._total.get(product, 0.0) + abs(weight) - abs(former)


def rounded(weights: Mapping[str, float]) -> dict[str, float]:
    """Round weights for the wire and leave out what rounds to nothing."""
    return {other: short for other, weight in weights.items() if (short := round(weight, 4))}
