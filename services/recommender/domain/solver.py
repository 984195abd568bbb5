"""Local ridge solves from rows as they come: who speaks for a product, of its own neighbours.

Rows are kept as arrays over slots, small integers that products get when they are first seen. Those of a product's
neighbours make up the matrix of its solve, in a millisecond or two.
"""

from collections.abc import Callable, Iterable, Mapping

import numpy as np
from numpy.typing import NDArray

from services.recommender.domain.ridge import column

Floats = NDArray[np.float32]
Slots = NDArray[np.intp]

_EMPTY: tuple[Slots, Floats] = (np.zeros(0, np.intp), np.zeros(0, np.float32))


class Matrix:
    """A symmetric matrix by rows, each pruned; what is not there is zero. The diagonal is kept apart.

    What the rows of two products say of each other becomes one number by `merge`: the larger, where both count the same
    and pruning may have taken it from one; the sum, where each counts its own part.
    """

    def __init__(self, merge: Callable[[Floats, Floats], Floats]) -> None:
        self._merge = merge
        self._rows: dict[int, tuple[Slots, Floats]] = {}
        self._diagonal = np.zeros(64, np.float32)
        self._place = np.full(64, -1, np.intp)

    def put(self, slot: int, diagonal: float, row: Mapping[int, float]) -> None:
        """Take a row in place of its former one."""
        slots = np.fromiter(row.keys(), np.intp, len(row))
        self._grow(max(slot, int(slots.max(initial=0))))
        self._diagonal[slot] = diagonal
        self._rows[slot] = slots, np.fromiter(row.values(), np.float32, len(row))

    def row(self, slot: int) -> tuple[Slots, Floats]:
        """Neighbours of a slot and their counts; both empty if it has none."""
        return self._rows.get(slot, _EMPTY)

    def solve(self, slot: int, penalty: float, most: int) -> tuple[Slots, Floats]:
        """The `most` heaviest neighbours of a slot, and how much having each speaks for it."""
        near, counts = self.row(slot)
        if len(near) > most:
            near = near[np.lexsort((near, -counts))[:most]]
        if not len(near):
            return _EMPTY
        gram = self._among(np.concatenate([[slot], near]))
        return near, column(gram[1:, 1:], gram[0, 1:], penalty)

    def bought(self, slots: int | Slots) -> NDArray[np.float32]:
        """The diagonal; zero for slots of which no row is known yet."""
        self._grow(int(np.max(slots, initial=0)))
        return np.asarray(self._diagonal[slots])

    def counting(self, slot: int, others: Slots) -> NDArray[np.bool_]:
        """Which of others have a slot in their rows."""
        rows = [self.row(int(other))[0] for other in others]
        owners = np.repeat(np.arange(len(others)), [len(row) for row in rows])
        found = np.zeros(len(others), np.bool_)
        found[owners[np.concatenate([*rows, _EMPTY[0]]) == slot]] = True
        return found

    def _among(self, near: Slots) -> Floats:
        rows = [self._rows.get(int(slot)) for slot in near]
        owners = np.repeat(np.arange(len(near)), [len(row[0]) if row else 0 for row in rows])
        known = [row for row in rows if row]
        gram = np.zeros((len(near), len(near)), np.float32)
        if known:
            self._place[near] = np.arange(len(near))
            places = self._place[np.concatenate([slots for slots, _ in known])]
            self._place[near] = -1
            inside = places >= 0
            gram[owners[inside], places[inside]] = np.concatenate([values for _, values in known])[inside]
            gram = np.asarray(self._merge(gram, gram.T))
        gram[np.diag_indices(len(near))] = self._diagonal[near]
        return gram

    def _grow(self, slot: int) -> None:
        if slot >= len(self._diagonal):
            wider = 2 * slot
            self._diagonal = np.concatenate(
                [self._diagonal, np.zeros(wider - len(self._diagonal), np.float32)]
            )
            self._place = np.full(wider, -1, np.intp)


class Slotting:
    """Numbers for products, given for good in the order in which they are first asked for."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self._slots: dict[str, int] = {}

    def of(self, product: str) -> int:
        """A product's slot."""
        found = self._slots.get(product)
        if found is None:
            found = self._slots[product] = len(self.names)
            self.names.append(product)
        return found

    def by_slot(self, counts: Iterable[tuple[str, float]]) -> dict[int, float]:
        """Counts by slot instead of by product."""
        return {self.of(other): number for other, number in counts}
