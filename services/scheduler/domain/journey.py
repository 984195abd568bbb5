"""A journey as people write it: who enters, what is sent when, and what forbids it."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from datetime import timedelta
from functools import cached_property
from typing import Annotated, Any, Literal, NamedTuple, Self
from zoneinfo import ZoneInfo

from pydantic import Discriminator, Field, Tag, model_validator

from services.scheduler.domain.conditions import CelCondition
from services.scheduler.domain.notation import Duration, LocalTime, ZoneName
from services.scheduler.domain.terms import (
    AfterReturn,
    Cap,
    CoolDown,
    Holdout,
    Ignored,
    Name,
    OfferTerms,
    Part,
    QuietHours,
)
from shared.events import Channel
from shared.events.envelope import Amount, ShopIdentifier

HandOverKind = Literal["win_back", "cart_recovery", "subscription", "support"]
Exit = Literal["goal", "returned", "cancelled", "unhappy"]
EXITS: Mapping[str, str] = {
    "goal": "customer.ordered_again",
    "returned": "order.returned_any",
    "cancelled": "order.cancelled",
    "unhappy": "customer.unhappy",
}
"""What the words of `exit_when` stand for; a journey's own `goal` takes the place of the first."""


class When(Part):
    """Which orders. Every condition that is given must hold; each looks only at the order's own facts.

    `categories` and `products`: any line is in one of them. `without`: no line is in any of these categories.
    `single_item`: the order has one product. Totals are in the order's currency.
    """

    categories: tuple[str, ...] = ()
    without: tuple[str, ...] = ()
    products: tuple[str, ...] = ()
    single_item: bool | None = None
    total_at_least: Amount | None = None
    total_below: Amount | None = None


Condition = Annotated[
    Annotated[When, Tag("when")] | Annotated[CelCondition, Tag("cel")],
    Discriminator(lambda value: "cel" if isinstance(value, str) else "when"),
]


class Repeat(Part):
    """The step comes `times` times, `every` so long, the first at the step's own delay."""

    every: Duration
    times: Annotated[int, Field(ge=1, le=60)]


class Guide(Part):
    """Something to read."""

    title: str
    url: Annotated[str, Field(pattern=r"^https://")]


class Page(Part):
    """What the thank-you page says around an offer."""

    title: str
    text: str = ""
    button: str = "Add to my order"


class AfterStep(Part):
    """From the moment at which the step was sent, or would have been to people held out."""

    step: Name


class AfterAnswer(Part):
    """From the moment at which the customer answered the step's question."""

    answer: Name


def _anchor_kind(value: object) -> str:
    if isinstance(value, AfterStep | AfterAnswer):
        return "step" if isinstance(value, AfterStep) else "answer"
    return ("answer" if "answer" in value else "step") if isinstance(value, dict) else "fact"


Anchor = Annotated[
    Annotated[Literal["order", "delivery", "cart", "reorder", "gap"], Tag("fact")]
    | Annotated[AfterStep, Tag("step")]
    | Annotated[AfterAnswer, Tag("answer")],
    Discriminator(_anchor_kind),
]


