"""Rows of weights added up: which products many others speak for, and which of these speak loudest for each.

Products are slots, small integers that a shop gives them; a row is a pair of arrays. A customer's hundred products with
two hundred weights each are added up in a fraction of a millisecond. Zeros are set aside before anything is selected:
numpy's selection takes a millisecond for a few thousand equal values.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from sys import intern
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Scores = NDArray[np.float64]
_FIRST = 64
_TOP_OF_A_PART = 20


class Row(NamedTuple):
    """Weights by slot, of the same length."""

    slots: NDArray[np.int32]
    weights: NDArray[np.float32]

    def at(self, slot: int) -> float:
        """The weight of one slot; zero if the row has none."""
        found = np.flatnonzero(self.slots == slot)
        return float(self.weights[found[0]]) if len(found) else 0.0


EMPTY = Row(np.zeros(0, np.int32), np.zeros(0, np.float32))


class Slots(dict[str, int]):
    """Every product's number, given for good when it is first asked for; `names` are the products by number."""

    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []

    def __missing__(self, product: str) -> int:
        product = intern(product)
        found = self[product] = len(self.names)
        self.names.append(product)
        return found

    def of(self, products: Collection[str]) -> NDArray[np.int32]:
        """Return the numbers of products."""
        return np.fromiter(map(self.__getitem__, products), np.int32, len(products))

    def row(self, weights: Mapping[str, float]) -> Row:
        """Return weights by product as a row."""
        if not weights:
            return EMPTY
        return Row(self.of(weights.keys()), np.fromiter(weights.values(), np.float32, len(weights)))


class Votes:
    """The weights of several rows. `voters` say, in their order, whose rows they are."""

    def __init__(self, rows: Sequence[Row], factors: Sequence[float]) -> None:
        """Scale each row by its factor."""
        rows = rows or (EMPTY,)
        lengths = [len(row.slots) for row in rows]
        self._slots = np.concatenate([row.slots for row in rows])
        self._voters = np.repeat(np.arange(len(rows)), lengths)
        scale = np.array(factors or (1.0,), np.float32)[self._voters]
        self._weights = np.concatenate([row.weights for row in rows]) * scale

    def __len__(self) -> int:
        return len(self._slots)

    def totals(self, size: int) -> Scores:
        """Sum by slot [size]."""
        return np.bincount(self._slots, self._weights, size).astype(np.float64, copy=False)

    def voters_for(self, slot: int) -> list[int]:
        """Numbers of the rows that speak for a slot, loudest first."""
        places = np.flatnonzero(self._slots == slot)
        places = places[self._weights[places] > 0]
        order = np.argsort(-self._weights[places], kind="stable")
        return [int(voter) for voter in self._voters[places[order]]]


def best_first(scores: Scores) -> Iterator[int]:
    """Yield slots with a score above zero, best first, of equals the lower one; sorts only as far as it is asked."""
    slots = np.flatnonzero(scores > 0)
    values = scores[slots]
    if len(slots) > _FIRST:
        head = values >= np.partition(values, len(values) - _FIRST)[len(values) - _FIRST]
        yield from _sorted(slots[head], values[head])
        slots, values = slots[~head], values[~head]
    yield from _sorted(slots, values)


def _sorted(slots: NDArray[np.intp], values: Scores) -> list[int]:
    found: list[int] = slots[np.argsort(-values, kind="stable")].tolist()
    return found


def by_its_top(part: Scores) -> Scores:
    """Divide a part by the mean of its largest values, so that parts can be added; a part without any is zero."""
    values = part[part > 0]
    if len(values) < _TOP_OF_A_PART:
        values = part
    if len(values) > _TOP_OF_A_PART:
        values = np.partition(values, len(values) - _TOP_OF_A_PART)[-_TOP_OF_A_PART:]
    top = values.mean() if len(values) else 0.0
    return part / top if top > 0 else np.zeros(len(part))
