"""Web push (RFC 8030): payloads encrypted for one browser (RFC 8291), requests signed with our VAPID key (RFC 8292).

pywebpush encrypts and py-vapid signs; its own sending opens a session for every message, so requests go through ours.
The message id is the Topic: handed over again, a notification that still waits is replaced, and the payload's `id` lets
the page's service worker show it once.
"""

import base64
import binascii
import re
from dataclasses import replace
from datetime import timedelta
from typing import Annotated, Literal
from urllib.parse import urlsplit

import orjson
from py_vapid import Vapid02, VapidException  # type: ignore[import-untyped]  # it has no types
from pydantic import Field, ValidationError
from pywebpush import WebPusher, WebPushException

from services.dispatcher.providers.base import Answer, Fault, Parcel, PushContent
from services.dispatcher.providers.config import ProviderConfig, Surroundings
from services.dispatcher.providers.http import HttpLine, Reply
from services.dispatcher.providers.outward import PublicResolver, may_be_called
from shared.clock import Clock, SystemClock
from shared.errors import SettingsError
from shared.events import Channel, PushSubscription
from shared.secrets import Secret

LONGEST_TTL_SECONDS = 2_419_200
LARGEST_PAYLOAD = 3993  # RFC 8291: one record of 4,096 bytes
TOKEN_LIFE = timedelta(hours=12)
TOKEN_RENEWED = timedelta(hours=6)

_SERVICES = re.compile(
    r"fcm\.googleapis\.com|([a-z0-9-]+\.)*(push\.services\.mozilla\.com|push\.apple\.com|notify\.windows\.com)"
)
_CODES = {
    400: Fault.PERMANENT,
    401: Fault.SENDER,
    403: Fault.SENDER,
    404: Fault.DEAD,
    410: Fault.DEAD,
    413: Fault.CONTENT,
    429: Fault.BUSY,
    503: Fault.PASSING,  # RFC 9110: not able to handle the request for now
}


class PushConfig(ProviderConfig):
    """Our VAPID key (PEM, or the 32 bytes in base64url) and whom push services may write to about it.

    `private_addresses` lets subscriptions lead into our own network, and without TLS: for tests only.
    """

    kind: Literal["push"] = "push"
    key: Secret
    contact: Annotated[str, Field(pattern=r"^(mailto:[^@\s]+@[^@\s]+|https://\S+)$")]
    urgency: Literal["very-low", "low", "normal", "high"] = "normal"
    private_addresses: bool = False


class PushProvider:
    """Hands notifications to the push service of each browser."""

    channel = Channel.PUSH
    once = False

    def __init__(self, config: PushConfig, here: Surroundings, clock: Clock | None = None) -> None:
        """Raise SettingsError at once where the key cannot sign."""
        del here
        self.name = config.name
        self._config = config
        self._clock = clock or SystemClock()
        self._key = ""
        self._tokens: dict[str, tuple[float, str]] = {}
        self._vapid = self._signer()
        resolver = None if config.private_addresses else PublicResolver
        self._line = HttpLine("push", config.timeout_seconds, config.limits.concurrency, resolver)

    async def start(self) -> None:
        """Make the session."""
        await self._line.start()

    async def close(self) -> None:
        """Close the session."""
        await self._line.close()

    async def send(self, parcel: Parcel) -> Answer:
        """Hand over one notification."""
        try:
            browser = PushSubscription.model_validate_json(parcel.recipient)
        except ValidationError:
            return Answer.of(Fault.DEAD, "push_no_subscription")
        if not self._config.private_addresses and not may_be_called(browser.endpoint):
            return Answer.of(Fault.PERMANENT, "push_private_address")
        try:
            body = _encrypted(browser, parcel)
        except (WebPushException, ValueError, binascii.Error):
            return Answer.of(Fault.DEAD, "push_bad_keys")
        if body is None:
            return Answer.of(Fault.CONTENT, "push_too_large")
        headers = {
            "Authorization": self._authorization(browser.endpoint),
            "Content-Encoding": "aes128gcm",
            "Content-Type": "application/octet-stream",
            "TTL": str(int(min(max(parcel.valid_for, 0), LONGEST_TTL_SECONDS))),
            "Topic": base64.urlsafe_b64encode(parcel.message_id.bytes).rstrip(b"=").decode(),
            "Urgency": self._config.urgency,
        }
        reply = await self._line.request("POST", browser.endpoint, headers=headers, data=body)
        answer = reply if isinstance(reply, Answer) else judge(reply)
        return replace(answer, apart=not (self._config.private_addresses or is_known(browser.endpoint)))

    def _authorization(self, endpoint: str) -> str:
        """A token for the push service, kept for half its life: a signature takes longer than all the rest."""
        parts = urlsplit(endpoint)
        audience, now = f"{parts.scheme}://{parts.netloc}", self._clock.machine().timestamp()
        signer = self._signer()
        kept = self._tokens.get(audience)
        if kept is None or kept[0] < now:
            claims = {
                "aud": audience,
                "exp": int(now + TOKEN_LIFE.total_seconds()),
                "sub": self._config.contact,
            }
            if len(self._tokens) > 1000:  # noqa: PLR2004  push services are few; endpoints are what strangers say
                self._tokens.clear()
            kept = (now + TOKEN_RENEWED.total_seconds(), signer.sign(claims)["Authorization"])
            self._tokens[audience] = kept
        return kept[1]

    def _signer(self) -> Vapid02:
        """The key, read again when it changed; tokens of another are of no use."""
        text = "\n".join(self._config.key.all())
        if text != self._key:
            self._vapid, self._key, self._tokens = _loaded(text, self.name), text, {}
        return self._vapid


def _loaded(text: str, name: str) -> Vapid02:
    try:
        return Vapid02.from_pem(text.encode()) if "BEGIN" in text else Vapid02.from_string(text)
    except (ValueError, TypeError, VapidException) as error:
        message = (
            f"{name}: the key is no VAPID key; make one with: openssl ecparam -name prime256v1 -genkey -noout"
        )
        raise SettingsError(message) from error


def is_known(endpoint: str) -> bool:
    """Whether it is one of the browsers' own push services; any other is a stranger's server."""
    return _SERVICES.fullmatch(urlsplit(endpoint).hostname or "") is not None


def judge(reply: Reply) -> Answer:
    """What a push service's status says; other 5xx leave it open, and nobody can be asked."""
    if reply.status in (200, 201, 202, 204):
        return Answer.accepted(reply.headers.get("Location", "").rpartition("/")[2] or None)
    known = _CODES.get(reply.status)
    if known is None:
        known = Fault.PERMANENT if 300 <= reply.status < 500 else Fault.OPEN  # noqa: PLR2004  HTTP's classes
    return Answer.of(known, f"push_{reply.status}", reply.retry_after())


def _encrypted(browser: PushSubscription, parcel: Parcel) -> bytes | None:
    content = parcel.content
    if not isinstance(content, PushContent):
        message = "web push carries notifications only"
        raise TypeError(message)
    payload = orjson.dumps(
        {"id": str(parcel.message_id), "title": content.title, "body": content.body, "url": content.url}
    )
    if len(payload) > LARGEST_PAYLOAD:
        return None
    body: bytes = WebPusher(browser.model_dump()).encode(payload)["body"]
    return body