class Step(Part):
    """One message, offer on the thank-you page, or hand-over, due `delay` after its anchor, then at local time `at`.

    Anchors: the order; its first confirmed delivery; the cart's last change (journeys that start with carts); the predicted
    reorder point of the order's products; the order plus the predicted gap until what is offered is usually bought; another
    step, or the answer to one. A step decided more than `skip_after` past its time, as after an outage, is late: `late` says whether
    it is skipped (skip), goes out all the same (send), or waits for the next day at its own local time of day (shift). Nothing
    goes out later than `expires` after it was due. Of steps due together the lowest `priority` number is decided first.
    """

    id: Name
    channel: Channel
    template: Annotated[str, Field(pattern=r"^[a-z0-9-]+/[a-z0-9-]+$")] | None = None
    page: Page | None = None
    hand_over: HandOverKind | None = None
    why: str | None = None
    after: Anchor
    delay: Duration
    at: LocalTime | None = None
    repeat: Repeat | None = None
    when: Condition = When()
    offer: OfferTerms | None = None
    asks: tuple[Name, ...] = ()
    guide: Guide | None = None
    skip_after: Duration = timedelta(hours=24)
    late: Literal["skip", "send", "shift"] | None = None
    expires: Duration = timedelta(days=3)
    priority: Annotated[int, Field(ge=0, le=100)] = 50

    @model_validator(mode="before")
    @classmethod
    def _hand_overs_are_events(cls, value: object) -> object:
        if isinstance(value, dict) and value.get("hand_over") and "channel" not in value:
            return {**value, "channel": "event"}
        return value

    @model_validator(mode="after")
    def _whole(self) -> Self:
        needs = {Channel.PAGE: "page", Channel.EVENT: "hand_over"}.get(self.channel, "template")
        others = {"page", "hand_over", "template"} - {needs}
        if getattr(self, needs) is None or any(getattr(self, each) is not None for each in others):
            message = (
                f"a step on channel {self.channel.value} has {needs}, and none of {', '.join(sorted(others))}"
            )
            raise ValueError(message)
        if self.channel is Channel.PAGE and (
            self.after != "order" or self.delay or self.repeat or not self.offer
        ):
            message = (
                "a step on the thank-you page has an offer, is after: order, and has no delay and no repeat"
            )
            raise ValueError(message)
        if self.expires < self.skip_after:
            message = "expires must not be before skip_after"
            raise ValueError(message)
        return self

    @property
    def sells(self) -> bool:
        """Whether it makes an offer."""
        return self.offer is not None


class Arm(Part):
    """One way of a branch: its steps are for whom the condition holds, and no arm before it. Without `if`: all the rest."""

    condition: Annotated[Condition | None, Field(alias="if")] = None
    steps: "Annotated[tuple[Entry, ...], Field(min_length=1)]"


class Branch(Part):
    """Ways that part. Looked at anew whenever a fact changes; what was decided stays decided."""

    branch: Annotated[tuple[Arm, ...], Field(min_length=1)]

    @model_validator(mode="after")
    def _rest_comes_last(self) -> Self:
        if any(arm.condition is None for arm in self.branch[:-1]):
            message = "only the last arm of a branch may be without `if`"
            raise ValueError(message)
        return self


class Variant(Part):
    """One of the ways that an experiment compares: other steps, or fields of the varied step, `set` over its own."""

    name: Name
    weight: Annotated[int, Field(ge=0, le=10_000)] = 1
    set: dict[str, Any] = {}
    steps: "tuple[Entry, ...]" = ()


class Experiment(Part):
    """A comparison of variants, the first being the control. Who gets which is a hash of shop, customer and `salt`.

    Experiments of one `layer` share its people: each takes those between `share_from` and `share_to` of it, so nobody is in
    two of them. Layers are independent. Of an experiment's people, `ramp` take part; the rest get the control, unexposed, and
    raising `ramp` moves nobody from one variant to another. `paused`: everyone gets the control for now. `concluded`: everyone
    gets the `winner`.
    """

    experiment: Name
    step: "Step | None" = None
    variants: Annotated[tuple[Variant, ...], Field(min_length=2)]
    layer: Name | None = None
    share_from: Annotated[float, Field(ge=0, le=1)] = 0.0
    share_to: Annotated[float, Field(ge=0, le=1)] = 1.0
    ramp: Annotated[float, Field(ge=0, le=1)] = 1.0
    state: Literal["running", "paused", "concluded"] = "running"
    winner: Name | None = None

    @model_validator(mode="after")
    def _whole(self) -> Self:
        names = [each.name for each in self.variants]
        if len(set(names)) < len(names):
            message = "two variants have the same name"
            raise ValueError(message)
        if (self.winner is not None) != (self.state == "concluded") or (self.winner or names[0]) not in names:
            message = "a concluded experiment names its winner, one of the variants; another has none"
            raise ValueError(message)
        if not any(each.weight for each in self.variants) or self.share_from >= self.share_to:
            message = "some variant needs a weight above 0, and share_from must be below share_to"
            raise ValueError(message)
        for each in self.variants:
            if bool(each.steps) == (self.step is not None):
                message = "give `step` and vary it with `set`, or give each variant its own `steps`"
                raise ValueError(message)
            if self.step is not None:
                varied(self.step, each)
        return self

    @property
    def control(self) -> str:
        """The variant that is compared against."""
        return self.variants[0].name


