"""The same questions to every method over one part of a shop's log, refitted as it goes; tuning is such a run, too."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from bench.relevance_cost import Meter
from bench.relevance_data import TASKS, Evidence, Floats, Instance, Log, instances, sparse
from bench.relevance_ours import OURS, Ours
from bench.relevance_peers import (
    EASE,
    EASE_POPULAR,
    FORMULAS,
    POPULAR,
    Model,
    Value,
    by_top,
    fit,
)
from bench.relevance_score import Scored

BATCH = 1000
Tick = Callable[[int], None]


@dataclass(frozen=True)
class Setting:
    """A method in one configuration on one task."""

    task: str
    method: str
    value: Value


Results = dict[Setting, Scored]


@dataclass(frozen=True)
class Exam:
    """A shop's log and what is asked of it: instances by task, oldest first."""

    log: Log
    asked: Mapping[str, list[Instance]]

    def answers(self, settings: Iterable[Setting]) -> int:
        """How many answers all settings give together."""
        return sum(len(self.asked[setting.task]) for setting in settings)


def examine(log: Log, part: str, number: int) -> Exam:
    """Ask up to `number` questions a task in the tuning part (`tune`) or the last."""
    low, high = (log.fit, log.tune) if part == "tune" else (log.tune, len(log.baskets))
    return Exam(log, {task: instances(log, task, low, high, number) for task in TASKS})


def ask(exam: Exam, settings: Iterable[Setting], refit_days: float, meter: Meter, tick: Tick) -> Results:
    """Every setting's answers to the questions of its task, oldest first; all is refitted every `refit_days` days."""
    run = _Run(exam, meter, tick)
    results = {setting: Scored(exam.asked[setting.task]) for setting in settings}
    ours = {setting: scored for setting, scored in results.items() if setting.method == OURS}
    peers = {setting: scored for setting, scored in results.items() if setting.method != OURS}
    model = Ours(exam.log, meter)
    for low, high in _windows(exam, refit_days):
        if ours:
            with threadpool_limits(1, "blas"):  # it solves many small systems, which a second thread delays
                run.ask_ours(model, ours, low, high)
        run.ask_peers(peers, low, high)
    return results


def _windows(exam: Exam, refit_days: float) -> list[tuple[int, int]]:
    log = exam.log
    orders = [item.order for items in exam.asked.values() for item in items]
    windows, low = [], min(orders)
    while low <= max(orders):
        high = max(int(np.searchsorted(log.days, log.days[low] + refit_days)), low + 1)
        windows.append((low, high))
        low = high
    return windows


class _Run:
    def __init__(self, exam: Exam, meter: Meter, tick: Tick) -> None:
        self._log = log = exam.log
        self._asked = exam.asked
        self._meter = meter
        self._tick = tick
        self._rows = sparse(log.baskets, log.size)

    def ask_ours(self, model: Ours, results: Results, low: int, high: int) -> None:
        popular = self._popular(low)
        model.fit(low, {(setting.task, setting.value) for setting in results})
        due = [(task, place) for task in TASKS for place in self._places(task, low, high)]
        for task, place in sorted(due, key=lambda one: self._asked[one[0]][one[1]].order):
            for setting, scored in results.items():
                if setting.task == task:
                    scores = model.answer(task, self._asked[task][place], setting.value)
                    scored.take(place, scores[None], popular)
                    self._tick(1)

    def ask_peers(self, results: Results, low: int, high: int) -> None:
        popular = self._popular(low)
        by_model: dict[tuple[bool, str, Value], list[Setting]] = defaultdict(list)
        for setting in results:
            name, value = setting.method, setting.value
            key = (EASE, value[0]) if name == EASE_POPULAR else (name, None if name == POPULAR else value)
            by_model[setting.task == "N", *key].append(setting)
        evidence: dict[bool, Evidence] = {}
        for (customers, name, value), settings in by_model.items():
            if customers not in evidence:
                evidence[customers] = Evidence(self._log, low, customers=customers)
            model = self._fit(name, evidence[customers], value)
            for setting in settings:
                places = self._places(setting.task, low, high)
                for start in range(places.start, places.stop, BATCH):
                    batch = range(start, min(start + BATCH, places.stop))
                    results[setting].take(start, self._scores(setting, model, batch), popular)
                    self._tick(len(batch))

    def _fit(self, name: str, evidence: Evidence, value: Value) -> Model | None:
        if name == POPULAR:
            return None
        shared = evidence.together.nbytes if name in FORMULAS else 0
        with self._meter.measure(name, evidence.seconds if shared else 0.0, shared):
            return fit(name, evidence, value)

    def _scores(self, setting: Setting, model: Model | None, places: range) -> Floats:
        items = [self._asked[setting.task][place] for place in places]
        orders = [item.order for item in items]
        if model is None:
            return self._recent(orders, setting.value)
        scores = model(sparse([item.given for item in items], self._log.size))
        if setting.method != EASE_POPULAR:
            return scores
        _, share, half_life = setting.value
        return np.asarray(by_top(scores) + share * by_top(self._recent(orders, half_life)), np.float32)

    def _recent(self, orders: Sequence[int], half_life: float) -> Floats:
        """Orders by product before each of `orders` (ascending), one of `half_life` days ago counting half [m, n]."""
        days = self._log.days - self._log.days[orders[0]]
        weights = np.exp2(days / half_life)
        recent = np.zeros((len(orders), self._log.size), np.float32)
        total, taken = np.zeros(self._log.size), 0
        for row, order in enumerate(orders):
            if order > taken:
                total = total + weights[taken:order] @ self._rows[taken:order]
                taken = order
            recent[row] = total / weights[order]
        return recent

    def _places(self, task: str, low: int, high: int) -> range:
        orders = [item.order for item in self._asked[task]]
        return range(int(np.searchsorted(orders, low)), int(np.searchsorted(orders, high)))

    def _popular(self, order: int) -> NDArray[np.float64]:
        total = np.asarray(self._rows[:order].sum(axis=0), np.float64).ravel()
        return total / max(float(total.max()), 1.0)
