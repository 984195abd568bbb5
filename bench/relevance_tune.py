"""Choosing configurations on the tuning part alone: every method has as many to choose from, by shop and task."""

from dataclasses import dataclass

import numpy as np

from bench.relevance_cost import Meter
from bench.relevance_data import TASKS
from bench.relevance_ours import CONFIGS, FRONTIER, OURS
from bench.relevance_peers import ADDED_POPULARITY, CHOICES, EASE, EASE_POPULAR, Value
from bench.relevance_run import Exam, Results, Setting, Tick, ask
from services.recommender.domain.relevance import DEFAULT

TUNING_INSTANCES = 1500
TUNING_REFIT_DAYS = float("inf")


@dataclass(frozen=True)
class Tuned:
    """The configuration that each method did best with, by task and method, and all that was tried."""

    chosen: dict[tuple[str, str], Value]
    results: Results

    def settings(self) -> list[Setting]:
        """What is to be scored: each method as chosen; ours in its one configuration for all shops, too."""
        chosen = [Setting(task, name, value) for (task, name), value in self.chosen.items()]
        return list(dict.fromkeys([Setting(task, OURS, DEFAULT) for task in TASKS] + chosen))


def first_round() -> list[Setting]:
    """All but EASE^R + popularity, which builds on what EASE^R has chosen."""
    settings = [
        Setting(task, name, value) for task in TASKS for name, values in CHOICES.items() for value in values
    ]
    settings += [Setting(task, OURS, value) for task in TASKS for value in CONFIGS[task]]
    settings += [Setting(sweep.task, OURS, value) for sweep in FRONTIER for value in sweep.configs.values()]
    return list(dict.fromkeys(settings))


def tried(exam: Exam) -> int:
    """Answers that tuning takes in both rounds."""
    return exam.answers(first_round()) + len(ADDED_POPULARITY) * len(exam.asked["N"])


def tune(exam: Exam, tick: Tick) -> Tuned:
    """Choose by NDCG@10 on questions of the tuning part."""
    results = ask(exam, first_round(), TUNING_REFIT_DAYS, Meter(), tick)
    chosen = {}
    for name, values in {**CHOICES, OURS: []}.items():
        for task in TASKS:
            chosen[task, name] = _best(results, task, name, values or CONFIGS[task])
    added = [Setting("N", EASE_POPULAR, (chosen["N", EASE], *pair)) for pair in ADDED_POPULARITY]
    results |= ask(exam, added, TUNING_REFIT_DAYS, Meter(), tick)
    chosen["N", EASE_POPULAR] = _best(results, "N", EASE_POPULAR, [setting.value for setting in added])
    return Tuned(chosen, results)


def _best(results: Results, task: str, name: str, values: list[Value]) -> Value:
    return max(values, key=lambda value: float(np.mean(results[Setting(task, name, value)].ndcg)))
