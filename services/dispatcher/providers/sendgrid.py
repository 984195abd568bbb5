"""E-mail through SendGrid's `POST /v3/mail/send`, and its signed Event Webhook.

SendGrid has no idempotency key, and can be asked what became of a message only with a paid add-on (Email Activity): an
unanswered hand-over is settled by a call-back or by a person. Our message id travels in `custom_args` of the
personalization (the published document types those of the message as text) and comes back with every event.
"""

import base64
import binascii
from collections.abc import Mapping, Sequence
from datetime import timedelta
from email.utils import parsedate_to_datetime
from functools import lru_cache
from typing import Annotated, Any, Literal

import orjson
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_der_public_key
from pydantic import Field

from services.dispatcher.providers.base import Answer, CallBack, Fault, Forged, Parcel, Report
from services.dispatcher.providers.config import ProviderConfig, Surroundings
from services.dispatcher.providers.http import Reply
from services.dispatcher.providers.mail import (
    CORRELATION,
    MailOverHttp,
    Request,
    at_unix,
    derived_id,
    objects,
    our_id,
    require_fresh,
    text_of,
    unsubscribe_headers,
)
from services.dispatcher.providers.sendgrid_codes import (
    BOUNCES,
    DROPPED,
    EVENTS,
    FIELDS,
    MESSAGES,
    STATUSES,
)
from shared.errors import SettingsError
from shared.secrets import Secret

CALL_BACK_AGE = timedelta(minutes=10)
_SIGNATURE = "x-twilio-email-event-webhook-signature"
_TIMESTAMP = "x-twilio-email-event-webhook-timestamp"
_ACCEPTED, _REFUSED, _SERVER_FAULT = 202, 400, 500
_LONGEST_WAIT_SECONDS = 3600.0
_OFF: Mapping[str, Any] = {
    "tracking_settings": {
        "click_tracking": {"enable": False, "enable_text": False},
        "open_tracking": {"enable": False},
        "subscription_tracking": {"enable": False},
        "ganalytics": {"enable": False},
    },
    "mail_settings": {"sandbox_mode": {"enable": False}},
}


class SendGridConfig(ProviderConfig):
    """A SendGrid account. `callback_key` is the Event Webhook's verification key, as its settings page shows it."""

    kind: Literal["sendgrid"] = "sendgrid"
    key: Secret
    callback_key: Annotated[Secret | None, Field(description="absent: no call-back is believed")] = None
    url: Annotated[str, Field(description="https://api.eu.sendgrid.com for EU subusers")] = (
        "https://api.sendgrid.com"
    )


class SendGridProvider(MailOverHttp):
    """Hands e-mail to SendGrid and reads its events."""

    word = "sendgrid"

    def __init__(self, config: SendGridConfig, here: Surroundings) -> None:
        super().__init__(config, here)
        self._config = config
        self._url = f"{config.url.rstrip('/')}/v3/mail/send"

    async def start(self) -> None:
        """Make the session. Raises SettingsError for keys that are none."""
        for key in self._config.callback_key.all() if self._config.callback_key else ():
            _public_key(key)
        await super().start()

    def request(self, parcel: Parcel) -> Request:
        """Text and HTML, our own links and headers, all tracking of SendGrid's off."""
        content = self.content(parcel)
        message = {
            "personalizations": [
                {"to": [{"email": parcel.recipient}], "custom_args": {CORRELATION: str(parcel.message_id)}}
            ],
            "from": {"email": self.sender(parcel), "name": content.sender_name},
            "subject": content.subject,
            "content": [
                {"type": "text/plain", "value": content.text},
                {"type": "text/html", "value": content.html},
            ],
            "headers": unsubscribe_headers(content),
            **_OFF,
        }
        headers = {
            "Authorization": f"Bearer {self._config.key.value()}",
            "Content-Type": "application/json",
        }
        return Request(self._url, headers, orjson.dumps(message))

    def judge(self, reply: Reply) -> Answer:
        """See `judge`."""
        return judge(reply)

    def read(self, call_back: CallBack) -> Sequence[Report]:
        """The events of one signed request. Raises Forged or Unreadable."""
        if self._config.callback_key is None:
            message = "there is no callback_key to verify it with"
            raise Forged(message)
        _verify(call_back, self._config.callback_key)
        found = [_report(event, call_back) for event in objects(call_back.body)]
        return [report for report in found if report is not None]


