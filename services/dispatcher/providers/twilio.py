"""SMS through Twilio's Messages API (2010-04-01): hand-over, call-backs, and the list of what was taken.

Twilio has no idempotency key: once a request may have left, only an answer tells, and an SMS is never sent
again blindly. Our message id travels in the StatusCallback's query (`?k=`), which Twilio signs and brings
back. Where no public URL is set there is nobody to call back, and none is asked for.

Statuses come in any order, and have no time of their own but a minute in the carrier's zone: they happened when
they came. To a person's message nothing is answered: Twilio has replied to STOP itself.
"""

import base64
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from types import MappingProxyType
from typing import Any, Literal
from urllib.parse import parse_qs, parse_qsl, quote, urlencode, urlsplit
from uuid import UUID

from services.dispatcher.domain.faults import TREATMENTS
from services.dispatcher.domain.keywords import Wish, wish
from services.dispatcher.providers.base import (
    Answer,
    CallBack,
    Fault,
    Forged,
    Parcel,
    Report,
    Result,
    Said,
    SmsContent,
    Sought,
)
from services.dispatcher.providers.config import ProviderConfig, Surroundings
from services.dispatcher.providers.http import HttpLine, Reply
from services.dispatcher.providers.inbound import wished
from services.dispatcher.providers.twilio_codes import CODES
from services.dispatcher.providers.twilio_signature import is_signed
from shared.clock import Clock, SystemClock
from shared.events import Channel
from shared.secrets import Secret

VALIDITY_LIMIT_SECONDS = 36_000
CERTAIN_AFTER = timedelta(hours=1)
"""What is not in Twilio's list so long after the hand-over was never taken: no request is under way for a fraction of it."""

_CREATED, _OK, _REFUSED, _UNAUTHORIZED, _FORBIDDEN, _TOO_MANY, _SERVER_FAULT = (
    201,
    200,
    400,
    401,
    403,
    429,
    500,
)
_WAITING = frozenset({Fault.BUSY, Fault.QUOTA})
_SLACK = timedelta(minutes=2)  # between Twilio's clock and ours
_SERVICE = re.compile(r"MG[0-9a-f]{32}")
_PAGE_SIZE, _PAGES = 200, 20
_CLOCK = SystemClock()
_STATUSES = MappingProxyType(
    {
        **dict.fromkeys(("accepted", "scheduled", "queued", "sending", "sent"), Said.TAKEN),
        "delivered": Said.DELIVERED,
        "read": Said.OPENED,
        **dict.fromkeys(("undelivered", "failed", "canceled"), Said.UNDELIVERED),
    }
)
_OPT_OUT_TYPES = MappingProxyType({"STOP": Wish.STOP, "START": Wish.START, "HELP": None})


class TwilioConfig(ProviderConfig):
    """A Twilio account. `sender` is a number in E.164 or a messaging service (`MG…`), for shops without their own."""

    kind: Literal["twilio"] = "twilio"
    account: str
    token: Secret
    sender: str
    url: str = "https://api.twilio.com"