def _kind(value: object) -> str:
    keys = (
        value.keys()
        if isinstance(value, dict)
        else type(value).model_fields
        if isinstance(value, Part)
        else ()
    )
    return next((each for each in ("branch", "experiment") if each in keys), "step")


Entry = Annotated[
    Annotated[Step, Tag("step")]
    | Annotated[Branch, Tag("branch")]
    | Annotated[Experiment, Tag("experiment")],
    Discriminator(_kind),
]
Arm.model_rebuild()
Branch.model_rebuild()
Variant.model_rebuild()
Experiment.model_rebuild()


def varied(step: Step, variant: Variant) -> Step:
    """Return a step with a variant's fields over its own. Raises ValueError if that gives no step, or one of another id."""
    if not variant.set:
        return step
    changed = Step.model_validate(_over(step.model_dump(mode="json", exclude_defaults=True), variant.set))
    if changed.id != step.id:
        message = f"variant {variant.name} must not change the step's id"
        raise ValueError(message)
    return changed


def _over(base: dict[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in changes.items():
        own = merged.get(key)
        merged[key] = _over(own, value) if isinstance(own, dict) and isinstance(value, dict) else value
    return merged


class Gate(NamedTuple):
    """A condition on the way to a step, and whether it must hold or must not."""

    condition: Condition
    wanted: bool


class Choice(NamedTuple):
    """A variant of an experiment on the way to a step."""

    experiment: Experiment
    variant: str


class Leaf(NamedTuple):
    """A step with all that must be so for a customer to get it. `path` names the containers and the ways taken in them."""

    step: Step
    gates: tuple[Gate, ...]
    choices: tuple[Choice, ...]
    path: tuple[tuple[str, str], ...]


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
    quiet_hours: dict[Channel, QuietHours] = {}
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
        return tuple(_leaves(self.steps, (), (), ()))

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
        names = [each.experiment for each in _experiments(self.steps)]
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


def _experiments(entries: tuple[Entry, ...]) -> Iterator[Experiment]:
    for entry in entries:
        if isinstance(entry, Experiment):
            yield entry
            for variant in entry.variants:
                yield from _experiments(variant.steps)
        elif isinstance(entry, Branch):
            for arm in entry.branch:
                yield from _experiments(arm.steps)


def _leaves(
    entries: tuple[Entry, ...],
    gates: tuple[Gate, ...],
    choices: tuple[Choice, ...],
    path: tuple[tuple[str, str], ...],
) -> Iterator[Leaf]:
    for place, entry in enumerate(entries):
        here = "/".join([*(f"{container}={way}" for container, way in path), str(place)])
        if isinstance(entry, Step):
            yield Leaf(entry, gates, choices, path)
        elif isinstance(entry, Branch):
            refused: tuple[Gate, ...] = ()
            for number, arm in enumerate(entry.branch):
                taken = (Gate(arm.condition, wanted=True),) if arm.condition is not None else ()
                way = (*path, (here, str(number)))
                yield from _leaves(arm.steps, (*gates, *refused, *taken), choices, way)
                refused += tuple(Gate(gate.condition, wanted=False) for gate in taken)
        else:
            for variant in entry.variants:
                chosen = (*choices, Choice(entry, variant.name))
                way = (*path, (here, variant.name))
                inner = (varied(entry.step, variant),) if entry.step else variant.steps
                yield from _leaves(inner, gates, chosen, way)
