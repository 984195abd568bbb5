"""What all providers of e-mail over HTTP have in common: headers, senders, ids that come back, ages of call-backs."""

import hashlib
import hmac
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar
from uuid import UUID

import orjson

from services.dispatcher.providers.base import Answer, CallBack, EmailContent, Forged, Parcel, Unreadable
from services.dispatcher.providers.config import ProviderConfig, Surroundings
from services.dispatcher.providers.http import HttpLine, Reply
from shared.events import Channel

CORRELATION = "orderwake"
"""The name under which the message id travels out and comes back."""


@dataclass(frozen=True, slots=True)
class Request:
    """What is posted to a provider."""

    url: str
    headers: Mapping[str, str]
    body: bytes


class MailOverHttp(ABC):
    """Hands e-mail to a provider by one request each. `word` begins its reasons, e.g. `sendgrid_401`."""

    channel = Channel.EMAIL
    once = False
    word: ClassVar[str]

    def __init__(self, config: ProviderConfig, here: Surroundings) -> None:
        self.name = config.name
        self._default_sender = here.sender_email
        self._line = HttpLine(self.word, config.timeout_seconds, config.limits.concurrency)

    async def start(self) -> None:
        """Make the session."""
        await self._line.start()

    async def close(self) -> None:
        """Close the session."""
        await self._line.close()

    async def send(self, parcel: Parcel) -> Answer:
        """Hand over one e-mail."""
        asked = self.request(parcel)
        reply = await self._line.request("POST", asked.url, headers=asked.headers, data=asked.body)
        return reply if isinstance(reply, Answer) else self.judge(reply)

    @abstractmethod
    def request(self, parcel: Parcel) -> Request:
        """The request that hands a parcel over. Raises TypeError for what is no e-mail."""

    @abstractmethod
    def judge(self, reply: Reply) -> Answer:
        """What a reply says of the hand-over."""

    def content(self, parcel: Parcel) -> EmailContent:
        """The e-mail in a parcel. Raises TypeError if it holds something else."""
        if not isinstance(parcel.content, EmailContent):
            message = f"{self.word} carries e-mail only"
            raise TypeError(message)
        return parcel.content

    def sender(self, parcel: Parcel) -> str:
        """The shop's own address, or the deployment's."""
        return parcel.sender or self._default_sender


def unsubscribe_headers(content: EmailContent) -> dict[str, str]:
    """One-click unsubscription (RFC 8058). The address stays whole, however long it is."""
    return {
        "List-Unsubscribe": f"<{content.unsubscribe_url}>",
        "List-Unsubscribe-Post": "List-Unsubscribe=One-Click",
    }


def mailbox(name: str, address: str) -> str:
    """A sender as RFC 5322 writes it, the name quoted and in Unicode: the provider encodes it."""
    plain = "".join(letter for letter in name if letter.isprintable())
    quoted = plain.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{quoted}" <{address}>' if plain else address


def our_id(value: object) -> UUID | None:
    """The message id, if it is one: other senders may use the same account."""
    try:
        return UUID(value) if isinstance(value, str) else None
    except ValueError:
        return None


def derived_id(*parts: object) -> str:
    """An id of what has none: the same for the same parts, and nothing personal can be read from it."""
    return hashlib.sha256("\x1f".join(map(str, parts)).encode()).hexdigest()[:32]


def at_unix(seconds: object, otherwise: datetime) -> datetime:
    """A time in seconds since 1970; `otherwise` where it is none."""
    try:
        return datetime.fromtimestamp(float(str(seconds)), UTC)
    except (ValueError, OverflowError, OSError):
        return otherwise


def at_iso(text: object, otherwise: datetime) -> datetime:
    """A time in ISO 8601, in UTC unless it says another zone; `otherwise` where it is none."""
    try:
        found = datetime.fromisoformat(str(text))
        return found.replace(tzinfo=found.tzinfo or UTC).astimezone(UTC)
    except (ValueError, OverflowError):
        return otherwise


def objects(body: bytes) -> list[dict[str, Any]]:
    """What a call-back's JSON body holds: an object, or an array of them. Raises Unreadable."""
    try:
        found = orjson.loads(body)
    except orjson.JSONDecodeError:
        message = "the body is not JSON"
        raise Unreadable(message) from None
    several = found if isinstance(found, list) else [found]
    if not all(isinstance(each, dict) for each in several):
        message = "the body holds something that is no object"
        raise Unreadable(message)
    return several


def single(body: bytes) -> dict[str, Any]:
    """The one object that a call-back's JSON body holds. Raises Unreadable."""
    found = objects(body)
    if len(found) != 1:
        message = "the body holds several objects, or none"
        raise Unreadable(message)
    return found[0]


def inner(value: Mapping[str, Any], *names: str) -> dict[str, Any]:
    """The object found by following `names`; empty if there is none."""
    found: object = value
    for name in names:
        found = found.get(name) if isinstance(found, Mapping) else None
    return found if isinstance(found, dict) else {}


def text_of(value: Mapping[str, Any], name: str) -> str:
    """A field that is text or a number, as text; empty if it is absent or something else."""
    found = value.get(name)
    return str(found) if isinstance(found, str | int | float) else ""


def require_fresh(call_back: CallBack, sent_at: str, age: timedelta) -> None:
    """Raises Forged for a call-back that was signed longer ago than `age`, or will be; `sent_at` in Unix seconds."""
    seconds = int(sent_at) if sent_at.isascii() and sent_at.isdecimal() else None
    if seconds is None or abs(call_back.received_at.timestamp() - seconds) > age.total_seconds():
        message = "it was not signed just now"
        raise Forged(message)


def is_one_of(expected: Iterable[str], given: str) -> bool:
    """Whether `given` is among `expected`, in a time that tells nothing of them."""
    told = given.encode(errors="replace")
    same = [hmac.compare_digest(each.encode(), told) for each in expected]
    return any(same)
