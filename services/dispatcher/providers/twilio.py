"""SMS through Twilio's Messages API (2010-04-01).

Twilio has no idempotency key: once a request may have left, only an answer tells, and an SMS is never sent
again blindly. Our message id travels in the StatusCallback's query (`?k=`), which Twilio signs and brings
back. Where no public URL is set there is nobody to call back, and none is asked for.
"""

import base64
from collections.abc import Mapping
from urllib.parse import quote

import aiohttp
import orjson

from services.dispatcher.providers.base import Answer, Parcel, Result, SmsContent, ours_to_mend
from services.dispatcher.providers.twilio_codes import CODES, Action
from shared.events import Channel
from shared.settings import Settings

VALIDITY_LIMIT_SECONDS = 36_000

_CREATED, _UNAUTHORIZED, _FORBIDDEN, _TOO_MANY, _SERVER_FAULT = 201, 401, 403, 429, 500
_NO_PUBLIC_URL = Settings.model_fields["public_url"].default


class TwilioProvider:
    """Hands SMS to Twilio."""

    name = "twilio"
    channel = Channel.SMS

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        account = quote(settings.twilio_account_sid, safe="")
        self._url = f"{settings.twilio_url.rstrip('/')}/2010-04-01/Accounts/{account}/Messages.json"
        public = settings.public_url.rstrip("/")
        self._callback = None if public == _NO_PUBLIC_URL else f"{public}/callbacks/twilio"
        self._session: aiohttp.ClientSession | None = None

    async def start(self) -> None:
        """Make the session; its connections wait for the first parcel."""
        seconds = self._settings.provider_timeout_seconds
        pair = f"{self._settings.twilio_account_sid}:{self._settings.twilio_auth_token.get_secret_value()}"
        credentials = base64.b64encode(pair.encode()).decode()
        self._session = aiohttp.ClientSession(
            headers={"Authorization": f"Basic {credentials}"},
            timeout=aiohttp.ClientTimeout(total=1.5 * seconds, sock_connect=seconds, sock_read=seconds),
        )

    async def send(self, parcel: Parcel) -> Answer:
        """Hand over one SMS."""
        if self._session is None:
            message = "start() comes before send()"
            raise RuntimeError(message)
        form = self._form(parcel)
        try:
            async with self._session.post(self._url, data=form) as response:
                return judge(response.status, await response.read(), response.headers)
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError):
            return Answer(Result.NOT_TAKEN, "twilio_unreachable")
        except (aiohttp.ClientError, TimeoutError, OSError) as fault:
            lost = "timeout" if isinstance(fault, TimeoutError) else "connection_lost"
            return Answer(Result.UNKNOWN, f"twilio_{lost}")

    async def close(self) -> None:
        """Close the session."""
        if self._session is not None:
            await self._session.close()

    def _form(self, parcel: Parcel) -> dict[str, str]:
        if not isinstance(parcel.content, SmsContent):
            message = "Twilio carries SMS only here"
            raise TypeError(message)
        form = {
            "To": parcel.recipient,
            "From": self._settings.twilio_from,
            "Body": parcel.content.body,
            "ValidityPeriod": str(int(min(max(parcel.valid_for, 1), VALIDITY_LIMIT_SECONDS))),
        }
        if self._callback:
            form["StatusCallback"] = f"{self._callback}?k={parcel.message_id}"
        return form


def judge(status: int, body: bytes, headers: Mapping[str, str]) -> Answer:
    """What an HTTP answer says about the message. A 5xx leaves it open: Twilio may have queued it."""
    answer = _object(body)
    if status == _CREATED:
        return Answer(Result.ACCEPTED, reference=str(answer["sid"]) if "sid" in answer else None)
    code = answer.get("code")
    known = CODES.get(code) if isinstance(code, int) else None
    reason = f"twilio_{code}" if isinstance(code, int) else f"twilio_http_{status}"
    if status == _TOO_MANY or (known and known.action is Action.BACK_OFF):
        return Answer(
            Result.NOT_TAKEN, reason, retry_after=_wait(headers, known.wait_seconds if known else None)
        )
    if status >= _SERVER_FAULT or status < 400:  # noqa: PLR2004  a 2xx or 3xx that is not 201 tells nothing
        return Answer(Result.UNKNOWN, reason)
    if (known and known.action is Action.SENDER_AT_FAULT) or (
        known is None and status in (_UNAUTHORIZED, _FORBIDDEN)
    ):
        return ours_to_mend(reason)
    return Answer(Result.REJECTED, reason, opted_out=known is not None and known.action is Action.SUPPRESS)


def _object(body: bytes) -> dict[str, object]:
    try:
        answer = orjson.loads(body)
    except orjson.JSONDecodeError:
        return {}
    return answer if isinstance(answer, dict) else {}


def _wait(headers: Mapping[str, str], least: float | None) -> float | None:
    asked = headers.get("Retry-After", "")
    return max(float(asked) if asked.isdecimal() else 0.0, least or 0.0) or None
