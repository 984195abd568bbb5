"""The port to a provider.

A provider takes a parcel and says what became of it in one of four words. The whole of exactly-once hangs on
the difference between `not_taken` (certainly not accepted, so it may be handed over again) and `unknown`.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Protocol
from uuid import UUID

from shared.events import Channel

LONGEST_WORDS = 200
MENDING_SECONDS = 60.0


class Result(StrEnum):
    """What became of a hand-over."""

    ACCEPTED = "accepted"
    REJECTED = "rejected"
    NOT_TAKEN = "not_taken"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Answer:
    """A provider's answer. `reason` is a short code without personal data, e.g. `smtp_550` or `twilio_21610`.

    `retry_after` (machine seconds) is the least wait that a provider asked for, with `not_taken`. `opted_out`
    says that the recipient told the provider to stop: the channel is suppressed for this customer. `our_fault`
    says that the provider refuses us, not this message: a person must mend sender or credentials.

    Whatever words a provider sent, `reason` and `reference` hold printable ASCII of bounded length.
    """

    result: Result
    reason: str | None = None
    reference: str | None = None
    retry_after: float | None = None
    opted_out: bool = False
    our_fault: bool = False

    def __post_init__(self) -> None:
        """Make the provider's words such that every store takes them."""
        object.__setattr__(self, "reason", _storable(self.reason))
        object.__setattr__(self, "reference", _storable(self.reference))


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
    """A rendered SMS: one GSM-7 segment."""

    body: str


@dataclass(frozen=True, slots=True)
class Parcel:
    """What is handed over. `valid_for` is how many seconds the message may still wait at the provider."""

    message_id: UUID
    recipient: str
    content: EmailContent | SmsContent
    valid_for: float


class Provider(Protocol):
    """One way out for one channel. `send` is called for several parcels at once."""

    name: str
    channel: Channel

    async def start(self) -> None:
        """Make clients; connections may wait for the first parcel."""

    async def send(self, parcel: Parcel) -> Answer:
        """Hand over once. Faults of provider and network are answers, not exceptions."""

    async def close(self) -> None:
        """Close clients."""


def ours_to_mend(reason: str) -> Answer:
    """The answer to a refusal that no message is to blame for: none is lost, and each waits a minute at least."""
    return Answer(Result.NOT_TAKEN, reason, retry_after=MENDING_SECONDS, our_fault=True)


def _storable(words: str | None) -> str | None:
    if words is None:
        return None
    plain = words[:LONGEST_WORDS].encode("ascii", "replace").decode("ascii")
    return "".join(letter if letter.isprintable() else " " for letter in plain)
