"""What the scheduler decided, and the messages it wants sent."""

from enum import StrEnum
from operator import attrgetter
from typing import TYPE_CHECKING, Annotated, Any, Literal
from uuid import UUID

from pydantic import Field

from shared.events.affinity import Candidate
from shared.events.customers import Channel
from shared.events.envelope import Amount, Currency, Data, Event, Identifier, Moment


class Word(StrEnum):
    """A word of a record. Its `value` is read in half the time of an ordinary enum's: each record has dozens."""

    if not TYPE_CHECKING:  # which would take it for a member
        value = property(attrgetter("_value_"))


class Verdict(Word):
    """What became of a due step. `defer` may repeat; each of the others is final and comes once."""

    SEND = "send"
    SKIP = "skip"
    DEFER = "defer"
    GHOST = "ghost"


class Reason(Word):
    """Why a step was not sent now. Each is a rule's name."""

    LATE = "late"
    JOURNEY_STOPPED = "journey_stopped"
    STALE_STATE = "stale_state"
    EXITED = "exited"
    IGNORED = "ignored"
    OUT_OF_STOCK = "out_of_stock"
    PRICE_MOVED = "price_moved"
    BLACKOUT = "blackout"
    BUDGET_SPENT = "budget_spent"
    NO_CODE = "no_code"
    OUTBID = "outbid"
    ORDER_CANCELLED = "order_cancelled"
    RETURNED = "returned"
    UNHAPPY = "unhappy"
    CONVERTED = "converted"
    NO_CONSENT = "no_consent"
    NO_ADDRESS = "no_address"
    CAPPED = "capped"
    COOL_DOWN = "cool_down"
    OWNED = "owned"
    NO_CANDIDATE = "no_candidate"
    QUIET_HOURS = "quiet_hours"
    STAFF = "staff"
    COMPLAINT = "complaint"
    HOLDOUT = "holdout"


class Outcome(Word):
    """What one rule said."""

    PASS = "pass"  # noqa: S105  a rule lets pass; no password
    DROP = "drop"
    DEFER = "defer"
    WITHHOLD = "withhold"


class RuleOutcome(Data):
    """One rule, what it said, what it looked at, and until when it asks to wait (for `defer`)."""

    rule: Reason
    outcome: Outcome
    inputs: dict[str, Any]
    until: Moment | None = None


class Incentive(Data):
    """What sweetens an offer. `value` is percent (15 = 15 %) or an amount in `currency`.

    `early_access` is the right to buy before others, until `expires_at`.
    """

    kind: Literal["none", "percent", "money", "free_shipping", "early_access"]
    value: Amount | None = None
    currency: Currency | None = None
    code: str | None = None
    expires_at: Moment | None = None


class Offer(Data):
    """Candidates and an incentive.

    `add_more` is what the order's total lacks of the incentive's threshold; `reserved` what the incentive may cost the shop
    at most, from the discount budget. Both are amounts in `currency`. `prices` are those quoted, by product.
    """

    products: tuple[Candidate, ...]
    incentive: Incentive
    currency: Currency | None = None
    add_more: Amount | None = None
    reserved: Amount | None = None
    prices: dict[str, Amount] = {}  # noqa: RUF012  pydantic copies defaults


class Decision(Data):
    """The immutable record of one attempt at one occurrence of a step: every rule with its inputs.

    `message_id` is the occurrence's id. `order_id` began the enrolment: an order's, or `cart:` and a cart's. `exposures` name
    the variant of each holdout and experiment that bore on it, `segment` the customer's at that order. `positions` are the
    consumed positions per topic that the state stood on, `complements_version` the version of the candidates' evidence.
    `next_at` is set for `defer` only.
    """

    decision_id: UUID
    message_id: UUID
    journey: str
    journey_version: str
    enrolment_id: UUID
    order_id: Identifier
    step: str
    occurrence: Annotated[int, Field(ge=0)]
    channel: Channel
    attempt: Annotated[int, Field(ge=1)]
    due_at: Moment
    decided_at: Moment
    verdict: Verdict
    reason: Reason | None = None
    rules: tuple[RuleOutcome, ...]
    candidates: tuple[Candidate, ...] = ()
    offer: Offer | None = None
    variant: str | None = None
    exposures: dict[str, str] = {}  # noqa: RUF012  pydantic copies defaults
    segment: str | None = None
    positions: dict[str, int] = {}  # noqa: RUF012  pydantic copies defaults
    complements_version: int | None = None
    next_at: Moment | None = None


class DecisionRecorded(Event):
    """A due step was decided."""

    type: Literal["orderwake.decision.recorded.v1"] = "orderwake.decision.recorded.v1"
    data: Decision


class Message(Data):
    """One message to be sent once.

    `recipient` is an address, an E.164 number, a browser's subscription as JSON, or for a webhook the customer's id: personal
    data. `context` is all that the template may see (text, numbers as text, lists and maps of them).
    After `valid_until` (business time) it must not be handed over.
    A `service` message offers nothing, and goes before offers. `places` is where the customer may be, as country and region
    (ISO 3166).
    """

    message_id: UUID
    decision_id: UUID
    channel: Channel
    recipient: str
    journey: str
    step: str
    template: str
    locale: str
    time_zone: str | None = None
    context: dict[str, Any]
    created_at: Moment
    valid_until: Moment
    purpose: Literal["service", "offer"] = "offer"
    places: tuple[tuple[str | None, str | None], ...] = ()


class MessageRequested(Event):
    """The scheduler wants a message sent."""

    type: Literal["orderwake.message.requested.v1"] = "orderwake.message.requested.v1"
    data: Message


class HandOver(Data):
    """A customer whom other tools should take on. `products` is what it is about; `why` the journey's own words."""

    message_id: UUID
    decision_id: UUID
    kind: Literal["win_back", "cart_recovery", "subscription", "support"]
    journey: str
    step: str
    order_id: Identifier
    products: tuple[Identifier, ...] = ()
    why: str
    decided_at: Moment


class HandOverRequested(Event):
    """A journey hands a customer on."""

    type: Literal["orderwake.hand-over.requested.v1"] = "orderwake.hand-over.requested.v1"
    data: HandOver
