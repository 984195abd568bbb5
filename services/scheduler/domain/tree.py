"""How steps are arranged: branches, experiments, and the way to each step."""

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal, NamedTuple, Self

from pydantic import Discriminator, Field, Tag, model_validator

from services.scheduler.domain.step import Condition, Step
from services.scheduler.domain.terms import Name, Part


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
    set: dict[str, Any] = {}  # noqa: RUF012  pydantic copies defaults
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


def experiments_of(entries: tuple[Entry, ...]) -> Iterator[Experiment]:
    """Yield every experiment, however deep."""
    for entry in entries:
        if isinstance(entry, Experiment):
            yield entry
            for variant in entry.variants:
                yield from experiments_of(variant.steps)
        elif isinstance(entry, Branch):
            for arm in entry.branch:
                yield from experiments_of(arm.steps)


def leaves_of(
    entries: tuple[Entry, ...],
    gates: tuple[Gate, ...],
    choices: tuple[Choice, ...],
    path: tuple[tuple[str, str], ...],
) -> Iterator[Leaf]:
    """Yield every step with the way to it, given the way so far, in the order of the file."""
    for place, entry in enumerate(entries):
        here = "/".join([*(f"{container}={way}" for container, way in path), str(place)])
        if isinstance(entry, Step):
            yield Leaf(entry, gates, choices, path)
        elif isinstance(entry, Branch):
            refused: tuple[Gate, ...] = ()
            for number, arm in enumerate(entry.branch):
                taken = (Gate(arm.condition, wanted=True),) if arm.condition is not None else ()
                way = (*path, (here, str(number)))
                yield from leaves_of(arm.steps, (*gates, *refused, *taken), choices, way)
                refused += tuple(Gate(gate.condition, wanted=False) for gate in taken)
        else:
            for variant in entry.variants:
                chosen = (*choices, Choice(entry, variant.name))
                way = (*path, (here, variant.name))
                inner = (varied(entry.step, variant),) if entry.step else variant.steps
                yield from leaves_of(inner, gates, chosen, way)