class TwilioProvider:
    """Hands SMS to Twilio, asks what became of them, reads what it calls back."""

    channel = Channel.SMS
    once = False
    reply = ("text/xml", b'<?xml version="1.0" encoding="UTF-8"?><Response/>')

    def __init__(self, config: TwilioConfig, here: Surroundings, clock: Clock = _CLOCK) -> None:
        self.name = config.name
        self._config = config
        self._clock = clock
        self._base = config.url.rstrip("/")
        account = quote(config.account, safe="")
        self._messages = f"{self._base}/2010-04-01/Accounts/{account}/Messages"
        self._callback = here.callback_of(config.name)
        self._line = HttpLine("twilio", config.timeout_seconds, config.limits.concurrency)

    async def start(self) -> None:
        """Make the session."""
        await self._line.start()

    async def close(self) -> None:
        """Close the session."""
        await self._line.close()

    async def send(self, parcel: Parcel) -> Answer:
        """Hand over one SMS."""
        reply = await self._line.request(
            "POST",
            f"{self._messages}.json",
            headers={
                "Authorization": self._authorization(),
                "Content-Type": "application/x-www-form-urlencoded",
            },
            data=urlencode(self._form(parcel)).encode(),
        )
        return reply if isinstance(reply, Answer) else judge(reply)

    async def find(self, sought: Sought) -> Answer | None:
        """By its id where Twilio gave one, else by number, text and time among all that went to the number.

        The list is asked for by number only: what is still queued has no DateSent to choose it by. Not found counts after
        CERTAIN_AFTER, if the whole list was read, and if nothing else went to the number about then: that may be ours,
        for Twilio redacts texts where told to, and a template may have changed since. Two that fit tell nothing.
        """
        if sought.reference:
            reply = await self._get(f"{self._messages}/{quote(sought.reference, safe='')}.json")
            return became(reply.json()) if isinstance(reply, Reply) and reply.status == _OK else None
        if not sought.recipient or not sought.body:
            return None
        listed = await self._listed(sought.recipient)
        if listed is None:
            return None
        near = [each for each in listed if _is_near(each, sought.handed_over_at)]
        fitting = [each for each in near if _plain(each.get("body")) == _plain(sought.body)]
        if len(fitting) == 1:
            return became(fitting[0])
        if near or self._clock.machine() < sought.handed_over_at + CERTAIN_AFTER:
            return None
        return Answer.of(Fault.PASSING, "twilio_not_found")

    def read(self, call_back: CallBack) -> Sequence[Report]:
        """A status of ours, or a person's message."""
        fields = parse_qsl(call_back.body.decode("utf-8", "replace"), keep_blank_values=True)
        given = call_back.headers.get("x-twilio-signature", "")
        if not is_signed(self._config.token.all(), call_back.url, fields, call_back.body, given):
            message = "the signature is not Twilio's"
            raise Forged(message)
        form = dict(fields)
        status = form.get("MessageStatus") or form.get("SmsStatus", "")
        if status in _STATUSES:
            return [_status_report(status, form, call_back)]
        return _inbound_reports(form, call_back.received_at)

    async def _listed(self, recipient: str) -> list[dict[str, Any]] | None:
        """All messages to a number; None where not all could be read."""
        found: list[dict[str, Any]] = []
        following = f"{self._messages}.json?{urlencode({'To': recipient, 'PageSize': _PAGE_SIZE})}"
        for _ in range(_PAGES):
            reply = await self._get(following)
            page = reply.json() if isinstance(reply, Reply) and reply.status == _OK else {}
            if not isinstance(page.get("messages"), list):
                return None
            found += [each for each in page["messages"] if isinstance(each, dict)]
            if not page.get("next_page_uri"):
                return found
            following = f"{self._base}/{str(page['next_page_uri']).lstrip('/')}"
        return None

    async def _get(self, url: str) -> Reply | Answer:
        return await self._line.request("GET", url, headers={"Authorization": self._authorization()})

    def _authorization(self) -> str:
        pair = f"{self._config.account}:{self._config.token.value()}"
        return f"Basic {base64.b64encode(pair.encode()).decode()}"

    def _form(self, parcel: Parcel) -> dict[str, str]:
        if not isinstance(parcel.content, SmsContent):
            message = "Twilio carries SMS only here"
            raise TypeError(message)
        sender = parcel.sender or self._config.sender
        form = {
            "To": parcel.recipient,
            "MessagingServiceSid" if _SERVICE.fullmatch(sender) else "From": sender,
            "Body": parcel.content.body,
            "ValidityPeriod": str(int(min(max(parcel.valid_for, 1), VALIDITY_LIMIT_SECONDS))),
        }
        if self._callback:
            form["StatusCallback"] = f"{self._callback}?k={parcel.message_id}"
        return form


