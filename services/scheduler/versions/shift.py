"""What a publication changes for one customer who waits, each change with the field or condition that it is due to."""

from collections.abc import Iterator
from datetime import datetime
from typing import Literal, NamedTuple

from services.scheduler.domain import CustomerState, Due, Journey, Published, open_due
from services.scheduler.domain.enrolling import order_of
from services.scheduler.domain.step import Condition, Step, When
from services.scheduler.domain.timing import NO_OUTLOOK, Outlook
from services.scheduler.domain.tree import Gate, Leaf
from services.scheduler.versions.compare import fields_of, word

Effect = Literal["gain", "lose", "move", "stop", "alter"]
EFFECTS: tuple[Effect, ...] = ("gain", "lose", "move", "stop", "alter")
"""A step more, a step less, another time, skipped as journey_stopped, the same time with other content or rules."""

_TIMING = ("after", "delay", "at", "repeat")
_NAMED = 3


class Shift(NamedTuple):
    """What happens to one waiting step, and why."""

    journey: str
    effect: Effect
    step: str
    cause: str


class Found(NamedTuple):
    """One customer's shifts, and whether they have an open step of these journeys now."""

    shifts: list[Shift]
    waiting: bool


class Comparison:
    """What is in force beside what would be. Causes are the same for many customers, so they are looked up once."""

    def __init__(self, before: Published, after: Published, outlook: Outlook = NO_OUTLOOK) -> None:
        self._before = before
        self._after = after
        self._outlook = outlook
        self._causes: dict[tuple[object, ...], str] = {}

    def shifts(self, state: CustomerState, now: datetime) -> Found:
        """Compare the open steps of a customer under the one with those under the other.

        Gains, losses and moves are the very rows that publishing writes; the other effects change no row.
        """
        old = {each.message_id: each for each in open_due(state, self._before, now, self._outlook)}
        new = {each.message_id: each for each in open_due(state, self._after, now, self._outlook)}
        found = [
            shift
            for key, was in old.items()
            if (shift := self._kept(was, new[key]) if key in new else self._lost(state, was))
        ]
        found += [self._gained(state, each) for key, each in new.items() if key not in old]
        return Found(found, bool(old))

    def _kept(self, was: Due, will: Due) -> Shift | None:
        effect: Effect = "move" if was.due_at != will.due_at else "alter"
        if effect == "alter" and will.drained and not was.drained:
            return Shift(will.journey, "stop", will.step, "drained")
        if effect == "alter" and (was.journey_version == will.journey_version or will.drained):
            return None
        key = (effect, will.journey, was.journey_version, was.leaf, will.journey_version, will.leaf)
        if key not in self._causes:
            old = self._before.journey(was.journey, was.journey_version)
            new = self._after.journey(will.journey, will.journey_version)
            why = _why_moved if effect == "move" else _why_altered
            self._causes[key] = why(old, was.leaf, new, will.leaf)
        cause = self._causes[key]
        return Shift(will.journey, effect, will.step, cause) if cause else None

    def _gained(self, state: CustomerState, each: Due) -> Shift:
        cause = self._why_there(state, each, self._after, self._before, gone=False)
        return Shift(each.journey, "gain", each.step, cause or "the journey begins")

    def _lost(self, state: CustomerState, each: Due) -> Shift:
        cause = self._why_there(state, each, self._before, self._after, gone=True)
        return Shift(each.journey, "lose", each.step, cause or "the journey is withdrawn")

    def _why_there(
        self, state: CustomerState, each: Due, has: Published, other: Published, *, gone: bool
    ) -> str:
        standing = _standing(state, other, each)
        if standing is None:
            return ""
        key = (gone, each.journey, each.journey_version, each.leaf, each.occurrence, standing.version)
        if key not in self._causes:
            mine = has.journey(each.journey, each.journey_version)
            self._causes[key] = _why_there(standing, mine, each.leaf, each.occurrence, gone=gone)
        return self._causes[key]


def _standing(state: CustomerState, published: Published, each: Due) -> Journey | None:
    """Return the version that an enrolment would follow, whether or not it enters."""
    order = order_of(state, each.order_id, published.programme(state.shop))
    if order is None:
        return None
    editions = published.by_shop.get(state.shop, ())
    return next(
        (
            edition.journey
            for edition in editions
            if edition.journey.id == each.journey and edition.takes(order.placed_at)
        ),
        None,
    )


