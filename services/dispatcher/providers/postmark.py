"""E-mail through Postmark's `POST /email`, its search of sent messages, and its webhooks.

Postmark has no idempotency key; an unanswered hand-over is looked for among the sent messages by our message id, which
travels in the Metadata and comes back. Its webhooks are not signed: they come with the user and password that stand in the
webhook's address.
"""

import base64
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

import orjson
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
    at_iso,
    derived_id,
    inner,
    is_one_of,
    mailbox,
    our_id,
    single,
    text_of,
    unsubscribe_headers,
)
from services.dispatcher.providers.postmark_codes import (
    BOILERPLATE,
    BOUNCES,
    CODES,
    RECORDS,
    STATUSES,
    SUPPRESSIONS,
    WORDS,
)
from shared.secrets import Secret

_TAKEN, _REFUSED, _SERVER_FAULT, _UNAVAILABLE = 200, 400, 500, 503
_TIMES = ("DeliveredAt", "BouncedAt", "ReceivedAt", "ChangedAt")


class PostmarkConfig(ProviderConfig):
    """A Postmark server. `stream` is one for broadcasts: offers must not go by the transactional one."""

    kind: Literal["postmark"] = "postmark"
    key: Annotated[Secret, Field(description="the server's token")]
    callback_key: Annotated[
        Secret | None,
        Field(description="`user:password` of the webhook's address; absent: no call-back is believed"),
    ] = None
    stream: str = "broadcast"
    url: str = "https://api.postmarkapp.com"


class PostmarkProvider(MailOverHttp):
    """Hands e-mail to Postmark, finds it again, and reads its webhooks."""

    word = "postmark"

    def __init__(self, config: PostmarkConfig, here: Surroundings) -> None:
        super().__init__(config, here)
        self._config = config
        self._url = config.url.rstrip("/")

    def request(self, parcel: Parcel) -> Request:
        """Text and HTML, our own links and headers, all tracking of Postmark's off."""
        content = self.content(parcel)
        message = {
            "From": mailbox(content.sender_name, self.sender(parcel)),
            "To": parcel.recipient,
            "Subject": content.subject,
            "TextBody": content.text,
            "HtmlBody": content.html,
            "MessageStream": self._config.stream,
            "Headers": [
                {"Name": name, "Value": value} for name, value in unsubscribe_headers(content).items()
            ],
            "Metadata": {CORRELATION: str(parcel.message_id)},
            "TrackOpens": False,
            "TrackLinks": "None",
        }
        return Request(f"{self._url}/email", self._headers(), orjson.dumps(message))

    def judge(self, reply: Reply) -> Answer:
        """See `judge`."""
        return judge(reply)

    async def find(self, sought: Sought) -> Answer | None:
        """Among the sent messages. What is not there may still come: that says nothing."""
        asked = {"count": "1", "offset": "0", f"metadata_{CORRELATION}": str(sought.message_id)}
        reply = await self._line.request(
            "GET", f"{self._url}/messages/outbound", headers=self._headers(), params=asked
        )
        if isinstance(reply, Answer) or reply.status != _TAKEN:
            return None
        found = reply.json().get("Messages")
        ours = [each for each in found if _is(each, sought)] if isinstance(found, list) else []
        return Answer.accepted(text_of(ours[0], "MessageID") or None) if ours else None

    def read(self, call_back: CallBack) -> Sequence[Report]:
        """The event of one request with the right credentials. Raises Forged or Unreadable."""
        keys = self._config.callback_key.all() if self._config.callback_key else ()
        expected = [f"Basic {base64.b64encode(key.encode()).decode()}" for key in keys]
        if not is_one_of(expected, call_back.headers.get("authorization", "")):
            message = "it did not come with credentials of ours"
            raise Forged(message)
        report = _report(single(call_back.body), call_back)
        return [] if report is None else [report]

    def _headers(self) -> dict[str, str]:
        return {
            "Accept": "application/json",
            "Content-Type": "application/json",
            "X-Postmark-Server-Token": self._config.key.value(),
        }


def judge(reply: Reply) -> Answer:
    """What a reply says of the hand-over. A 5xx may have been taken, unless it says that nothing is."""
    answer = reply.json()
    code = answer.get("ErrorCode")
    if reply.status == _TAKEN and code == 0:
        return Answer.accepted(text_of(answer, "MessageID") or None)
    reason = f"postmark_{code}" if isinstance(code, int) else f"postmark_http_{reply.status}"
    known = _by_code(code, text_of(answer, "Message")) if isinstance(code, int) else None
    if reply.status == _UNAVAILABLE and known is Fault.PASSING:
        return Answer.of(known, reason, reply.retry_after())
    if not _REFUSED <= reply.status < _SERVER_FAULT:
        return Answer.of(Fault.OPEN, reason)
    return Answer.of(known or STATUSES.get(reply.status, Fault.PERMANENT), reason, reply.retry_after())


def _by_code(code: int, message: str) -> Fault | None:
    told = BOILERPLATE.sub("", message)
    for of, words, fault in WORDS:
        if of == code and words.search(told):
            return fault
    return CODES.get(code)


def _is(found: object, sought: Sought) -> bool:
    """Whether it is the message sought: a filter that the service does not know is passed over by it."""
    return isinstance(found, dict) and our_id(inner(found, "Metadata").get(CORRELATION)) == sought.message_id


def _report(event: Mapping[str, Any], call_back: CallBack) -> Report | None:
    told = _said(event)
    if told is None:
        return None
    said, fault = told
    kind, reference = text_of(event, "RecordType"), text_of(event, "MessageID")
    address = text_of(event, "Email") or text_of(event, "Recipient")
    at = next((event[name] for name in _TIMES if name in event), None)
    word = text_of(event, "Type") or text_of(event, "SuppressionReason") or kind
    return Report(
        said,
        derived_id(kind, reference, text_of(event, "ID"), at, address),
        at_iso(at, call_back.received_at),
        our_id(inner(event, "Metadata").get(CORRELATION)),
        reference or None,
        address or None,
        f"postmark_{word}" if fault else None,
        fault,
    )


def _said(event: Mapping[str, Any]) -> tuple[Said, Fault | None] | None:
    kind = text_of(event, "RecordType")
    if kind == "Bounce":
        return BOUNCES.get(text_of(event, "Type"))
    if kind == "SubscriptionChange":
        stopped = event.get("SuppressSending") is True
        return SUPPRESSIONS.get(text_of(event, "SuppressionReason")) if stopped else None
    return (RECORDS[kind], None) if kind in RECORDS else None