def judge(reply: Reply) -> Answer:
    """What a reply says of the hand-over. A 5xx leaves it open, whatever it says: Twilio may have queued it."""
    answer = reply.json()
    if reply.status == _CREATED:
        sid = answer.get("sid")
        return Answer.accepted(sid if isinstance(sid, str) else None)
    code = answer.get("code")
    known = CODES.get(code) if isinstance(code, int) else None
    reason = f"twilio_{code}" if isinstance(code, int) else f"twilio_http_{reply.status}"
    if reply.status == _TOO_MANY and known not in _WAITING:
        known = Fault.BUSY
    if known not in _WAITING and not _REFUSED <= reply.status < _SERVER_FAULT:
        known = Fault.OPEN  # a 2xx or 3xx that is not 201 tells nothing either
    if known is None:
        known = Fault.SENDER if reply.status in (_UNAUTHORIZED, _FORBIDDEN) else Fault.PERMANENT
    return Answer.of(known, reason, reply.retry_after())


def became(resource: Mapping[str, Any]) -> Answer:
    """What Twilio's own record of a message says. Only what `failed` has never left, and may go again by its class."""
    sid = resource.get("sid") if isinstance(resource.get("sid"), str) else None
    status = str(resource.get("status"))
    if _STATUSES.get(status) is not Said.UNDELIVERED:
        return Answer.accepted(sid)
    fault, reason = _failure(status, resource.get("error_code"))
    final = status == "failed" or TREATMENTS[fault].result is Result.REJECTED
    return Answer.of(fault if final else Fault.PERMANENT, reason, reference=sid)


def _failure(status: str, code: object) -> tuple[Fault, str]:
    """The class of a message that Twilio gave up. Where it gives no code, the handset was not reached."""
    if isinstance(code, int) or (isinstance(code, str) and code.isdecimal()):
        return CODES.get(int(code), Fault.PERMANENT), f"twilio_{code}"
    return (Fault.SOFT if status == "undelivered" else Fault.PERMANENT), f"twilio_{status}"


def _status_report(status: str, form: Mapping[str, str], call_back: CallBack) -> Report:
    said = _STATUSES[status]
    fault, reason = _failure(status, form.get("ErrorCode")) if said is Said.UNDELIVERED else (None, None)
    sid = form.get("MessageSid") or form.get("SmsSid")
    return Report(
        said=said,
        report_id=f"{sid}:{status}",
        occurred_at=call_back.received_at,
        message_id=_correlation(call_back.url),
        reference=sid,
        address=form.get("To") or None,
        reason=reason,
        fault=fault,
    )


def _inbound_reports(form: Mapping[str, str], received_at: datetime) -> list[Report]:
    """A wish to stop or start. What Twilio has recognised by itself it tells in OptOutType."""
    kind = form.get("OptOutType", "").upper()
    wanted = _OPT_OUT_TYPES[kind] if kind in _OPT_OUT_TYPES else wish(form.get("Body", ""))
    sid = form.get("MessageSid") or form.get("SmsSid")
    return wished(wanted, f"{sid}:inbound", received_at, form.get("From", ""), "twilio_inbound")


def _correlation(url: str) -> UUID | None:
    try:
        return UUID(parse_qs(urlsplit(url).query)["k"][0])
    except (KeyError, ValueError):
        return None


def _is_near(resource: Mapping[str, Any], handed_over_at: datetime) -> bool:
    """Whether it was made when we handed over. What has no time that can be read may have been."""
    try:
        made = parsedate_to_datetime(str(resource.get("date_created")))
    except ValueError:
        return True
    aware = made if made.tzinfo else made.replace(tzinfo=UTC)
    return handed_over_at - _SLACK <= aware <= handed_over_at + CERTAIN_AFTER


def _plain(body: object) -> str:
    return " ".join(body.split()) if isinstance(body, str) else ""
