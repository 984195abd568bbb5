"""A journey as people write it: who enters, what is sent when, and what forbids it."""

import hashlib
import json
import re
from collections.abc import Mapping
from datetime import timedelta
from functools import cached_property
from typing import Annotated, Literal, Self
from zoneinfo import ZoneInfo

from pydantic import Discriminator, Field, Tag, model_validator

from services.scheduler.domain.conditions import CelCondition
from services.scheduler.domain.notation import Duration, ZoneName
from services.scheduler.domain.step import AfterAnswer, AfterStep, Condition, Step, When
from services.scheduler.domain.terms import (
    AfterReturn,
    Cap,
    CoolDown,
    Holdout,
    Ignored,
    Name,
    Part,
    QuietHours,
)
from services.scheduler.domain.tree import Entry, Leaf, experiments_of, leaves_of
from shared.events import Channel
from shared.events.envelope import ShopIdentifier

Exit = Literal["goal", "returned", "cancelled", "unhappy"]
EXITS: Mapping[str, str] = {
    "goal": "customer.ordered_again",
    "returned": "order.returned_any",
    "cancelled": "order.cancelled",
    "unhappy": "customer.unhappy",
}
"""What the words of `exit_when` stand for; a journey's own `goal` takes the place of the first."""


class Journey(Part):
    """A journey of one shop. `time_zone` stands in for customers whose zone is unknown.

    It starts with each order that `entry` takes, or with each cart that was left. `re_entry`: always; once in a customer's
    life; or a span that must have passed since the last time. `priority`: of journeys that want the same person's offer slot
    the lowest number wins. When one of `exit_when` holds, its open steps are skipped; `goal` says what it is for.
    """

    id: Name
    shop: ShopIdentifier
    shop_name: str
    time_zone: ZoneName = "America/New_York"
    starts: Literal["order", "cart"] = "order"
    entry: Condition = When()
    re_entry: Annotated[
        Annotated[Literal["always", "once"], Tag("word")] | Annotated[Duration, Tag("span")],
        Discriminator(lambda value: "word" if value in ("always", "once") else "span"),
    ] = "always"
    priority: Annotated[int, Field(ge=0, le=100)] = 50
    steps: Annotated[tuple[Entry, ...], Field(min_length=1)]
    caps: tuple[Cap, ...] = ()
    cool_down: CoolDown | None = None
    after_return: AfterReturn = AfterReturn()
    ignored: Ignored | None = None
    goal: CelCondition | None = None
    exit_when: tuple[Exit | CelCondition, ...] = ()
    quiet_hours: dict[Channel, QuietHours] = {}  # noqa: RUF012  pydantic copies defaults
    late: Literal["skip", "send", "shift"] = "skip"
    holdout: Holdout = Holdout()

    @cached_property
    def version(self) -> str:
        """Twelve hexadecimal digits of what the journey says: other content, other version."""
        text = json.dumps(self.model_dump(mode="json", exclude_defaults=True), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:12]

    @cached_property
    def zone(self) -> ZoneInfo:
        """`time_zone`, loaded."""
        return ZoneInfo(self.time_zone)

    @cached_property
    def leaves(self) -> tuple[Leaf, ...]:
        """Every step with the way to it, in the order of the file."""
        return tuple(leaves_of(self.steps, (), (), ()))

    @cached_property
    def asked(self) -> tuple[str, ...]:
        """Ids of the steps that ask something."""
        return tuple(dict.fromkeys(leaf.step.id for leaf in self.leaves if leaf.step.asks))

    @cached_property
    def exits(self) -> tuple[tuple[str, str], ...]:
        """What ends it early: the name that the record shows, and the condition."""
        words = {**EXITS, **({"goal": self.goal} if self.goal else {})}
        return tuple((each, words.get(each, each)) for each in self.exit_when)

    @cached_property
    def reach(self) -> timedelta:
        """How long after its last anchor a step may still be decided: steps that wait on others add up."""
        spans = (
            leaf.step.delay + leaf.step.expires + timedelta(days=1)
            + (leaf.step.repeat.every * leaf.step.repeat.times if leaf.step.repeat else timedelta(0))
            for leaf in self.leaves
        )  # fmt: skip
        chained = sum(isinstance(leaf.step.after, AfterStep | AfterAnswer) for leaf in self.leaves)
        return max(spans) * (1 + min(chained, 4))

    @cached_property
    def waits_long(self) -> bool:
        """Whether some step waits for what may come months after the order: a delivery, a reorder point, a gap."""
        return any(leaf.step.after in ("delivery", "reorder", "gap") for leaf in self.leaves)

    @cached_property
    def waits_for_gap(self) -> bool:
        """Whether some step waits for a predicted gap, which may be half a year."""
        return any(leaf.step.after == "gap" for leaf in self.leaves)

    @cached_property
    def words(self) -> frozenset[str]:
        """What its conditions name: `order`, `order.total`, and `order[` where a field may be any. No other fact need be shown."""
        conditions = [self.entry, *(text for _, text in self.exits)]
        for leaf in self.leaves:
            conditions += [leaf.step.when, *(gate.condition for gate in leaf.gates)]
        texts = [re.sub(r"\s*([.\[])\s*", r"\1", each) for each in conditions if isinstance(each, str)]
        return frozenset(name for text in texts for name in re.findall(r"\w+\.\w+|\w+\[|\w+", text)).union(
            word for text in texts for word in re.findall(r"\w+", text)
        )

    @cached_property
    def lasting(self) -> tuple[timedelta, ...]:
        """By leaf, how long after its anchor its last occurrence has expired at the latest."""
        return tuple(
            leaf.step.delay
            + (leaf.step.repeat.every * (leaf.step.repeat.times - 1) if leaf.step.repeat else timedelta(0))
            + (timedelta(days=2) if leaf.step.at else timedelta(0))
            + leaf.step.expires
            for leaf in self.leaves
        )

    @cached_property
    def looks_back(self) -> bool:
        """Whether a verdict may change which other steps are due: a step or condition of it may look at what was sent."""
        return not (
            self.re_entry == "always"
            and isinstance(self.entry, When)
            and all(
                isinstance(leaf.step.after, str)
                and isinstance(leaf.step.when, When)
                and all(isinstance(gate.condition, When) for gate in leaf.gates)
                for leaf in self.leaves
            )
        )

    def step(self, step: str) -> Step:
        """The step with this id, the first of its variants. Raises KeyError if there is none."""
        return self._steps[step]

    @cached_property
    def _steps(self) -> dict[str, Step]:
        return {leaf.step.id: leaf.step for leaf in reversed(self.leaves)}

    @model_validator(mode="after")
    def _steps_fit_together(self) -> Self:
        known: dict[str, list[Leaf]] = {}
        for leaf in self.leaves:
            if not all(_apart(leaf, other) for other in known.setdefault(leaf.step.id, [])):
                message = f"two steps have the same id {leaf.step.id}, and a customer could get both"
                raise ValueError(message)
            known[leaf.step.id].append(leaf)
        for leaf in self.leaves:
            self._check_anchor(leaf.step, known)
        names = [each.experiment for each in experiments_of(self.steps)]
        if len(set(names)) < len(names):
            message = "two experiments have the same name"
            raise ValueError(message)
        return self

    def _check_anchor(self, step: Step, known: Mapping[str, list[Leaf]]) -> None:
        match step.after:
            case AfterStep(step=name):
                problem = name == step.id or name not in known
                message = (
                    f"step {step.id} is after step {name}, which there is not; name another step of this file"
                )
            case AfterAnswer(answer=name):
                problem = name not in self.asked
                message = (
                    f"step {step.id} is after the answer to {name}, which asks nothing; give that step `asks`"
                )
            case "cart" | "order" | "delivery" | "reorder" | "gap" as anchor:
                problem = (anchor == "cart") != (self.starts == "cart")
                message = (
                    f"step {step.id}: after: cart goes with starts: cart, and the other anchors with orders"
                )
        if problem:
            raise ValueError(message)


def _apart(one: Leaf, other: Leaf) -> bool:
    """Whether two ways part in some branch or experiment, so that nobody goes both."""
    ways = dict(one.path)
    return any(ways.get(container, way) != way for container, way in other.path)
