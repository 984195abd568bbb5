"""What became of due steps, as counts that add up: over customers, shards, steps and weeks."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from services.scheduler.domain import Due
from shared.events import Decision, Outcome, Reason, RuleOutcome, Verdict

DUE, OPEN, DEFERRED = "due", "open", "deferred"
SKIPPED_BY, DEFERRED_BY = "skipped_by", "deferred_by"
DROPPED, ALONE, HELD = "dropped", "alone", "held"
_DAY_SECONDS = 86400


class Cell(NamedTuple):
    """A step, its channel, and the ISO week in which it first came due."""

    shop: str
    journey: str
    step: str
    channel: str
    week: str


class Figure(NamedTuple):
    """What is counted: occurrences by verdict (`due` is their sum and `open`), or what a rule did.

    `skipped_by` and `deferred_by` count decisions by their one reason. A rule (`of`) that says drop counts in `dropped` for each
    skip, and in `alone` where no other rule did; one that says defer in `held`, for each decision to defer.
    """

    name: str
    of: str = ""


@dataclass
class Tally:
    """Counts of one life. Steps that first come due outside [since, until) are lived, but not counted."""

    since: datetime | None = None
    until: datetime | None = None
    cells: dict[Cell, Counter[Figure]] = field(default_factory=lambda: defaultdict(Counter))
    waiting: dict[UUID, Cell] = field(default_factory=dict)
    decisions: int = 0

    def take(self, shop: str, due: Due, decision: Decision) -> None:
        """Count a decision. Those on one occurrence come in order of their attempts."""
        self.decisions += 1
        cell = self.waiting.get(due.message_id)
        if cell is None:
            if decision.attempt > 1 or not self.counts(due.due_at):
                return
            cell = Cell(shop, due.journey, due.step, due.channel.value, week_of(due.due_at))
        figures = self.cells[cell]
        if decision.attempt == 1:
            figures[_DUE] += 1
            if decision.verdict is Verdict.DEFER:
                figures[_DEFERRED] += 1
        reason = decision.reason.value if decision.reason else ""
        if decision.verdict is Verdict.DEFER:
            self.waiting[due.message_id] = cell
            figures[Figure(DEFERRED_BY, reason)] += 1
        else:
            self.waiting.pop(due.message_id, None)
            figures[_FINAL[decision.verdict]] += 1
            if decision.verdict is Verdict.SKIP:
                figures[Figure(SKIPPED_BY, reason)] += 1
        _count_rules(figures, decision)

    def counts(self, due_at: datetime) -> bool:
        """Whether steps due then are in the report."""
        return (self.since is None or due_at >= self.since) and (self.until is None or due_at < self.until)

    def close(self) -> None:
        """The past is over: what was deferred and not settled stays open."""
        for cell in self.waiting.values():
            self.cells[cell][_OPEN] += 1
        self.waiting.clear()

    def add(self, other: "Tally") -> None:
        """Add the counts of other customers."""
        self.decisions += other.decisions
        for cell, figures in other.cells.items():
            self.cells[cell].update(figures)


_DUE, _OPEN, _DEFERRED = Figure(DUE), Figure(OPEN), Figure(DEFERRED)
_FINAL = {verdict: Figure(verdict.value) for verdict in Verdict}


def _count_rules(figures: Counter[Figure], decision: Decision) -> None:
    if decision.verdict is Verdict.SKIP:
        drops = [rule for rule in decision.rules if rule.outcome is Outcome.DROP]
        for rule in drops:
            for name in _names(rule):
                figures[Figure(DROPPED, name)] += 1
                if len(drops) == 1:
                    figures[Figure(ALONE, name)] += 1
    elif decision.verdict is Verdict.DEFER:
        for rule in decision.rules:
            if rule.outcome is Outcome.DEFER:
                for name in _names(rule):
                    figures[Figure(HELD, name)] += 1


def _names(rule: RuleOutcome) -> Iterator[str]:
    """The rule, and of caps which one: `capped: 3 in 7 d`; of cool-downs how long: `cool_down: 14 d`."""
    yield rule.rule.value
    if rule.rule is Reason.CAPPED:
        for cap in rule.inputs.get("caps", ()):
            if cap["sent"] >= cap["count"]:
                yield f"capped: {cap['count']} in {_span(cap['per_s'])}"
    elif rule.rule is Reason.COOL_DOWN and rule.inputs.get("days") is not None:
        yield f"cool_down: {rule.inputs['days']} d"


def _span(seconds: int) -> str:
    days = seconds / _DAY_SECONDS
    return f"{days:g} d" if days >= 1 else f"{seconds / 3600:g} h"


def week_of(moment: datetime) -> str:
    """The ISO week, in UTC, as 2026-W09."""
    year, week, _ = moment.isocalendar()
    return f"{year}-W{week:02d}"


def total(cells: Mapping[Cell, Counter[Figure]], *fields: str) -> dict[tuple[str, ...], Counter[Figure]]:
    """Add cells up by some of their fields, in order; without fields, all into one."""
    sums: dict[tuple[str, ...], Counter[Figure]] = {}
    for cell, figures in cells.items():
        sums.setdefault(tuple(getattr(cell, name) for name in fields), Counter()).update(figures)
    return dict(sorted(sums.items()))