def judge(reply: Reply) -> Answer:
    """What a reply says of the hand-over. Only a 202 takes it: a 200 is a sandbox's; a 5xx may have been taken."""
    if reply.status == _ACCEPTED:
        return Answer.accepted(reply.headers.get("X-Message-Id"))
    reason = f"sendgrid_{reply.status}"
    if not _REFUSED <= reply.status < _SERVER_FAULT:
        return Answer.of(Fault.OPEN, reason)
    errors = reply.json().get("errors")
    told = [each for each in errors if isinstance(each, dict)] if isinstance(errors, list) else []
    return Answer.of(_fault(reply.status, told), reason, _wait(reply))


def _fault(status: int, errors: Sequence[Mapping[str, Any]]) -> Fault:
    for error in errors:
        if by_words := [fault for words, fault in MESSAGES if words.search(text_of(error, "message"))]:
            return by_words[0]
    if status in STATUSES:
        return STATUSES[status]
    for error in errors:
        if by_field := [fault for field, fault in FIELDS if field.match(text_of(error, "field"))]:
            return by_field[0]
    return Fault.PERMANENT


def _wait(reply: Reply) -> float | None:
    """Seconds until the limit is lifted: `X-RateLimit-Reset` is a Unix time, told against the reply's own `Date`."""
    asked = reply.retry_after()
    reset = reply.headers.get("X-RateLimit-Reset", "")
    if asked is not None or not reset.isdecimal():
        return asked
    try:
        sent_at = parsedate_to_datetime(reply.headers.get("Date", "")).timestamp()
    except ValueError:
        return None
    return min(max(int(reset) - sent_at, 0.0), _LONGEST_WAIT_SECONDS)


def _verify(call_back: CallBack, keys: Secret) -> None:
    """ECDSA over timestamp and raw body; SendGrid's own library does not look at the age."""
    sent_at = call_back.headers.get(_TIMESTAMP, "")
    require_fresh(call_back, sent_at, CALL_BACK_AGE)
    signed = sent_at.encode() + call_back.body
    try:
        signature = base64.b64decode(call_back.headers.get(_SIGNATURE, ""), validate=True)
    except (binascii.Error, ValueError):
        signature = b""
    if not any(_signed_with(key, signature, signed) for key in keys.all()):
        message = "it was not signed with a key of ours"
        raise Forged(message)


def _signed_with(key: str, signature: bytes, signed: bytes) -> bool:
    try:
        _public_key(key).verify(signature, signed, ec.ECDSA(hashes.SHA256()))
    except InvalidSignature:
        return False
    return True


@lru_cache(maxsize=8)
def _public_key(key: str) -> ec.EllipticCurvePublicKey:
    try:
        found = load_der_public_key(base64.b64decode(key, validate=True))
    except (binascii.Error, ValueError):
        found = None
    if not isinstance(found, ec.EllipticCurvePublicKey):
        message = "sendgrid's callback_key is no public key; take the verification key of the Event Webhook's settings"
        raise SettingsError(message)
    return found


def _report(event: Mapping[str, Any], call_back: CallBack) -> Report | None:
    kind = text_of(event, "event")
    said = EVENTS.get(kind)
    if (
        said is None or event.get("sg_machine_open") is True
    ):  # a mail program that fetches all pictures is no reader
        return None
    reference = text_of(event, "sg_message_id").partition(".")[0]
    address = text_of(event, "email")
    told_id = text_of(event, "sg_event_id") or derived_id(kind, reference, address, event.get("timestamp"))
    fault = _reported_fault(kind, event)
    return Report(
        said,
        told_id,
        at_unix(event.get("timestamp"), call_back.received_at),
        our_id(event.get(CORRELATION)),
        reference or None,
        address or None,
        f"sendgrid_{kind}" if fault else None,
        fault,
    )


def _reported_fault(kind: str, event: Mapping[str, Any]) -> Fault | None:
    if kind == "dropped":
        reason = text_of(event, "reason").lower()
        return next((fault for start, fault in DROPPED.items() if reason.startswith(start)), Fault.PERMANENT)
    if kind != "bounce":
        return None
    known = BOUNCES.get(text_of(event, "bounce_classification").lower())
    if known is not None:
        return known
    passing = event.get("type") == "blocked" or text_of(event, "status").startswith("4")
    return Fault.SOFT if passing else Fault.DEAD
