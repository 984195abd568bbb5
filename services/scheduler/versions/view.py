"""How publications, plans and differences are shown to people, and as data to machines."""

from collections.abc import Iterable, Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from services.scheduler.domain.publishing import version_of
from services.scheduler.versions.changes import Change
from services.scheduler.versions.compare import Field, differences
from services.scheduler.versions.planning import Forecast
from services.scheduler.versions.publications import Entry
from services.scheduler.versions.shift import EFFECTS, Effect, Shift

_WORDS: dict[Effect, str] = {
    "gain": "gain a step",
    "lose": "lose a step",
    "move": "move in time",
    "stop": "stopped (journey_stopped)",
    "alter": "same time, other content or rules",
}
_SHOWN_FIELDS = 40


def change_line(change: Change) -> str:
    """Say in one line what changes."""
    sides = [version_of(each) if each else "-" for each in (change.old, change.new)]
    word = "new" if change.old is None else "withdrawn" if change.new is None else "changed"
    name = change.name if change.kind == "journey" else f"programme of {change.name}"
    return f"{name} ({change.shop}): {word}, {sides[0]} -> {sides[1]}"


def fields_of(change: Change) -> list[Field]:
    """List the fields that a change changes; none for what is new or withdrawn."""
    return differences(change.old, change.new) if change.old and change.new else []


def plan_view(forecast: Forecast) -> RenderableType:
    """Return a plan for people: what changes, then who is concerned by what."""
    parts: list[RenderableType] = []
    for change in forecast.changes:
        parts.append(Text(change_line(change), style="bold"))
        parts += [Text(f"  {line}") for line in field_lines(fields_of(change))]
    plan = forecast.plan
    parts.append(
        Text(
            f"\n--waiting {forecast.waiting}: {plan.touched:,} of {plan.waiting:,} people who wait "
            f"({plan.looked_at:,} looked at) are concerned"
        )
    )
    if plan.steps:
        parts.append(_shifts(plan.steps, plan.people))
        totals = ", ".join(f"{plan.total(each):,} {each}" for each in EFFECTS if plan.total(each))
        parts.append(Text(f"steps: {totals}"))
    if forecast.needs_two:
        shops = ", ".join(forecast.needs_two)
        parts.append(Text(f"{shops}: a second person must approve before it is in force", style="yellow"))
    return Group(*parts)


def _shifts(steps: dict[Shift, int], people: dict[Shift, int]) -> Table:
    table = Table(box=None, header_style="bold", padding=(0, 2, 0, 0))
    for name, justify in (
        ("people", "right"),
        ("steps", "right"),
        ("effect", "left"),
        ("step", "left"),
        ("because", "left"),
    ):
        table.add_column(name, justify=justify, overflow="fold")  # type: ignore[arg-type]  # the two words are literals
    for shift in sorted(
        steps, key=lambda each: (each.journey, EFFECTS.index(each.effect), -steps[each], each)
    ):
        table.add_row(
            f"{people[shift]:,}",
            f"{steps[shift]:,}",
            _WORDS[shift.effect],
            f"{shift.journey}/{shift.step}",
            Text(shift.cause),
        )
    return table


def plan_data(forecast: Forecast) -> dict[str, Any]:
    """Return a plan for machines."""
    plan = forecast.plan
    return {
        "waiting": forecast.waiting,
        "changes": [change_data(each) for each in forecast.changes],
        "needs_approval": list(forecast.needs_two),
        "people": {"looked_at": plan.looked_at, "waiting": plan.waiting, "concerned": plan.touched},
        "steps": {each: plan.total(each) for each in EFFECTS},
        "effects": [
            {**shift._asdict(), "people": plan.people[shift], "steps": count}
            for shift, count in sorted(plan.steps.items())
        ],
    }


def change_data(change: Change) -> dict[str, Any]:
    """Return a change for machines."""
    return {
        "kind": change.kind,
        "shop": change.shop,
        "name": change.name,
        "from": version_of(change.old) if change.old else None,
        "to": version_of(change.new) if change.new else None,
        "fields": [each.as_data() for each in fields_of(change)],
    }


def field_lines(fields: Sequence[Field]) -> list[str]:
    """Return one line for each field, of very many only the first."""
    lines = [str(each) for each in fields[:_SHOWN_FIELDS]]
    more = len(fields) - len(lines)
    return [*lines, f"... and {more} more fields"] if more else lines


def entries_view(entries: Iterable[Entry], standing: set[int]) -> RenderableType:
    """Return publications for people, latest first; `standing` are those that are in force for new orders."""
    table = Table(box=None, header_style="bold", padding=(0, 2, 0, 0))
    for name in ("seq", "what", "version", "waiting", "state", "by", "why"):
        table.add_column(name, overflow="fold")
    for each in entries:
        table.add_row(
            str(each.seq),
            each.name if each.kind == "journey" else f"programme of {each.name}",
            each.version or "withdrawn",
            each.waiting,
            _state(each, each.seq in standing),
            f"{each.published_by}, approved by {each.approved_by}" if each.approved_by else each.published_by,
            Text(each.why),
        )
    return table


def _state(entry: Entry, standing: bool) -> str:  # noqa: FBT001  read at one glance
    if entry.in_force_at is None:
        return f"proposed {entry.published_at:%Y-%m-%d %H:%M}, needs approval"
    return f"{'in force' if standing else 'was in force'} since {entry.in_force_at:%Y-%m-%d %H:%M}"


def entry_data(entry: Entry, *, standing: bool) -> dict[str, Any]:
    """Return a publication for machines, without its body."""
    return {
        "seq": entry.seq,
        "kind": entry.kind,
        "shop": entry.shop,
        "name": entry.name,
        "version": entry.version or None,
        "waiting": entry.waiting,
        "why": entry.why,
        "published_by": entry.published_by,
        "published_at": entry.published_at,
        "state": "proposed" if entry.proposed else "in_force" if standing else "superseded",
        "in_force_at": entry.in_force_at,
        "approved_by": entry.approved_by,
    }
