"""The tables of the relevance benchmark, its goals, and the log of who looked at the last part."""

import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench.relevance_cost import Meter
from bench.relevance_data import TASKS, Log
from bench.relevance_ours import CONFIGS, COUNTING, FRONTIER, OURS, OURS_TUNED, changes
from bench.relevance_peers import EASE, EASE_POPULAR
from bench.relevance_run import Exam, Results, Setting
from bench.relevance_score import Interval, Scored, compare, compare_coverage
from bench.relevance_tune import Tuned
from services.recommender.domain.relevance import DEFAULT

LOG = Path(__file__).with_name("relevance-log.md")
NO_WORSE, NO_WORSE_LOW = -0.01, -0.05
NOVEL_GAIN = {"online-retail": 0.1}
COVERAGE_LEAST = {"C": 1.0, "N": 0.75}
Goal = dict[str, bool | float | str]
Named = Mapping[str, Scored]


def say(line: str = "") -> None:
    """Write a line of the report."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def by_name(results: Results, tuned: Tuned, task: str) -> dict[str, Scored]:
    """A task's figures by the name of the method, worst first; ours in its one configuration and tuned for the shop."""
    named = {OURS: results[Setting(task, OURS, DEFAULT)]}
    for (of_task, name), value in tuned.chosen.items():
        if of_task == task:
            named[OURS_TUNED if name == OURS else name] = results[Setting(task, name, value)]
    return dict(sorted(named.items(), key=lambda one: float(np.mean(one[1].ndcg))))


def report(exam: Exam, results: Results, tuned: Tuned) -> dict[str, Goal]:
    """Print the shop's tables; returns its goals."""
    log = exam.log
    goals: dict[str, Goal] = {}
    for task, title in TASKS.items():
        customers = log.customers[[item.order for item in exam.asked[task]]]
        named = by_name(results, tuned, task)
        against = {name: compare(named[OURS], found, customers) for name, found in named.items()}
        say(
            f"\n{log.shop}, {title} ({task}), {len(customers)} instances of {len(np.unique(customers))} customers"
        )
        say(
            f"{'method':22} {'NDCG@10':>8} {'HR@3':>7} {'HR@10':>7} {'coverage@3':>10}   ours against it, NDCG@10"
        )
        for name, found in named.items():
            difference = "" if name == OURS else str(against[name])
            say(
                f"{name:22} {np.mean(found.ndcg):8.4f} {np.mean(found.first3):7.3f} {np.mean(found.first10):7.3f}"
                f" {found.shown / log.size:10.3f}   {difference}"
            )
        goals |= _goals(log.shop, task, named, against, customers)
    _say_choices(log.shop, tuned)
    return goals


def _goals(
    shop: str, task: str, named: Named, against: Mapping[str, Interval], customers: NDArray[np.int64]
) -> dict[str, Goal]:
    best_peer = [name for name in named if name not in {OURS, OURS_TUNED}][-1]
    rival = {"C": EASE, "S": best_peer, "N": EASE_POPULAR}[task]
    found, gain = against[rival], NOVEL_GAIN.get(shop) if task == "N" else None
    no_worse = found.value >= NO_WORSE and found.low >= NO_WORSE_LOW
    goals = {f"{shop}.{task}": _goal(no_worse if gain is None else found.value >= gain, found, rival)}
    if task in COVERAGE_LEAST:
        share = compare_coverage(named[OURS], named[EASE], customers)
        goals[f"{shop}.{task}.coverage"] = _goal(share.value >= COVERAGE_LEAST[task], share, EASE)
    return goals


def _goal(met: bool, found: Interval, rival: str) -> Goal:  # noqa: FBT001  one of three figures of a goal
    figures = {name: round(float(getattr(found, name)), 4) for name in ("value", "low", "high")}
    return {"met": bool(met), **figures, "against": rival}


def _say_choices(shop: str, tuned: Tuned) -> None:
    say(f"\n{shop}, what was chosen on the tuning part, for C, S and N")
    names = dict.fromkeys(name for _, name in tuned.chosen)
    for name in names:
        values = [tuned.chosen[task, name] for task in TASKS if (task, name) in tuned.chosen]
        shown = [changes(value) if name == OURS else str(value) for value in values]
        say(f"{OURS_TUNED if name == OURS else name:22} {'; '.join(shown)}")


def say_costs(log: Log, meter: Meter) -> None:
    """Print what fitting took, by method."""
    say(f"\n{log.shop}, what the fits took ({log.size} products, {len(log.baskets)} orders)")
    say(f"{'method':22} {'fits':>5} {'s a fit':>8} {'MB a fit':>9}")
    for name, cost in sorted(meter.costs.items(), key=lambda one: one[1].seconds / one[1].fits):
        say(f"{name:22} {cost.fits:5} {cost.seconds / cost.fits:8.2f} {cost.memory / 1e6:9.0f}")
    say(f"({COUNTING}: all orders up to the fit, once; the other methods read the orders from arrays)")


def say_frontier(log: Log, tuned: Tuned) -> None:
    """Print, for each knob by which two goals pull apart, what both make of it on the tuning part."""
    for sweep in FRONTIER:
        peer = tuned.results[Setting(sweep.task, EASE, tuned.chosen[sweep.task, EASE])]
        say(f"\n{log.shop}, frontier of {sweep.task} on the tuning part: {sweep.knob}")
        say(f"{'':>8} {'NDCG@10':>8} {'HR@3':>7} {'coverage@3':>10} {'of EASE^R':>10}")
        for label, config in sweep.configs.items():
            found = tuned.results[Setting(sweep.task, OURS, config)]
            say(
                f"{label:>8} {np.mean(found.ndcg):8.4f} {np.mean(found.first3):7.3f} {found.shown / log.size:10.3f}"
                f" {found.shown / peer.shown:10.2f}{'   the default' if config == DEFAULT else ''}"
            )


def note(log: Log, asked: int, refit: str, results: Results, tuned: Tuned) -> None:
    """Append a scoring of the last part to the log."""
    tasks = (
        f"{task}: "
        + ", ".join(
            f"{name} {np.mean(found.ndcg):.4f}" for name, found in by_name(results, tuned, task).items()
        )
        for task in TASKS
    )
    tried = max(len(configs) for configs in CONFIGS.values())
    with LOG.open("a", encoding="utf-8") as file:
        file.write(
            f"- {datetime.now(UTC):%Y-%m-%d %H:%M} {log.shop}, {asked} instances, refit {refit},"
            f" {tried} configurations a method. {'; '.join(tasks)}\n"
        )
