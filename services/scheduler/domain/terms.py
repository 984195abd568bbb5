"""The small parts that journeys and programmes are written with: spans, caps, incentives, and what may be offered."""

from datetime import date, timedelta
from decimal import Decimal
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag, model_validator

from services.scheduler.domain.conditions import CandidateCondition
from services.scheduler.domain.notation import Duration, LocalTime
from shared.events import MESSAGE_CHANNELS, Channel
from shared.events.envelope import Amount, Currency

Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]*$", max_length=80)]
Action = Literal["drop", "defer"]
Strategy = Literal["complements", "pairs", "categories", "replenish", "upgrade", "same_brand", "seasonal"]
Season = Literal["winter", "spring", "summer", "autumn"]


class Part(BaseModel):
    """Base of what people write: immutable, without unknown fields. Written out, it reads back the same."""

    model_config = ConfigDict(frozen=True, extra="forbid", serialize_by_alias=True)


class Cap(Part):
    """At most `count` messages `per` span on these channels (by default all), of these journeys (by default all)."""

    count: Annotated[int, Field(ge=1)]
    per: Duration
    channels: tuple[Channel, ...] = MESSAGE_CHANNELS
    journeys: tuple[Name, ...] = ()
    action: Action = "drop"


class CoolDown(Part):
    """No message within `span` of another enrolment's."""

    span: Duration
    action: Action = "drop"


class AfterReturn(Part):
    """No message within `span` of a return of any order. A full return of the order itself always drops."""

    span: Duration = timedelta(days=14)
    action: Action = "drop"


class Ignored(Part):
    """No offer to whom the `last` messages, each sent at least `patience` ago, drew no open, click, answer or order."""

    last: Annotated[int, Field(ge=1, le=50)] = 5
    patience: Duration = timedelta(days=2)
    action: Action = "drop"


class QuietHours(Part):
    """Local hours without messages, from `starts` up to `ends`, over midnight if `ends` is earlier."""

    starts: LocalTime
    ends: LocalTime
    action: Action = "defer"


class Blackout(Part):
    """Days, first and last included, in the recipient's zone, on which nothing goes out on these channels."""

    name: str
    first: date
    last: date
    channels: tuple[Channel, ...] = MESSAGE_CHANNELS
    action: Action = "defer"

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.last < self.first:
            message = "last must not be before first"
            raise ValueError(message)
        return self


class Holdout(Part):
    """A share of the shop's customers that is sent nothing. A changed `salt` draws them anew."""

    share: Annotated[float, Field(ge=0, le=1)] = 0.10
    salt: str = "programme-1"


class Threshold(Part):
    """An order's total from which an incentive holds; below it the offer says how much is lacking."""

    amount: Amount
    currency: Currency


class IncentiveTerms(Part):
    """What sweetens an offer. `value` is percent or an amount; `tonight` is until the recipient's midnight.

    One code for all is `code`; one for each customer comes from a `pool`, or is made and signed, beginning with `prefix`.
    `cost` is what free shipping costs the shop, for the budget, in `currency`.
    """

    kind: Literal["percent", "money", "free_shipping", "early_access"]
    value: Annotated[Amount, Field(gt=0)] | None = None
    currency: Currency | None = None
    code: str | None = None
    pool: Name | None = None
    prefix: Annotated[str, Field(pattern=r"^[A-Z0-9]{2,12}$")] | None = None
    valid_for: Duration | Literal["tonight"] | None = None
    threshold: Threshold | None = None
    cost: Amount | None = None

    @model_validator(mode="after")
    def _value_where_needed(self) -> Self:
        if (self.value is None) == (self.kind in ("percent", "money")):
            message = "percent and money need a value; free_shipping and early_access have none"
            raise ValueError(message)
        if self.kind == "percent" and self.value is not None and self.value > 100:  # noqa: PLR2004  percent
            message = "a percentage is at most 100"
            raise ValueError(message)
        if self.kind == "money" and self.currency is None:
            message = "money needs a currency"
            raise ValueError(message)
        if self.cost is not None and (self.kind != "free_shipping" or self.currency is None):
            message = "cost is what free_shipping costs the shop, in a currency; other kinds have none"
            raise ValueError(message)
        if sum(each is not None for each in (self.code, self.pool, self.prefix)) > 1:
            message = "give one of code, pool and prefix"
            raise ValueError(message)
        return self


class Ladder(Part):
    """Incentives from the smallest up: each unanswered offer within `within` moves a customer one rung up.

    Who placed `buys_without` orders within `within` while no incentive of ours was open to them gets none.
    """

    ladder: Annotated[tuple[IncentiveTerms, ...], Field(min_length=1)]
    within: Duration = timedelta(days=180)
    buys_without: Annotated[int, Field(ge=1)] | None = 2


def _incentive_kind(value: object) -> str:
    return "ladder" if isinstance(value, Ladder) or (isinstance(value, dict) and "ladder" in value) else "one"


class OfferTerms(Part):
    """Which products are offered, tried `from` left to right until a source gives `at_least` products.

    complements: what evidence says goes with the order (in `categories`, if given); pairs: one of each
    category that `pairs` names for the order's categories; categories: one of each of `categories`; seasonal:
    one of each category that `seasons` names for the northern season; replenish: the order's own consumables;
    upgrade: same category, next dearer; same_brand. `max_price_share` bounds each price by the order's total
    (null: no bound; never for replenish and upgrade). `where` is a condition in CEL on each candidate. `owned_by`: what
    counts as owned already, the product, any of its category, or any of its replacement group (see Programme).
    `why` says by category why it goes with the purchase.
    """

    source: Annotated[tuple[Strategy, ...], Field(alias="from", min_length=1)] = ("complements",)
    categories: tuple[str, ...] = ()
    pairs: dict[str, tuple[str, ...]] = {}
    seasons: dict[Season, tuple[str, ...]] = {}
    count: Annotated[int, Field(ge=1, le=6)] = 3
    at_least: Annotated[int, Field(ge=1, le=6)] = 1
    max_price_share: Annotated[Decimal, Field(gt=0)] | None = Decimal("0.25")
    where: CandidateCondition | None = None
    owned_by: Literal["product", "category", "group"] = "product"
    incentive: (
        Annotated[
            Annotated[IncentiveTerms, Tag("one")] | Annotated[Ladder, Tag("ladder")],
            Discriminator(_incentive_kind),
        ]
        | None
    ) = None
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
