"""What holds for all journeys of a shop: one file `journeys/shops/<shop>.yaml`, or these defaults."""

from datetime import timedelta
from decimal import Decimal
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from services.scheduler.domain.notation import Duration
from services.scheduler.domain.terms import Action, Blackout, Cap, Holdout, Part
from shared.events import Channel
from shared.events.envelope import Amount, Currency, ShopIdentifier


class Slot(Part):
    """One offer per `window`, whichever journey it is of; the losers are dropped, or wait for the next window."""

    window: Duration
    loser: Action = "drop"


class Budget(Part):
    """What incentives may cost, at their face value, in one currency and calendar period (UTC)."""

    currency: Currency
    amount: Amount
    per: Literal["day", "week", "month"] = "month"
    action: Literal["drop", "defer", "without"] = "without"


class Guards(Part):
    """From which rates on a journey stops itself. Rates are shares of messages sent within `window`.

    `open_decay`: how far the open rate of a later step is below that of the first, relative to it. Nothing is concluded from
    fewer than `least` messages.
    """

    unsubscribes: Annotated[float, Field(gt=0, le=1)] = 0.005
    complaints: Annotated[float, Field(gt=0, le=1)] = 0.001
    bounces: Annotated[float, Field(gt=0, le=1)] = 0.02
    open_decay: Annotated[float, Field(gt=0, le=1)] = 0.10
    least: Annotated[int, Field(ge=1)] = 500
    window: Duration = timedelta(days=7)


class Programme(Part):
    """A shop's rules for all of its journeys.

    `holdout` is drawn apart from the journeys' own. `replacement_groups` name products, or `category:` and a category, of
    which one stands in for the other. `price_tolerance` is how far a price may rise over what was quoted in the same
    enrolment. `queueing` is how long providers may take with a message: it must fit into permitted hours.
    `abandoned_after` without a change a cart counts as left. `approval`: how many people it takes to publish.
    """

    shop: ShopIdentifier
    holdout: Holdout = Holdout(share=0, salt="programme-holdout-1")
    slot: Slot | None = None
    caps: tuple[Cap, ...] = ()
    budgets: tuple[Budget, ...] = ()
    blackouts: tuple[Blackout, ...] = ()
    replacement_groups: dict[str, tuple[str, ...]] = {}  # noqa: RUF012  pydantic copies defaults
    price_tolerance: Annotated[Decimal, Field(ge=0)] = Decimal("0.10")
    queueing: dict[Channel, Duration] = {Channel.SMS: timedelta(minutes=5)}  # noqa: RUF012  as above
    abandoned_after: Duration = timedelta(hours=1)
    guards: Guards = Guards()
    approval: Literal["one", "two"] = "one"

    @model_validator(mode="after")
    def _one_budget_each(self) -> Self:
        currencies = [each.currency for each in self.budgets]
        if len(set(currencies)) < len(currencies):
            message = "two budgets are in the same currency"
            raise ValueError(message)
        return self

    def budget(self, currency: str) -> Budget | None:
        """The budget in a currency, if there is one."""
        return next((each for each in self.budgets if each.currency == currency), None)
