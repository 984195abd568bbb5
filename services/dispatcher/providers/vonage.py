"""SMS through Vonage's SMS API (`/sms/json`): hand-over, delivery receipts, inbound messages.

Vonage answers 200 and says in the body, for each part, whether it took it. It has no idempotency key and no query by
our id; `client-ref` carries it out and back. Call-backs are believed only when signed (a switch in Vonage's dashboard),
and asked for only where we can check that. Vonage tells a thing again for 24 hours until it is heard, so a signature
counts for a day: said again it is the same report.
"""

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import Literal
from urllib.parse import parse_qsl, urlencode, urlsplit
from uuid import UUID

import orjson

from services.dispatcher.domain import gsm7
from services.dispatcher.domain.keywords import wish
from services.dispatcher.providers.base import (
    Answer,
    CallBack,
    Fault,
    Forged,
    Parcel,
    Report,
    Said,
    SmsContent,
    Unreadable,
)
from services.dispatcher.providers.config import ProviderConfig, Surroundings
from services.dispatcher.providers.http import HttpLine, Reply
from services.dispatcher.providers.inbound import wished
from services.dispatcher.providers.vonage_codes import RECEIPTS, STATUSES
from services.dispatcher.providers.vonage_signature import Method, is_signed
from shared.events import Channel
from shared.secrets import Secret

OLDEST = timedelta(hours=25)
_AHEAD = timedelta(minutes=5)
_TTL_LEAST, _TTL_MOST = 20_000, 604_800_000
_NUMBER = re.compile(r"\+?([1-9]\d{6,14})")
_OK, _REFUSED, _SERVER_FAULT = 200, 400, 500
_BEFORE = MappingProxyType({401: Fault.SENDER, 402: Fault.SENDER, 403: Fault.SENDER, 429: Fault.BUSY})
_TAKEN = "0"
_STATUSES = MappingProxyType(
    {
        "accepted": Said.TAKEN,
        "buffered": Said.DEFERRED,
        "delivered": Said.DELIVERED,
        **dict.fromkeys(("failed", "rejected", "expired", "deleted"), Said.UNDELIVERED),
    }
)


class VonageConfig(ProviderConfig):
    """A Vonage account. `sender` is a number, or a name where the country allows it, for shops without their own."""

    kind: Literal["vonage"] = "vonage"
    account: str
    secret: Secret
    callback_key: Secret | None = None
    callback_method: Method = "sha256"
    sender: str
    url: str = "https://rest.nexmo.com"


class VonageProvider:
    """Hands SMS to Vonage and reads what it calls back."""

    channel = Channel.SMS
    once = False

    def __init__(self, config: VonageConfig, here: Surroundings) -> None:
        self.name = config.name
        self._config = config
        self._url = f"{config.url.rstrip('/')}/sms/json"
        self._callback = here.callback_of(config.name) if config.callback_key else None
        self._line = HttpLine("vonage", config.timeout_seconds, config.limits.concurrency)

    async def start(self) -> None:
        """Make the session."""
        await self._line.start()

    async def close(self) -> None:
        """Close the session."""
        await self._line.close()

    async def send(self, parcel: Parcel) -> Answer:
        """Hand over one SMS."""
        if not isinstance(parcel.content, SmsContent):
            message = "Vonage carries SMS only here"
            raise TypeError(message)
        number = _NUMBER.fullmatch(parcel.recipient)
        if number is None:
            return Answer.of(Fault.DEAD, "vonage_no_number")
        form = self._form(parcel, parcel.content.body, number[1])
        reply = await self._line.request(
            "POST",
            self._url,
            headers={"Content-Type": "application/x-www-form-urlencoded"},
            data=urlencode(form).encode(),
        )
        return reply if isinstance(reply, Answer) else judge(reply)

    def read(self, call_back: CallBack) -> Sequence[Report]:
        """A delivery receipt, or a person's message."""
        fields = _fields(call_back)
        key = self._config.callback_key
        if key is None or not is_signed(key.all(), self._config.callback_method, fields):
            message = "the signature is not Vonage's"
            raise Forged(message)
        at = _signed_at(fields)
        if not -_AHEAD <= call_back.received_at - at <= OLDEST:
            message = "the signature is too old, or of a time to come"
            raise Forged(message)
        if "status" in fields:
            return _receipt(fields, at)
        report_id = f"{fields.get('messageId')}:inbound"
        address = f"+{fields['msisdn'].lstrip('+')}" if fields.get("msisdn") else ""
        return wished(wish(fields.get("text", "")), report_id, at, address, "vonage_inbound")

    def _form(self, parcel: Parcel, body: str, number: str) -> dict[str, str]:
        sender = parcel.sender or self._config.sender
        form = {
            "api_key": self._config.account,
            "api_secret": self._config.secret.value(),
            "from": sender.removeprefix("+"),
            "to": number,
            "text": body,
            "type": "text" if gsm7.carries(body) else "unicode",
            "ttl": str(int(min(max(parcel.valid_for * 1000, _TTL_LEAST), _TTL_MOST))),
            "client-ref": str(parcel.message_id),
        }
        return form | ({"callback": self._callback} if self._callback else {})


