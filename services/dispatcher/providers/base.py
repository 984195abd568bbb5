"""The port to a provider: hand over, ask what became of it, read what the provider reports.

A provider takes a parcel and says what became of it in one of four words (`Result`), with the class of error behind it
(`Fault`). Providers differ in what they can do besides: `Finds` and `Reports` are separate.
"""

from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Protocol, Self, runtime_checkable
from uuid import UUID

from services.dispatcher.domain.faults import TREATMENTS, Fault, Result
from services.dispatcher.domain.tracking import ShortLink
from shared.events import Channel

__all__ = [
    "Answer",
    "CallBack",
    "Content",
    "EmailContent",
    "Fault",
    "Finds",
    "Forged",
    "Parcel",
    "Provider",
    "PushContent",
    "Report",
    "Reports",
    "Result",
    "Said",
    "SmsContent",
    "Sought",
    "Unreadable",
    "Unverifiable",
    "WebhookContent",
]

LONGEST_WORDS = 200


@dataclass(frozen=True, slots=True)
class Answer:
    """A provider's answer. `reason` is a short code without personal data, e.g. `smtp_550` or `twilio_21610`.

    `retry_after` (machine seconds) is the least wait before another try, with `not_taken`. `reference` is the
    provider's own id of the message. Whatever words a provider sent, both hold printable ASCII of bounded length.
    `apart` says that it came from one recipient's own server, so that it tells nothing of the provider to others.
    """

    result: Result
    reason: str | None = None
    reference: str | None = None
    retry_after: float | None = None
    fault: Fault | None = None
    apart: bool = False

    def __post_init__(self) -> None:
        """Make the provider's words such that every store takes them."""
        object.__setattr__(self, "reason", storable(self.reason))
        object.__setattr__(self, "reference", storable(self.reference))

    @classmethod
    def accepted(cls, reference: str | None = None) -> Self:
        """The provider took it."""
        return cls(Result.ACCEPTED, reference=reference)

    @classmethod
    def of(
        cls, fault: Fault, reason: str, retry_after: float | None = None, reference: str | None = None
    ) -> Self:
        """What a class of error means; a wait that was asked for counts where it is longer than the class's own."""
        treatment = TREATMENTS[fault]
        waits = [seconds for seconds in (treatment.wait_seconds, retry_after) if seconds is not None]
        least = max(waits) if waits and treatment.result is Result.NOT_TAKEN else None
        return cls(treatment.result, reason, reference, least, fault)

    @property
    def opted_out(self) -> bool:
        """Whether the recipient told the provider to stop: the channel is suppressed for this customer."""
        return self.fault is Fault.STOPPED

    @property
    def our_fault(self) -> bool:
        """Whether the provider refuses us, not this message: a person must mend sender or credentials."""
        return self.fault is Fault.SENDER


@dataclass(frozen=True, slots=True)
class EmailContent:
    """A rendered e-mail. `unsubscribe_url` takes a one-click POST (RFC 8058); `written_at` is machine time."""

    sender_name: str
    subject: str
    text: str
    html: str
    unsubscribe_url: str
    written_at: datetime


@dataclass(frozen=True, slots=True)
class SmsContent:
    """A rendered SMS: one segment."""

    body: str


@dataclass(frozen=True, slots=True)
class PushContent:
    """A rendered web push notification; `url` opens on a click."""

    title: str
    body: str
    url: str


@dataclass(frozen=True, slots=True)
class WebhookContent:
    """What a webhook's body says: JSON, UTF-8."""

    payload: bytes


Content = EmailContent | SmsContent | PushContent | WebhookContent


@dataclass(frozen=True, slots=True)
class Parcel:
    """What is handed over. `valid_for` is how many seconds the message may still wait at the provider.

    `sender` is the shop's own address or number, empty for the provider's default. `message_id` is the correlation value
    that travels out and comes back, and the idempotency key where a provider takes one. `links` are kept before it leaves.
    """

    message_id: UUID
    recipient: str
    content: Content
    valid_for: float
    sender: str = ""
    shop: str = ""
    journey: str = ""
    links: tuple[ShortLink, ...] = ()


@runtime_checkable
class Provider(Protocol):
    """One way out for one channel. `send` is called for several parcels at once.

    `once` says that it takes `message_id` as an idempotency key: a second hand-over within a day cannot double.
    """

    name: str
    channel: Channel
    once: bool

    async def start(self) -> None:
        """Make clients; connections may wait for the first parcel."""

    async def send(self, parcel: Parcel) -> Answer:
        """Hand over once. Faults of provider and network are answers, not exceptions."""

    async def close(self) -> None:
        """Close clients."""


@dataclass(frozen=True, slots=True)
class Sought:
    """A hand-over whose outcome is sought. `recipient` and `body` (of a text) are there as long as the ledger has them."""

    message_id: UUID
    handed_over_at: datetime
    recipient: str | None = None
    body: str | None = None
    reference: str | None = None


@runtime_checkable
class Finds(Protocol):
    """A provider that can be asked what became of a hand-over."""

    async def find(self, sought: Sought) -> Answer | None:
        """`accepted` if it was taken, a `not_taken` answer only if it certainly was not; None: it cannot say now."""


class Said(StrEnum):
    """What a provider's call-back says of a message, or of an address."""

    TAKEN = "taken"
    DELIVERED = "delivered"
    UNDELIVERED = "undelivered"
    DEFERRED = "deferred"
    OPENED = "opened"
    CLICKED = "clicked"
    COMPLAINED = "complained"
    STOPPED = "stopped"
    STARTED = "started"


@dataclass(frozen=True, slots=True)
class CallBack:
    """A request as it came: `url` as the provider called it, header names in lower case, the body's very bytes."""

    url: str
    headers: Mapping[str, str]
    body: bytes
    received_at: datetime


@dataclass(frozen=True, slots=True)
class Report:
    """One thing that a call-back says. `report_id` is the same when it is said again; `address` is personal data.

    `message_id` is our correlation value; where it did not come back, `reference` is the provider's id. `occurred_at` is
    machine time.
    """

    said: Said
    report_id: str
    occurred_at: datetime
    message_id: UUID | None = None
    reference: str | None = None
    address: str | None = None
    reason: str | None = None
    fault: Fault | None = None

    def __post_init__(self) -> None:
        """Make the provider's words such that every store takes them, as in answers."""
        object.__setattr__(self, "reason", storable(self.reason))
        object.__setattr__(self, "reference", storable(self.reference))


class Forged(Exception):  # noqa: N818  it names what was found
    """The call-back was not signed by the provider, or is too old: 403, nothing is believed."""


class Unreadable(Exception):  # noqa: N818  as above
    """It is the provider's, but nothing that can be read: 400."""


class Unverifiable(Exception):  # noqa: N818  as above
    """Nobody can say now whose it is, for a certificate cannot be fetched: 503, it is to come again."""


@runtime_checkable
class Reports(Protocol):
    """A provider that calls back.

    One that demands a certain body in our answer has an attribute `reply` besides: its content type and its bytes.
    """

    def read(self, call_back: CallBack) -> Sequence[Report] | Awaitable[Sequence[Report]]:
        """Verify and read; awaitable where a certificate must be fetched.

        Raises Forged, Unreadable or Unverifiable; unknown events and fields are passed over.
        """


def storable(words: str | None) -> str | None:
    """Words of another's, as printable ASCII of bounded length."""
    if words is None:
        return None
    plain = words[:LONGEST_WORDS].encode("ascii", "replace").decode("ascii")
    return "".join(letter if letter.isprintable() else " " for letter in plain)
