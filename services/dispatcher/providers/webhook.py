"""Signed webhooks to shops' own servers, by the Standard Webhooks specification.

`webhook-id` is the message id, so that a receiver that heeds it, as the specification asks, takes a message once however
often it is handed over.
"""

from dataclasses import replace
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from services.dispatcher.providers.base import Answer, Fault, Parcel, Result, WebhookContent
from services.dispatcher.providers.config import ProviderConfig, Surroundings
from services.dispatcher.providers.http import HttpLine, Reply
from services.dispatcher.providers.outward import PublicResolver, may_be_called
from shared.clock import Clock, SystemClock
from shared.errors import SettingsError
from shared.events import Channel
from shared.secrets import Secret
from shared.webhooks import headers_for, secret_of

_CODES = {
    400: Fault.PERMANENT,
    401: Fault.SENDER,
    403: Fault.SENDER,
    404: Fault.SENDER,
    405: Fault.SENDER,
    410: Fault.SENDER,  # the specification: the receiver wants no more webhooks
    413: Fault.CONTENT,
    415: Fault.PERMANENT,
    422: Fault.PERMANENT,
    429: Fault.BUSY,
    503: Fault.PASSING,
}


class Receiver(BaseModel):
    """One shop's server. During a rotation `key` holds the new secret (`whsec_…`) in its first line, the old one below."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    url: str
    key: Secret


class WebhookConfig(ProviderConfig):
    """Where each shop takes its messages. `private_addresses` lets them lie in our own network, and without TLS."""

    kind: Literal["webhook"] = "webhook"
    receivers: Annotated[dict[str, Receiver], Field(min_length=1)]
    private_addresses: bool = False


class WebhookProvider:
    """Hands messages to the shop's own server."""

    channel = Channel.WEBHOOK
    once = True

    def __init__(self, config: WebhookConfig, here: Surroundings, clock: Clock | None = None) -> None:
        """Raise SettingsError at once where an address or a secret cannot be used."""
        del here
        self.name = config.name
        self._config = config
        self._clock = clock or SystemClock()
        for shop, receiver in config.receivers.items():
            if not config.private_addresses and not may_be_called(receiver.url):
                message = f"{config.name}: {shop}: {receiver.url} is not https on a public address; mend it, or set private_addresses"
                raise SettingsError(message)
            self._secrets(shop, receiver)
        resolver = None if config.private_addresses else PublicResolver
        self._line = HttpLine("webhook", config.timeout_seconds, config.limits.concurrency, resolver)

    async def start(self) -> None:
        """Make the session."""
        await self._line.start()

    async def close(self) -> None:
        """Close the session."""
        await self._line.close()

    async def send(self, parcel: Parcel) -> Answer:
        """Hand over one message."""
        if not isinstance(parcel.content, WebhookContent):
            message = "a webhook carries its own content only"
            raise TypeError(message)
        receiver = self._config.receivers.get(parcel.shop)
        if receiver is None:
            return Answer.of(Fault.PERMANENT, "webhook_no_receiver")
        body = parcel.content.payload
        secrets = self._secrets(parcel.shop, receiver)
        headers = headers_for(str(parcel.message_id), self._clock.machine(), body, secrets)
        reply = await self._line.request("POST", receiver.url, headers=headers, data=body)
        answer = reply if isinstance(reply, Answer) else judge(reply)
        return replace(answer, apart=answer.result is not Result.ACCEPTED and len(self._config.receivers) > 1)

    def _secrets(self, shop: str, receiver: Receiver) -> list[bytes]:
        secrets = [secret_of(line) for line in receiver.key.all()]
        found = [secret for secret in secrets if secret is not None]
        if len(found) < len(secrets):
            message = (
                f"{self.name}: {shop}: a secret is whsec_ and 24 to 64 random bytes in base64; "
                "make one with: echo whsec_$(openssl rand -base64 32)"
            )
            raise SettingsError(message)
        return found


def judge(reply: Reply) -> Answer:
    """What a receiver's status says. Any other 5xx leaves it open: it may have done its work before it failed."""
    if 200 <= reply.status < 300:  # noqa: PLR2004  HTTP's class of success
        return Answer.accepted()
    known = _CODES.get(reply.status)
    if known is None:
        known = Fault.OPEN if reply.status >= 500 else Fault.SENDER  # noqa: PLR2004  as above
    return Answer.of(known, f"webhook_{reply.status}", reply.retry_after())