def judge(reply: Reply) -> Answer:
    """What a reply says. A text in parts counts as taken if any part was: the rest cannot go alone."""
    if reply.status != _OK:
        return _unusual(reply)
    told = reply.json().get("messages")
    parts = [part for part in told if isinstance(part, dict)] if isinstance(told, list) else []
    taken = next((part for part in parts if str(part.get("status")) == _TAKEN), None)
    if taken is not None:
        return Answer.accepted(taken.get("message-id") if isinstance(taken.get("message-id"), str) else None)
    status = str(parts[0].get("status")) if parts else ""
    if not status.isdecimal():
        return Answer.of(Fault.OPEN, "vonage_unreadable")
    return Answer.of(STATUSES.get(int(status), Fault.PERMANENT), f"vonage_{status}", reply.retry_after())


def _unusual(reply: Reply) -> Answer:
    """Vonage answers 200 to whatever it has looked at: this comes from before it, or leaves all open."""
    fault = Fault.PERMANENT if _REFUSED <= reply.status < _SERVER_FAULT else Fault.OPEN
    return Answer.of(_BEFORE.get(reply.status, fault), f"vonage_http_{reply.status}", reply.retry_after())


def _fields(call_back: CallBack) -> dict[str, str]:
    """The fields of a form or of a JSON object, as they are signed: as text."""
    if not call_back.headers.get("content-type", "").startswith("application/json"):
        body = call_back.body.decode("utf-8", "replace")
        return dict(parse_qsl(body or urlsplit(call_back.url).query, keep_blank_values=True))
    try:
        told = orjson.loads(call_back.body)
    except orjson.JSONDecodeError as error:
        message = "no JSON"
        raise Unreadable(message) from error
    if not isinstance(told, dict):
        message = "no JSON object"
        raise Unreadable(message)
    return {
        name: value if isinstance(value, str) else orjson.dumps(value).decode()
        for name, value in told.items()
    }


def _signed_at(fields: Mapping[str, str]) -> datetime:
    try:
        return datetime.fromtimestamp(int(fields["timestamp"]), UTC)
    except (KeyError, ValueError, OverflowError, OSError) as error:
        message = "no signed time"
        raise Forged(message) from error


def _receipt(fields: Mapping[str, str], at: datetime) -> list[Report]:
    status, code = fields["status"], fields.get("err-code", "")
    said = _STATUSES.get(status)
    if said is None:
        return []
    failed = said is Said.UNDELIVERED
    numbered = code.isdecimal() and code != "0"
    known = RECEIPTS.get(int(code), Fault.PERMANENT) if numbered else Fault.SOFT
    reference = fields.get("messageId")
    return [
        Report(
            said=said,
            report_id=f"{reference}:{status}",
            occurred_at=at,
            message_id=_correlation(fields),
            reference=reference,
            address=f"+{fields['msisdn'].lstrip('+')}" if fields.get("msisdn") else None,
            reason=(f"vonage_receipt_{code}" if numbered else f"vonage_{status}") if failed else None,
            fault=known if failed else None,
        )
    ]


def _correlation(fields: Mapping[str, str]) -> UUID | None:
    try:
        return UUID(fields["client-ref"])
    except (KeyError, ValueError):
        return None
