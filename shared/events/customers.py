"""Customers (the one place of contact data besides messages), carts and what people did with messages."""

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Field

from shared.events.envelope import Amount, Currency, Data, Event, Identifier, Moment, Text, Version


class Channel(StrEnum):
    """How a step reaches a person.

    `push` is a notification in their browser, `webhook` a call of the shop's own server that writes to them as it likes,
    `page` the shop's thank-you page, `event` an event for other tools.
    """

    EMAIL = "email"
    SMS = "sms"
    PUSH = "push"
    WEBHOOK = "webhook"
    PAGE = "page"
    EVENT = "event"


MESSAGE_CHANNELS = (Channel.EMAIL, Channel.SMS, Channel.PUSH, Channel.WEBHOOK)
"""Channels on which a message is sent to an address, so that consent and caps are asked."""


class Consent(Data):
    """What a customer allowed on one channel, with its proof: when it was given or withdrawn, and where.

    `wording` is what the customer agreed to, word for word, where the shop kept it.
    """

    granted: bool
    changed_at: Moment
    source: Text = "unstated"
    wording: Text | None = None


class PushKeys(Data):
    """What a payload is encrypted with, as the browser gives it: base64url."""

    p256dh: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{80,100}={0,2}$")]
    auth: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{20,30}={0,2}$")]


class PushSubscription(Data):
    """A browser that takes notifications, as `PushSubscription.toJSON()` writes it. Personal data."""

    endpoint: Annotated[str, Field(pattern=r"^https?://[^\s\x00]+$", max_length=2000)]
    keys: PushKeys


class Customer(Data):
    """Profile, contact and consent: the whole state in each record; the highest version wins.

    `email`, `phone` (E.164) and `push` (subscriptions, the newest last: it is the one that is used) are personal data: they
    appear here and on `messages` only.
    `time_zone` is an IANA name; `country` and `region` are ISO 3166 codes. `formerly` are ids, such as a guest's, under
    which this customer ordered before: those orders are theirs.
    """

    version: Version
    email: Text | None = None
    phone: Annotated[str, Field(pattern=r"^\+[1-9]\d{6,14}$")] | None = None
    first_name: Text | None = None
    locale: Text = "en-US"
    time_zone: Text | None = None
    country: Text | None = None
    region: Text | None = None
    consent: dict[Channel, Consent] = {}  # noqa: RUF012  pydantic copies defaults
    push: Annotated[tuple[PushSubscription, ...], Field(max_length=20)] = ()
    staff: bool = False
    guest: bool = False
    formerly: tuple[Identifier, ...] = ()


class CustomerRecorded(Event):
    """A customer's profile, contact or consent changed."""

    type: Literal["orderwake.customer.recorded.v1"] = "orderwake.customer.recorded.v1"
    data: Customer


class Cart(Data):
    """A cart as it is now."""

    cart_id: Identifier
    updated_at: Moment
    currency: Currency
    total: Amount
    products: tuple[Identifier, ...]
    order_id: Identifier | None = None


class CartRecorded(Event):
    """A cart changed, or became an order."""

    type: Literal["orderwake.cart.recorded.v1"] = "orderwake.cart.recorded.v1"
    data: Cart


class EngagementKind(StrEnum):
    """What happened to a message, or what its reader did.

    The dispatcher tells `accepted`, `rejected`, `withheld` (refused at hand-over by the last check) and `unknown`;
    the rest come from providers and people. `offer_accepted` is one click on the thank-you page.
    """

    ACCEPTED = "accepted"
    REJECTED = "rejected"
    WITHHELD = "withheld"
    UNKNOWN = "unknown"
    DELIVERED = "delivered"
    BOUNCED = "bounced"
    OPENED = "opened"
    CLICKED = "clicked"
    ANSWERED = "answered"
    UNSUBSCRIBED = "unsubscribed"
    COMPLAINED = "complained"
    OFFER_ACCEPTED = "offer_accepted"


class Engagement(Data):
    """One thing that happened to one message. `answer` is the word clicked where a message asked."""

    kind: EngagementKind
    channel: Channel
    occurred_at: Moment
    message_id: Text | None = None
    answer: Text | None = None
    reason: Text | None = None
    provider: Text | None = None
    provider_reference: Text | None = None


class EngagementRecorded(Event):
    """Something happened to a message, or its reader did something."""

    type: Literal["orderwake.engagement.recorded.v1"] = "orderwake.engagement.recorded.v1"
    data: Engagement
