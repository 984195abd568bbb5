"""How well a method answered: figures by question, paired intervals over customers."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bench.relevance_data import Floats, Instance

DISCOUNT = 1 / np.log2(np.arange(2, 12))
RESAMPLES = 1000
COVERAGE_RESAMPLES = 300
SHOWN = 3
RANKED = 10
TIE = np.float32(1e-5)


@dataclass(frozen=True)
class Interval:
    """A figure with its 95 % interval."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        """As a difference in per cent."""
        return f"{self.value:+.1%} [{self.low:+.1%}, {self.high:+.1%}]"


class Scored:
    """Figures of one method on one task, by instance."""

    def __init__(self, asked: Sequence[Instance]) -> None:
        self._asked = asked
        self.ndcg = np.zeros(len(asked))
        self.first3 = np.zeros(len(asked), bool)
        self.first10 = np.zeros(len(asked), bool)
        self.top3 = np.full((len(asked), SHOWN), -1)

    def take(self, start: int, scores: Floats, popular: NDArray[np.float64]) -> None:
        """Rank the catalogue for the questions from `start` on, scores [m, n]; of equals the more `popular` [n] first.

        What is given is never shown.
        """
        best = np.abs(scores).max(axis=1, keepdims=True, initial=1e-12)
        ranked = scores + (TIE * best) * popular.astype(np.float32)
        for row, item in enumerate(self._asked[start : start + len(ranked)]):
            ranked[row, item.given] = -np.inf
        top = np.argpartition(ranked, -RANKED, axis=1)[:, -RANKED:]
        order = np.argsort(-np.take_along_axis(ranked, top, 1), axis=1, kind="stable")
        top = np.take_along_axis(top, order, 1)
        self.top3[start : start + len(top)] = top[:, :SHOWN]
        for place, slots in enumerate(top.tolist(), start):
            right = set(self._asked[place].right.tolist())
            hits = [rank for rank, slot in enumerate(slots) if slot in right]
            self.ndcg[place] = DISCOUNT[hits].sum() / DISCOUNT[: len(right)].sum()
            self.first3[place], self.first10[place] = bool(hits) and hits[0] < SHOWN, bool(hits)

    @property
    def shown(self) -> int:
        """Products in anyone's top 3."""
        return len(np.unique(self.top3))


def compare(ours: Scored, peer: Scored, customers: NDArray[np.int64]) -> Interval:
    """Relative difference of NDCG@10; the interval is from resamples of customers."""
    _, place = np.unique(customers, return_inverse=True)
    sums = np.stack([np.bincount(place, weights=found.ndcg) for found in (ours, peer)])
    draws = _resample(sums.shape[1], RESAMPLES) @ sums.T
    low, high = np.percentile(draws[:, 0] / np.maximum(draws[:, 1], 1e-12) - 1, [2.5, 97.5])
    return Interval(float(sums[0].sum() / max(sums[1].sum(), 1e-12) - 1), float(low), float(high))


def compare_coverage(ours: Scored, peer: Scored, customers: NDArray[np.int64]) -> Interval:
    """What ours shows, in units of what the peer shows; the interval is from resamples of customers."""
    _, place = np.unique(customers, return_inverse=True)
    present = np.asarray(_resample(int(place.max()) + 1, COVERAGE_RESAMPLES) > 0, np.float32)
    shown = []
    for found in (ours, peer):
        seen = np.zeros((present.shape[1], int(max(ours.top3.max(), peer.top3.max())) + 1), np.float32)
        seen[place[:, None], found.top3] = 1
        shown.append((present @ seen > 0).sum(axis=1))
    low, middle, high = np.percentile(shown[0] / shown[1], [2.5, 50, 97.5])
    # A resample has fewer customers and shows less, more so by some methods: only its spread counts.
    share = ours.shown / peer.shown
    return Interval(share, float(share * low / middle), float(share * high / middle))


def _resample(customers: int, times: int) -> NDArray[np.int64]:
    rng = np.random.default_rng(7)
    return rng.multinomial(customers, np.full(customers, 1 / customers), times)
