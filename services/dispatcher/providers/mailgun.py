"""E-mail through Mailgun's `POST /v3/{domain}/messages`, its events, and its webhooks.

Mailgun has no idempotency key. Our message id travels as a variable and in the Message-Id, so an unanswered hand-over is
looked for among the events.

A webhook's signature covers a time and a token, not what it tells. So a token counts for one body only, a webhook is
believed for as long as Mailgun tries (it does not say whether it signs anew), and nothing is believed of an address: only
of a message that is ours, by our id.
"""

import base64
import hashlib
import hmac
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Annotated, Any, Literal
from urllib.parse import quote
from uuid import UUID

from pydantic import Field

from services.dispatcher.providers.base import (
    Answer,
    CallBack,
    Fault,
    Forged,
    Parcel,
    Report,
    Said,
    Sought,
)
from services.dispatcher.providers.config import ProviderConfig, Surroundings
from services.dispatcher.providers.http import Reply
from services.dispatcher.providers.mail import (
    CORRELATION,
    MailOverHttp,
    Request,
    at_unix,
    derived_id,
    inner,
    is_one_of,
    mailbox,
    our_id,
    require_fresh,
    single,
    text_of,
    unsubscribe_headers,
)
from services.dispatcher.providers.mailgun_codes import CODES, EVENTS, REASONS, SERVERS_WORDS, STATUSES, WORDS
from shared.secrets import Secret

CALL_BACK_AGE = timedelta(hours=8)
"""Longer than Mailgun goes on trying: 5, 10 and 15 minutes, 1, 2 and 4 hours."""
TOKENS_KEPT = 100_000

_TAKEN, _REFUSED, _SERVER_FAULT = 200, 400, 500
_SOUGHT_BEFORE = timedelta(minutes=5)
_MOST_EVENTS = 300


class MailgunConfig(ProviderConfig):
    """A sending domain at Mailgun. `callback_key` is the account's HTTP webhook signing key."""

    kind: Literal["mailgun"] = "mailgun"
    domain: str
    key: Secret
    callback_key: Annotated[Secret | None, Field(description="absent: no call-back is believed")] = None
    url: Annotated[str, Field(description="https://api.eu.mailgun.net for domains in the EU")] = (
        "https://api.mailgun.net"
    )


class MailgunProvider(MailOverHttp):
    """Hands e-mail to Mailgun, finds it again, and reads its webhooks."""

    word = "mailgun"

    def __init__(self, config: MailgunConfig, here: Surroundings) -> None:
        super().__init__(config, here)
        self._config = config
        self._url = f"{config.url.rstrip('/')}/v3/{quote(config.domain, safe='')}"
        self._tokens = Tokens(TOKENS_KEPT)

    def request(self, parcel: Parcel) -> Request:
        """Text and HTML, our own links and headers, all tracking of Mailgun's off."""
        content = self.content(parcel)
        form = {
            "from": mailbox(content.sender_name, self.sender(parcel)),
            "to": parcel.recipient,
            "subject": content.subject,
            "text": content.text,
            "html": content.html,
            "o:tracking": "no",
            "o:tracking-clicks": "no",
            "o:tracking-opens": "no",
            f"v:{CORRELATION}": str(parcel.message_id),
            "h:Message-Id": f"<{self._reference(parcel.message_id)}>",
            **{f"h:{name}": value for name, value in unsubscribe_headers(content).items()},
        }
        boundary = f"orderwake-{parcel.message_id.hex}"
        headers = {**self._headers(), "Content-Type": f"multipart/form-data; boundary={boundary}"}
        return Request(f"{self._url}/messages", headers, _multipart(form, boundary))

    def judge(self, reply: Reply) -> Answer:
        """See `judge`."""
        return judge(reply)

    async def find(self, sought: Sought) -> Answer | None:
        """Among the events. What is not there may still come: that says nothing."""
        begin = sought.handed_over_at - _SOUGHT_BEFORE
        asked = {
            "begin": str(int(begin.timestamp())),
            "ascending": "yes",
            "limit": str(_MOST_EVENTS),
            "message-id": sought.reference or self._reference(sought.message_id),
        }
        reply = await self._line.request("GET", f"{self._url}/events", headers=self._headers(), params=asked)
        if isinstance(reply, Answer) or reply.status != _TAKEN:
            return None
        found = reply.json().get("items")
        events = found if isinstance(found, list) else []
        ours = [each for each in events if isinstance(each, dict) and self._our_id(each) == sought.message_id]
        return _found(ours) if ours else None

    def read(self, call_back: CallBack) -> Sequence[Report]:
        """The event of one signed request. Raises Forged or Unreadable."""
        if self._config.callback_key is None:
            message = "there is no callback_key to verify it with"
            raise Forged(message)
        told = single(call_back.body)
        token = _verify(inner(told, "signature"), call_back, self._config.callback_key)
        self._tokens.use(token, call_back.body)
        event = inner(told, "event-data")
        report = _report(event, self._our_id(event), call_back)
        return [] if report is None else [report]

    def _reference(self, message_id: UUID) -> str:
        return f"{message_id}@{self._config.domain}"

    def _our_id(self, event: Mapping[str, Any]) -> UUID | None:
        """From the variable, or from the Message-Id, which some events tell instead."""
        local, _, domain = (_reference(event) or "").partition("@")
        by_reference = our_id(local) if domain == self._config.domain else None
        return our_id(inner(event, "user-variables").get(CORRELATION)) or by_reference

    def _headers(self) -> dict[str, str]:
        pair = f"api:{self._config.key.value()}"
        return {"Authorization": f"Basic {base64.b64encode(pair.encode()).decode()}"}


