"""One step of a journey: what is sent, when, to whom it is, and what may be looked at before."""

from datetime import timedelta
from typing import Annotated, Any, Literal, Self

from pydantic import ConfigDict, Discriminator, Field, Tag, model_validator

from services.scheduler.domain.conditions import CelCondition
from services.scheduler.domain.notation import Duration, LocalTime
from services.scheduler.domain.terms import Name, OfferTerms, Part
from shared.events import Channel
from shared.events.envelope import Amount

HandOverKind = Literal["win_back", "cart_recovery", "subscription", "support"]


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


def _without_channel(schema: dict[str, Any]) -> None:
    """Hand-overs need not say that their channel is `event`."""
    schema["required"].remove("channel")


class Step(Part):
    """One message, offer on the thank-you page, or hand-over, due `delay` after its anchor, then at local time `at`.

    Anchors: the order; its first confirmed delivery; the cart's last change (journeys that start with carts); the predicted
    reorder point of the order's products; the order plus the predicted gap until what is offered is usually bought; another
    step, or the answer to one. A step decided more than `skip_after` past its time, as after an outage, is late: `late` says whether
    it is skipped (skip), goes out all the same (send), or waits for the next day at its own local time of day (shift). Nothing
    goes out later than `expires` after it was due. Of steps due together the lowest `priority` number is decided first.
    """

    model_config = ConfigDict(json_schema_extra=_without_channel)

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
        if self.hand_over and self.offer and self.offer.incentive:
            message = "a hand-over carries no incentive: whoever takes the customer on makes them an offer"
            raise ValueError(message)
        if self.expires < self.skip_after:
            message = "expires must not be before skip_after"
            raise ValueError(message)
        return self

    @property
    def sells(self) -> bool:
        """Whether it makes an offer."""
        return self.offer is not None
