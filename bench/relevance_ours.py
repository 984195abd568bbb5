"""The recommender's own model as one method of the relevance benchmark, and the configurations it may be tuned over."""

from collections.abc import Collection
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from bench.relevance_cost import Meter
from bench.relevance_data import Floats, Instance, Log
from services.recommender.domain.cooccurrence import Counts
from services.recommender.domain.relevance import (
    DEFAULT,
    Config,
    Weights,
    hint,
    score_complement,
    score_next,
    solved,
    unsolved,
)

OURS, OURS_TUNED = "ours", "ours, tuned per shop"
COUNTING = "ours: counting"
SOLVING: dict[str, tuple[str, ...]] = {
    "C": ("basket_penalty", "basket_alpha", "damping", "beyond_part"),
    "S": (),
    "N": ("customer_penalty", "customer_alpha", "damping"),
}


class Ours:
    """Counters that move on order by order, weights as of the last fit."""

    def __init__(self, log: Log, meter: Meter) -> None:
        self._log = log
        self._meter = meter
        self._counts = Counts(log.size)
        self._taken = 0
        self._weights: dict[tuple[str, Config], Weights] = {}

    def fit(self, order: int, wanted: Collection[tuple[str, Config]]) -> None:
        """Bring counters and weights to the moment before `order`, for tasks and configurations."""
        with self._meter.measure(COUNTING):
            self._advance(order)
            rows = unsolved(self._counts)
        self._weights.clear()
        for task, config in sorted({(task, _solving(task, config)) for task, config in wanted}, key=str):
            with self._meter.measure(f"{OURS}: {task}"):
                weights = solved(replace(rows, config=config), baskets=task == "C", customers=task == "N")
            self._weights[task, config] = weights

    def answer(self, task: str, asked: Instance, config: Config) -> Floats:
        """Scores [n], by what is known before the question's order."""
        self._advance(asked.order)
        day = float(self._log.days[asked.order])
        weights = replace(self._weights[task, _solving(task, config)], config=config)
        if task == "N":
            customer = str(self._log.customers[asked.order])
            scores = score_next(self._counts, weights, customer, (), day)
        else:
            scores = score_complement(self._counts, weights, [int(slot) for slot in asked.given], day)
        return np.asarray(scores + hint(self._counts, day), np.float32)

    def _advance(self, order: int) -> None:
        for number in range(self._taken, order):
            slots = [int(slot) for slot in self._log.baskets[number]]
            self._counts.learn(str(self._log.customers[number]), float(self._log.days[number]), slots)
        self._taken = max(self._taken, order)


def _solving(task: str, config: Config) -> Config:
    """The configuration as far as weights for a task depend on it."""
    return replace(DEFAULT, **{name: getattr(config, name) for name in SOLVING[task]})


@dataclass(frozen=True)
class Sweep:
    """Configurations by the value of the one knob in which they differ from the default."""

    task: str
    knob: str
    configs: dict[str, Config]


def _sweep(task: str, knob: str, values: Collection[float]) -> Sweep:
    ordered = sorted({*values, getattr(DEFAULT, knob)})
    return Sweep(task, knob, {f"{value:g}": _with(**{knob: value}) for value in ordered})


def _with(**changed: Any) -> Config:  # noqa: ANN401  as the fields are
    return replace(DEFAULT, **changed)


def changes(config: Config) -> str:
    """What a configuration has otherwise than the default."""
    changed = {name: value for name, value in asdict(config).items() if value != getattr(DEFAULT, name)}
    return ", ".join(f"{name} {value}" for name, value in changed.items()) or "the default"


CONFIGS: dict[str, list[Config]] = {
    "C": [
        DEFAULT,
        *(_with(basket_penalty=value) for value in (15.0, 60.0)),
        *(_with(trend_power=value) for value in (0.0, 0.6)),
        _with(basket_alpha=0.2),
    ],
    "S": [
        DEFAULT,
        *(_with(single_alpha=value) for value in (0.1, 0.35)),
        *(_with(trend_power=value) for value in (0.0, 0.6)),
        _with(single_damping=200.0),
    ],
    "N": [
        DEFAULT,
        *(_with(newly_part=value) for value in (1.0, 2.2)),
        _with(follows_part=0.5),
        _with(customer_alpha=0.0),
        _with(owned_half_life=365.0),
    ],
}
# Quality against coverage: the less popularity counts, the more is shown.
FRONTIER = [
    _sweep("N", "newly_part", (0.0, 0.5, 1.0, 2.2, 3.0)),
    _sweep("N", "customer_alpha", (0.0, 0.1, 0.2, 0.35)),
]