class Tokens:
    """Which body each token came with: the latest `kept` of them. The same request told again is none the worse."""

    def __init__(self, kept: int) -> None:
        self._kept = kept
        self._bodies: OrderedDict[str, bytes] = OrderedDict()

    def use(self, token: str, body: bytes) -> None:
        """Raises Forged if the token came with another body."""
        digest = hashlib.sha256(body).digest()
        if self._bodies.setdefault(token, digest) != digest:
            message = "its token came before, with another body"
            raise Forged(message)
        if len(self._bodies) > self._kept:
            self._bodies.popitem(last=False)


def _multipart(form: Mapping[str, str], boundary: str) -> bytes:
    """RFC 7578: a fiftieth of the time that URL-encoding takes for a page of HTML. Names are ours, and plain."""
    parts = "".join(
        f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
        for name, value in form.items()
    )
    return f"{parts}--{boundary}--\r\n".encode()


def judge(reply: Reply) -> Answer:
    """What a reply says of the hand-over. A 5xx may have been taken."""
    answer = reply.json()
    reference = text_of(answer, "id").strip("<>")
    if reply.status == _TAKEN and reference:
        return Answer.accepted(reference)
    reason = f"mailgun_{reply.status}"
    if not _REFUSED <= reply.status < _SERVER_FAULT:
        return Answer.of(Fault.OPEN, reason)
    message = text_of(answer, "message")
    by_words = (fault for status, words, fault in WORDS if status == reply.status and words.search(message))
    fault = next(by_words, STATUSES.get(reply.status, Fault.PERMANENT))
    return Answer.of(fault, reason, reply.retry_after())


def _found(events: Sequence[Mapping[str, Any]]) -> Answer:
    """What the events of one message say of its hand-over."""
    reference = _reference(events[0])
    if any(text_of(event, "event") == "rejected" for event in events):
        return Answer.of(Fault.PERMANENT, "mailgun_rejected", reference=reference)
    return Answer.accepted(reference)


def _verify(signature: Mapping[str, Any], call_back: CallBack, keys: Secret) -> str:
    """The token, if time and token were signed with a key of ours."""
    sent_at, token = text_of(signature, "timestamp"), text_of(signature, "token")
    require_fresh(call_back, sent_at, CALL_BACK_AGE)
    signed = f"{sent_at}{token}".encode()
    expected = [hmac.digest(key.encode(), signed, "sha256").hex() for key in keys.all()]
    if not token or not is_one_of(expected, text_of(signature, "signature")):
        message = "it was not signed with a key of ours"
        raise Forged(message)
    return token


def _reference(event: Mapping[str, Any]) -> str | None:
    return text_of(inner(event, "message", "headers"), "message-id").strip("<>") or None


def _report(event: Mapping[str, Any], message_id: UUID | None, call_back: CallBack) -> Report | None:
    kind = text_of(event, "event")
    said = EVENTS.get(kind)
    if said is None:
        return None
    if kind == "failed" and text_of(event, "severity") == "temporary":
        said = Said.DEFERRED
    reference, at = _reference(event), event.get("timestamp")
    fault = _reported_fault(event) if said is Said.UNDELIVERED else None
    return Report(
        said,
        derived_id(kind, text_of(event, "id"), reference, at, text_of(event, "recipient")),
        at_unix(at, call_back.received_at),
        message_id,
        reference,
        reason=f"mailgun_{text_of(event, 'reason') or kind}" if fault else None,
        fault=fault,
    )


def _reported_fault(event: Mapping[str, Any]) -> Fault:
    """Why a message did not arrive, or was not taken after all."""
    if text_of(event, "event") == "rejected":
        return Fault.PERMANENT
    status, reason = inner(event, "delivery-status"), text_of(event, "reason")
    code, message = status.get("code"), text_of(status, "message")
    if isinstance(code, int) and code in CODES:
        return CODES[code]
    if reason in REASONS:
        return REASONS[reason]
    by_words = (fault for words, fault in SERVERS_WORDS if words.search(message))
    return next(by_words, Fault.DEAD if reason == "bounce" else Fault.SOFT)
