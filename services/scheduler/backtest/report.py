"""What a backtest found, as one object of plain values: for `--json`, for the tables, and for the page."""

from collections import Counter
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from services.scheduler.backtest import tally
from services.scheduler.backtest.compare import Difference
from services.scheduler.backtest.replay import Replay
from services.scheduler.backtest.run import Outcome, Plan
from services.scheduler.backtest.tally import Cell, Figure, Tally, total
from shared.events import Verdict

Report = dict[str, Any]
_STEP = ("shop", "journey", "step", "channel")
_BECAME = 40
_DAY_SECONDS = 86400


def report_of(plan: Plan, outcome: Outcome) -> Report:
    """Return what is told. Counts are whole numbers, times ISO 8601 text in UTC; see docs/backtest.md."""
    found: Report = {
        "journeys": str(plan.journeys),
        "against": str(plan.against) if plan.against else None,
        "since": _text(plan.since),
        "until": _text(plan.until),
        "complements": _complements(plan),
        "customers": outcome.customers,
        "events": outcome.events,
        "begins": _text(outcome.begins),
        "ends": _text(outcome.ends),
        "recorded_decisions": outcome.recorded,
        "known_ahead": dict(sorted(outcome.ahead.items())),
    }
    if outcome.replay is not None:
        return found | {"replay": _replay(outcome.replay)}
    found |= _life(outcome.tally)
    if outcome.against is not None and outcome.difference is not None:
        found["compared"] = _life(outcome.against)
        found["difference"] = _difference(outcome.difference, outcome.tally, outcome.against)
    return found


def _text(moment: datetime | None) -> str | None:
    return moment.isoformat().replace("+00:00", "Z") if moment else None


def _complements(plan: Plan) -> str:
    return "rebuilt" if callable(plan.complements) else str(plan.complements)


def _life(found: Tally) -> Report:
    return {
        "decisions": found.decisions,
        "totals": _verdicts(total(found.cells).get((), Counter())),
        "steps": [
            dict(zip(_STEP, step, strict=True)) | _figures(figures)
            for step, figures in total(found.cells, *_STEP).items()
        ],
        "channels": [
            dict(zip(("shop", "channel"), key, strict=True)) | _verdicts(figures)
            for key, figures in total(found.cells, "shop", "channel").items()
        ],
        "weeks": [_week(cell, figures) for cell, figures in sorted(found.cells.items())],
        "rules": _rules(found.cells),
    }


def _week(cell: Cell, figures: Counter[Figure]) -> Report:
    return {"week": cell.week, **{name: getattr(cell, name) for name in _STEP}} | _figures(figures)


def _verdicts(figures: Counter[Figure]) -> dict[str, int]:
    names = (tally.DUE, *(each.value for each in (Verdict.SEND, Verdict.GHOST, Verdict.SKIP)))
    return {name: figures[Figure(name)] for name in (*names, tally.OPEN, tally.DEFERRED)}


def _figures(figures: Counter[Figure]) -> Report:
    return _verdicts(figures) | {
        name: {each.of: count for each, count in sorted(figures.items()) if each.name == name}
        for name in (tally.SKIPPED_BY, tally.DEFERRED_BY)
    }


def _rules(cells: Mapping[Cell, Counter[Figure]]) -> list[Report]:
    """By shop and rule: what it dropped, what nothing else would have, and how often it made one wait."""
    found = []
    for (shop,), figures in total(cells, "shop").items():
        names = sorted(
            {each.of for each in figures if each.name in (tally.DROPPED, tally.HELD)},
            key=lambda name: (
                -figures[Figure(tally.DROPPED, name)] - figures[Figure(tally.HELD, name)],
                name,
            ),
        )
        found += [
            {"shop": shop, "rule": name}
            | {what: figures[Figure(what, name)] for what in (tally.DROPPED, tally.ALONE, tally.HELD)}
            for name in names
        ]
    return found


def _difference(difference: Difference, after: Tally, before: Tally) -> Report:
    verdicts = [total(each.cells, "shop", "journey", "step") for each in (before, after)]
    steps = sorted({*verdicts[0], *verdicts[1], *(key[:3] for key in difference.changes)})
    became = sorted(difference.became.items(), key=lambda each: (-each[1], each[0]))
    return {
        "changed": sum(difference.became.values()) + sum(_of(difference, "moved").values()),
        "steps": [_step_difference(difference, step, verdicts) for step in steps],
        "became": [moved._asdict() | {"occurrences": count} for moved, count in became[:_BECAME]],
        "became_left_out": max(len(became) - _BECAME, 0),
    }


def _of(difference: Difference, change: str) -> Counter[tuple[str, ...]]:
    return Counter({key[:3]: count for key, count in difference.changes.items() if key[3] == change})


def _step_difference(
    difference: Difference,
    step: tuple[str, ...],
    verdicts: list[dict[tuple[str, ...], Counter[Figure]]],
) -> Report:
    shop, journey, name = step
    changes = {
        what: difference.changes[shop, journey, name, what] for what in ("gained", "lost", "moved", "same")
    }
    moved = changes["moved"]
    days = difference.seconds_moved[shop, journey, name] / _DAY_SECONDS / moved if moved else None
    before, after = (_figures(each.get(step, Counter())) for each in verdicts)
    reasons = sorted({*before[tally.SKIPPED_BY], *after[tally.SKIPPED_BY]})
    return {
        "shop": shop,
        "journey": journey,
        "step": name,
        **changes,
        "moved_days_mean": round(days, 2) if days is not None else None,
        "before": before,
        "after": after,
        "skips": {
            each: after[tally.SKIPPED_BY].get(each, 0) - before[tally.SKIPPED_BY].get(each, 0)
            for each in reasons
        },
    }


def _replay(found: Replay) -> Report:
    differ = sorted(found.differ.items(), key=lambda each: (-each[1], each[0]))
    return {
        "decisions": found.decisions,
        "same": found.decisions - sum(found.differ.values()),
        "differ": sum(found.differ.values()),
        "differences": [each._asdict() | {"decisions": count} for each, count in differ[:_BECAME]],
        "examples": [
            {
                "decision_id": each.decision_id,
                "decided_at": _text(each.decided_at),
                "order_id": each.order_id,
                **each.difference._asdict(),
            }
            for each in found.examples
        ],
        "other_versions": [
            {"journey": journey, "version": version, "decisions": count}
            for (journey, version), count in sorted(found.versions.items())
        ],
    }
