"""E-mail through Resend's `POST /emails`, and its webhooks, which are signed as Svix does.

Resend takes an idempotency key and keeps it for 24 hours: the message id. The same key with the same body gives the first
answer again, so a request depends on nothing but the parcel, not even on the time. The same key with another body is
refused, which says that the first was taken. So an unanswered hand-over is settled by handing it over again.
"""

import binascii
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Literal

import orjson
from pydantic import Field
from standardwebhooks import Webhook
from standardwebhooks.webhooks import EmptyWebhookSecretError

from services.dispatcher.providers.base import (
    Answer,
    CallBack,
    Fault,
    Forged,
    Parcel,
    Report,
    Said,
    Unreadable,
)
from services.dispatcher.providers.config import ProviderConfig, Surroundings
from services.dispatcher.providers.http import Reply
from services.dispatcher.providers.mail import (
    CORRELATION,
    MailOverHttp,
    Request,
    at_iso,
    inner,
    is_one_of,
    mailbox,
    our_id,
    require_fresh,
    single,
    text_of,
    unsubscribe_headers,
)
from services.dispatcher.providers.resend_codes import (
    BOUNCES,
    EVENTS,
    FIRST_WAS_TAKEN,
    NAMES,
    STATUSES,
    SUPPRESSED,
)
from shared.errors import SettingsError
from shared.secrets import Secret

CALL_BACK_AGE = timedelta(minutes=5)
_TAKEN, _REFUSED, _UNREADABLE, _SERVER_FAULT = 200, 400, 422, 500


class ResendConfig(ProviderConfig):
    """A Resend team. `callback_key` is the webhook's signing secret (`whsec_…`)."""

    kind: Literal["resend"] = "resend"
    key: Secret
    callback_key: Annotated[Secret | None, Field(description="absent: no call-back is believed")] = None
    url: str = "https://api.resend.com"


class ResendProvider(MailOverHttp):
    """Hands e-mail to Resend, once per message id, and reads its webhooks."""

    word = "resend"
    once = True

    def __init__(self, config: ResendConfig, here: Surroundings) -> None:
        super().__init__(config, here)
        self._config = config
        self._url = f"{config.url.rstrip('/')}/emails"

    async def start(self) -> None:
        """Make the session. Raises SettingsError for keys that are none."""
        for key in self._config.callback_key.all() if self._config.callback_key else ():
            _webhook(key)
        await super().start()

    def request(self, parcel: Parcel) -> Request:
        """The same bytes for the same parcel. What Resend tracks is a setting of the domain there."""
        content = self.content(parcel)
        message = {
            "from": mailbox(content.sender_name, self.sender(parcel)),
            "to": [parcel.recipient],
            "subject": content.subject,
            "text": content.text,
            "html": content.html,
            "headers": unsubscribe_headers(content),
            "tags": [{"name": CORRELATION, "value": str(parcel.message_id)}],
        }
        headers = {
            "Authorization": f"Bearer {self._config.key.value()}",
            "Content-Type": "application/json",
            "Idempotency-Key": str(parcel.message_id),
        }
        return Request(self._url, headers, orjson.dumps(message))

    def judge(self, reply: Reply) -> Answer:
        """See `judge`."""
        return judge(reply)

    def read(self, call_back: CallBack) -> Sequence[Report]:
        """The event of one signed request. Raises Forged or Unreadable."""
        if self._config.callback_key is None:
            message = "there is no callback_key to verify it with"
            raise Forged(message)
        _verify(call_back, self._config.callback_key)
        event = single(call_back.body)
        said = EVENTS.get(text_of(event, "type"))
        return [] if said is None else [_report(said, event, call_back)]


def judge(reply: Reply) -> Answer:
    """What a reply says of the hand-over. A 5xx may have been taken; the same key settles it."""
    answer = reply.json()
    if reply.status == _TAKEN and text_of(answer, "id"):
        return Answer.accepted(text_of(answer, "id"))
    name = text_of(answer, "name")
    reason = f"resend_{name or reply.status}"
    if not _REFUSED <= reply.status < _SERVER_FAULT:
        return Answer.of(Fault.OPEN, reason)
    if name == FIRST_WAS_TAKEN:
        return Answer.accepted()
    return Answer.of(_fault(reply.status, name, text_of(answer, "message")), reason, reply.retry_after())


def _fault(status: int, name: str, message: str) -> Fault:
    if name in NAMES:
        return NAMES[name]
    if status in (_REFUSED, _UNREADABLE):
        named = {"`to`": Fault.DEAD, "`from`": Fault.SENDER, "domain is not verified": Fault.SENDER}
        return next((fault for words, fault in named.items() if words in message), Fault.PERMANENT)
    return STATUSES.get(status, Fault.PERMANENT)


def _verify(call_back: CallBack, keys: Secret) -> None:
    """Standard Webhooks, by the time at which the request came instead of the library's own clock."""
    told_id, sent_at, given = (
        call_back.headers.get(f"svix-{name}", "") for name in ("id", "timestamp", "signature")
    )
    require_fresh(call_back, sent_at, CALL_BACK_AGE)
    when = datetime.fromtimestamp(int(sent_at), UTC)
    try:
        body = call_back.body.decode()
    except UnicodeDecodeError:
        message = "the body is not UTF-8"
        raise Forged(message) from None
    expected = [_webhook(key).sign(told_id, when, body) for key in keys.all()]
    if not told_id or not any(is_one_of(expected, signature) for signature in given.split(" ")):
        message = "it was not signed with a key of ours"
        raise Forged(message)


def _webhook(key: str) -> Webhook:
    try:
        return Webhook(key)
    except (binascii.Error, EmptyWebhookSecretError, ValueError):
        message = "resend's callback_key is no signing secret; take the one of the webhook's page (whsec_…)"
        raise SettingsError(message) from None


def _report(said: Said, event: Mapping[str, Any], call_back: CallBack) -> Report:
    data = inner(event, "data")
    if not data:
        message = "an event without data"
        raise Unreadable(message)
    to = data.get("to")
    address = to[0] if isinstance(to, list) and to else to
    fault = _reported_fault(text_of(event, "type"), data)
    return Report(
        said,
        call_back.headers["svix-id"],
        at_iso(event.get("created_at"), call_back.received_at),
        our_id(inner(data, "tags").get(CORRELATION)),
        text_of(data, "email_id") or None,
        address if isinstance(address, str) else None,
        f"resend_{text_of(event, 'type').removeprefix('email.')}" if fault else None,
        fault,
    )


def _reported_fault(kind: str, data: Mapping[str, Any]) -> Fault | None:
    if kind == "email.bounced":
        bounce = inner(data, "bounce")
        told = (text_of(bounce, "type"), text_of(bounce, "subType"))
        return BOUNCES.get(told, Fault.DEAD if told[0] == "Permanent" else Fault.SOFT)
    if kind == "email.suppressed":
        return SUPPRESSED.get(text_of(inner(data, "suppressed"), "reason"), Fault.PERMANENT)
    return Fault.PERMANENT if kind == "email.failed" else None
