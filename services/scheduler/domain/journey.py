"""A journey as people write it: who enters, what is sent when, and what forbids it."""

import hashlib
from datetime import timedelta
from decimal import Decimal
from functools import cached_property
from typing import Annotated, Literal, Self
from zoneinfo import ZoneInfo

from pydantic import BaseModel, ConfigDict, Field, model_validator

from services.scheduler.domain.notation import Duration, LocalTime, ZoneName
from shared.events import Channel
from shared.events.envelope import Amount, Currency, ShopIdentifier

Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]*$", max_length=80)]
Action = Literal["drop", "defer"]
Strategy = Literal["complements", "pairs", "categories", "replenish", "upgrade", "same_brand", "seasonal"]
Season = Literal["winter", "spring", "summer", "autumn"]


class Part(BaseModel):
    """Base of a journey's parts: immutable, without unknown fields. Written out, it reads back the same."""

    model_config = ConfigDict(frozen=True, extra="forbid", serialize_by_alias=True)


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


class Repeat(Part):
    """The step comes `times` times, `every` so long, the first at the step's own delay."""

    every: Duration
    times: Annotated[int, Field(ge=1, le=60)]


class IncentiveTerms(Part):
    """What sweetens an offer. `value` is percent or an amount; `tonight` is until local midnight."""

    kind: Literal["percent", "money", "free_shipping"]
    value: Amount | None = None
    currency: Currency | None = None
    code: str | None = None
    valid_for: Duration | Literal["tonight"] | None = None

    @model_validator(mode="after")
    def _value_where_needed(self) -> Self:
        if (self.value is None) != (self.kind == "free_shipping"):
            message = "percent and money need a value; free_shipping has none"
            raise ValueError(message)
        return self


class OfferTerms(Part):
    """Which products are offered, tried `from` left to right until a source gives `at_least` products.

    complements: what evidence says goes with the order (in `categories`, if given); pairs: one of each
    category that `pairs` names for the order's categories; categories: one of each of `categories`; seasonal:
    one of each category that `seasons` names for the northern season; replenish: the order's own consumables;
    upgrade: same category, next dearer; same_brand. `max_price_share` bounds each price by the order's total
    (null: no bound; never for replenish and upgrade). `why` says by category why it goes with the purchase.
    """

    source: Annotated[tuple[Strategy, ...], Field(alias="from", min_length=1)] = ("complements",)
    categories: tuple[str, ...] = ()
    pairs: dict[str, tuple[str, ...]] = {}
    seasons: dict[Season, tuple[str, ...]] = {}
    count: Annotated[int, Field(ge=1, le=6)] = 3
    at_least: Annotated[int, Field(ge=1, le=6)] = 1
    max_price_share: Annotated[Decimal, Field(gt=0)] | None = Decimal("0.25")
    incentive: IncentiveTerms | None = None
    why: dict[str, str] = {}

    @model_validator(mode="after")
    def _sources_have_what_they_need(self) -> Self:
        given = {"categories": self.categories, "pairs": self.pairs, "seasonal": self.seasons}
        names = {"seasonal": "seasons"}
        for source in self.source:
            if source in given and not given[source]:
                message = f"from: [{source}] needs {names.get(source, source)}"
                raise ValueError(message)
        if self.at_least > self.count:
            message = "at_least must not be more than count"
            raise ValueError(message)
        return self


class Guide(Part):
    """Something to read."""

    title: str
    url: Annotated[str, Field(pattern=r"^https://")]


class Step(Part):
    """One message, due `delay` after the order or its first confirmed delivery, then at local time `at`.

    A step decided more than `skip_after` past its time is skipped as late; nothing goes out later than
    `expires` after it was due. Of steps due together the lowest `priority` number is decided first.
    """

    id: Name
    channel: Channel
    template: Annotated[str, Field(pattern=r"^[a-z0-9-]+/[a-z0-9-]+$")]
    after: Literal["order", "delivery"]
    delay: Duration
    at: LocalTime | None = None
    repeat: Repeat | None = None
    when: When = When()
    offer: OfferTerms | None = None
    asks: tuple[Literal["happy", "unhappy"], ...] = ()
    guide: Guide | None = None
    skip_after: Duration = timedelta(hours=24)
    expires: Duration = timedelta(days=3)
    priority: Annotated[int, Field(ge=0, le=100)] = 50

    @model_validator(mode="after")
    def _expires_last(self) -> Self:
        if self.expires < self.skip_after:
            message = "expires must not be before skip_after"
            raise ValueError(message)
        return self


class Cap(Part):
    """At most `count` messages `per` span on these channels (by default all), ghosts counted."""

    count: Annotated[int, Field(ge=1)]
    per: Duration
    channels: tuple[Channel, ...] = tuple(Channel)
    action: Action = "drop"


class CoolDown(Part):
    """No message within `span` of another enrolment's."""

    span: Duration
    action: Action = "drop"


class AfterReturn(Part):
    """No message within `span` of a return of any order. A full return of the order itself always drops."""

    span: Duration = timedelta(days=14)
    action: Action = "drop"


class QuietHours(Part):
    """Local hours without messages, from `starts` up to `ends`, over midnight if `ends` is earlier."""

    starts: LocalTime
    ends: LocalTime
    action: Action = "defer"


class Holdout(Part):
    """A share of the shop's customers that is sent nothing. A changed `salt` draws them anew."""

    share: Annotated[float, Field(ge=0, le=1)] = 0.10
    salt: str = "programme-1"


class Journey(Part):
    """A journey of one shop. `time_zone` stands in for customers whose zone is unknown."""

    id: Name
    shop: ShopIdentifier
    shop_name: str
    time_zone: ZoneName = "America/New_York"
    entry: When = When()
    steps: Annotated[tuple[Step, ...], Field(min_length=1)]
    caps: tuple[Cap, ...] = ()
    cool_down: CoolDown | None = None
    after_return: AfterReturn = AfterReturn()
    quiet_hours: dict[Channel, QuietHours] = {}
    holdout: Holdout = Holdout()

    @cached_property
    def version(self) -> str:
        """Twelve hexadecimal digits of what the journey says: other content, other version."""
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()[:12]

    @cached_property
    def zone(self) -> ZoneInfo:
        """`time_zone`, loaded."""
        return ZoneInfo(self.time_zone)

    def step(self, step: str) -> Step:
        """The step with this id. Raises KeyError if there is none."""
        return self._steps[step]

    @cached_property
    def _steps(self) -> dict[str, Step]:
        return {step.id: step for step in self.steps}

    @model_validator(mode="after")
    def _steps_differ(self) -> Self:
        if len({step.id for step in self.steps}) < len(self.steps):
            message = "two steps have the same id"
            raise ValueError(message)
        return self
