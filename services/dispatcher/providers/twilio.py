"""SMS through Twilio's Messages API (2010-04-01).

Twilio has no idempotency key: once a request may have left, only an answer tells, and an SMS is never sent
again blindly. Our message id travels in the StatusCallback's query (`?k=`), which Twilio signs and brings
back. Where no public URL is set there is nobody to call back, and none is asked for.
"""

import base64
from typing import Literal
from urllib.parse import quote, urlencode

from services.dispatcher.providers.base import Answer, Fault, Parcel, SmsContent
from services.dispatcher.providers.config import ProviderConfig, Surroundings
from services.dispatcher.providers.http import HttpLine, Reply
from services.dispatcher.providers.twilio_codes import CODES
from shared.events import Channel
from shared.secrets import Secret

VALIDITY_LIMIT_SECONDS = 36_000

_CREATED, _REFUSED, _UNAUTHORIZED, _FORBIDDEN, _TOO_MANY, _SERVER_FAULT = 201, 400, 401, 403, 429, 500
_WAITING = frozenset({Fault.BUSY, Fault.QUOTA})


class TwilioConfig(ProviderConfig):
    """A Twilio account. `sender` is a number in E.164, for shops without their own."""

    kind: Literal["twilio"] = "twilio"
    account: str
    token: Secret
    sender: str
    url: str = "https://api.twilio.com"


class TwilioProvider:
    """Hands SMS to Twilio."""

    channel = Channel.SMS
    once = False

    def __init__(self, config: TwilioConfig, here: Surroundings) -> None:
        self.name = config.name
        self._config = config
        account = quote(config.account, safe="")
        self._url = f"{config.url.rstrip('/')}/2010-04-01/Accounts/{account}/Messages.json"
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
            self._url,
            headers={
                "Authorization": self._authorization(),
                "Content-Type": "application/x-www-form-urlencoded",
            },
            data=urlencode(self._form(parcel)).encode(),
        )
        return reply if isinstance(reply, Answer) else judge(reply)

    def _authorization(self) -> str:
        pair = f"{self._config.account}:{self._config.token.value()}"
        return f"Basic {base64.b64encode(pair.encode()).decode()}"

    def _form(self, parcel: Parcel) -> dict[str, str]:
        if not isinstance(parcel.content, SmsContent):
            message = "Twilio carries SMS only here"
            raise TypeError(message)
        form = {
            "To": parcel.recipient,
            "From": parcel.sender or self._config.sender,
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