def _why_there(other: Journey, has: Journey, leaf: int, occurrence: int, *, gone: bool) -> str:
    """Say why a step is due by `has` and not by `other`: what it, and the way to it, have that the other has not."""
    mine = has.leaves[leaf]
    theirs = [each for each in other.leaves if each.step.id == mine.step.id]
    old, new = (has, other) if gone else (other, has)
    if not theirs:
        return f"step {mine.step.id} {'removed' if gone else 'added'}"
    nearest = min(theirs, key=lambda each: _distance(mine, each))
    first, second = (mine, nearest) if gone else (nearest, mine)
    times = [each.step.repeat.times if each.step.repeat else 1 for each in (first, second)]
    if min(times) <= occurrence:
        return f"repeat of step {mine.step.id} {times[0]} -> {times[1]} times"
    said = [*_entrance(old, new), *_ways(first, second)] or _timing(first.step, second.step)
    return "; ".join(said) or "another step that it waits for"


def _distance(mine: Leaf, other: Leaf) -> int:
    return len(set(map(_text_of, mine.gates)) ^ set(map(_text_of, other.gates))) + len(
        _choices(mine) ^ _choices(other)
    )


def _entrance(old: Journey, new: Journey) -> Iterator[str]:
    if old.entry != new.entry:
        yield f"entry: {_condition(old.entry)} -> {_condition(new.entry)}"
    if old.re_entry != new.re_entry:
        sides = [each.model_dump(mode="json")["re_entry"] for each in (old, new)]
        yield f"re_entry {sides[0]} -> {sides[1]}"
    if old.starts != new.starts:
        yield f"starts {old.starts} -> {new.starts}"


def _ways(first: Leaf, second: Leaf) -> Iterator[str]:
    """Say which branches, conditions and experiments on the way to a step differ."""
    old, new = [_text_of(each) for each in first.gates], [_text_of(each) for each in second.gates]
    gone, come = [each for each in old if each not in new], [each for each in new if each not in old]
    if gone and come:
        yield f"branch arm if: {' and '.join(gone)} -> {' and '.join(come)}"
    elif come:
        yield f"branch arm if: {' and '.join(come)}"
    elif gone:
        yield f"no more branch arm if: {' and '.join(gone)}"
    if first.step.when != second.step.when:
        yield f"when of step {second.step.id}: {_condition(first.step.when)} -> {_condition(second.step.when)}"
    if _choices(first) != _choices(second):
        names = {each.experiment.experiment for each in (*first.choices, *second.choices)}
        yield f"experiment {' and '.join(sorted(names))}"


def _choices(leaf: Leaf) -> set[str]:
    return {
        f"{each.variant} {each.experiment.model_dump_json(exclude={'step', 'variants'})}"
        for each in leaf.choices
    }


def _text_of(gate: Gate) -> str:
    text = _condition(gate.condition)
    return text if gate.wanted else f"not ({text})"


def _condition(condition: Condition) -> str:
    if isinstance(condition, When):
        return (
            word(condition.model_dump(mode="json", exclude_defaults=True))
            if condition != When()
            else "every order"
        )
    return condition


def _why_moved(old: Journey, was: int, new: Journey, will: int) -> str:
    first, second = old.leaves[was], new.leaves[will]
    said = _timing(first.step, second.step)
    if old.time_zone != new.time_zone:
        said.append(f"time_zone {old.time_zone} -> {new.time_zone}")
    return "; ".join(said or _ways(first, second)) or "what is foretold of it"


def _timing(first: Step, second: Step) -> list[str]:
    old, new = (each.model_dump(mode="json", include=set(_TIMING)) for each in (first, second))
    return [
        f"{name} of step {second.id} {word(old[name])} -> {word(new[name])}"
        for name in _TIMING
        if old[name] != new[name]
    ]


def _why_altered(old: Journey, was: int, new: Journey, will: int) -> str:
    """Say what else a waiting person would meet: the step's content, then the journey's rules."""
    first, second = (
        leaf.step.model_dump(mode="json", by_alias=True) for leaf in (old.leaves[was], new.leaves[will])
    )
    said = [
        f"{each.path} of step {second['id']} {word(each.old)} -> {word(each.new)}"
        for each in fields_of(first, second)
    ]
    rules = (each.model_dump(mode="json", by_alias=True, exclude={"steps"}) for each in (old, new))
    said += [f"{each.path} {word(each.old)} -> {word(each.new)}" for each in fields_of(*rules)]
    more = len(said) - _NAMED
    return "; ".join(said[:_NAMED]) + (f"; and {more} more" if more > 0 else "")
