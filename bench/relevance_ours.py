"""The recommender's own model as one method of the relevance benchmark, and the configurations it may be tuned over."""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from bench.relevance_cost import Meter
from bench.relevance_data import Floats, Instance, Log
from services.recommender.domain.cooccurrence import Counts
from services.recommender.domain.relevance import hint, score_complement, score_next, solve

OURS, OURS_TUNED = "ours", "ours, tuned per shop"
COUNTING = "ours: counting"


class Ours:
    """Counters that move on order by order, weights as of the last fit."""

    def __init__(self, log: Log, meter: Meter) -> None:
        self._log = log
        self._meter = meter
        self._counts = Counts(log.size)
        self._taken = 0
        self._weights: Any = None

    def advance(self, order: int) -> None:
        """Count all orders before `order`."""
        for number in range(self._taken, order):
            slots = [int(slot) for slot in self._log.baskets[number]]
            self._counts.learn(str(self._log.customers[number]), float(self._log.days[number]), slots)
        self._taken = max(self._taken, order)

    def fit(self, order: int, configs: set[Any]) -> None:
        """Bring counters and weights to the moment before `order`."""
        with self._meter.measure(COUNTING):
            self.advance(order)
        for _ in configs:
            with self._meter.measure(OURS):
                self._weights = solve(self._counts, float(self._log.days[order - 1]))

    def answer(self, task: str, asked: Instance, _config: Any) -> Floats:  # noqa: ANN401
        """Scores [n], by what is known before the question's order."""
        self.advance(asked.order)
        day = float(self._log.days[asked.order])
        if task == "N":
            customer = str(self._log.customers[asked.order])
            scores = score_next(self._counts, self._weights, customer, (), day)
        else:
            scores = score_complement(self._counts, self._weights, [int(slot) for slot in asked.given], day)
        return np.asarray(scores + hint(self._counts, day), np.float32)


@dataclass(frozen=True)
class Config:
    """What may be tuned: nothing yet."""

    knob: float = 0.0


@dataclass(frozen=True)
class Sweep:
    """Configurations by the value of the one knob in which they differ from the default."""

    task: str
    title: str
    configs: dict[str, Config]


DEFAULT = Config()
CONFIGS: dict[str, list[Config]] = {task: [DEFAULT] for task in "CSN"}
FRONTIER: list[Sweep] = []


def changes(config: Config) -> str:
    """What a configuration has otherwise than the default."""
    changed = {name: value for name, value in asdict(config).items() if value != getattr(DEFAULT, name)}
    return ", ".join(f"{name} {value}" for name, value in changed.items()) or "the default"
