"""Two lives of the same people, occurrence by occurrence: what the one sends and the other does not."""

from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal, NamedTuple
from uuid import UUID

from services.scheduler.domain import Due
from shared.events import Decision, Verdict

Change = Literal["gained", "lost", "moved", "same"]
_NOT_DUE = "not due"
_OPEN = "open"


class Fate(NamedTuple):
    """What became of one occurrence: where it stands in its journey, the verdict with its reason, and when."""

    shop: str
    journey: str
    step: str
    verdict: str
    at: datetime
    counted: bool


class Moved(NamedTuple):
    """An occurrence's two fates in words, against first: `send`, `skip: capped`, `not due`."""

    shop: str
    journey: str
    step: str
    before: str
    after: str


@dataclass
class Fates:
    """The fates of one life, kept while the other is lived."""

    of: dict[UUID, Fate] = field(default_factory=dict)

    def take(self, shop: str, due: Due, decision: Decision, *, counted: bool) -> None:
        """Keep a decision as its occurrence's fate so far."""
        words = decision.verdict.value
        if decision.verdict is Verdict.DEFER:
            words = f"{_OPEN}: {decision.reason}"
        elif decision.verdict is Verdict.SKIP:
            words = f"{words}: {decision.reason}"
        self.of[due.message_id] = Fate(shop, due.journey, due.step, words, decision.decided_at, counted)


@dataclass
class Difference:
    """What journeys change against others. Counts add up over customers.

    `changes`: by step, sends gained, lost, moved in time, and the same. `became`: by step, every pair of fates that differ.
    `seconds_moved`: by step, the seconds by which moved sends are later (below zero: earlier), added up.
    """

    changes: Counter[tuple[str, str, str, Change]] = field(default_factory=Counter)
    became: Counter[Moved] = field(default_factory=Counter)
    seconds_moved: Counter[tuple[str, str, str]] = field(default_factory=Counter)

    def take(self, before: Fates, after: Fates) -> None:
        """Compare the fates of the same people."""
        for each in before.of.keys() | after.of.keys():
            old, new = before.of.get(each), after.of.get(each)
            known = new or old
            if known is not None and any(fate.counted for fate in (old, new) if fate is not None):
                self._compare(known, old, new)

    def _compare(self, known: Fate, old: Fate | None, new: Fate | None) -> None:
        step = known.shop, known.journey, known.step
        words = old.verdict if old else _NOT_DUE, new.verdict if new else _NOT_DUE
        if words[0] != words[1]:
            self.became[Moved(*step, *words)] += 1
        sent = words[0] == Verdict.SEND, words[1] == Verdict.SEND
        if sent == (True, True) and old is not None and new is not None:
            later = new.at - old.at
            self.changes[*step, "moved" if later else "same"] += 1
            self.seconds_moved[step] += int(later.total_seconds())
        elif any(sent):
            self.changes[*step, "gained" if sent[1] else "lost"] += 1

    def add(self, other: "Difference") -> None:
        """Add what is so of other customers."""
        self.changes.update(other.changes)
        self.became.update(other.became)
        self.seconds_moved.update(other.seconds_moved)
