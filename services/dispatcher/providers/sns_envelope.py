"""What Amazon SNS posts to us: an envelope signed with RSA, under a certificate that lies at SNS's own address.

Source: docs.aws.amazon.com/sns, "Verifying the signatures of Amazon SNS messages". The address of the certificate
comes in the envelope itself, so it must be SNS's in the topic's own region, over TLS; the same holds for the address
that confirms a subscription. Topics are those of the configuration. Raw delivery of messages is not signed: leave it off.
"""

import base64
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import Annotated, Any

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from pydantic import Field

from services.dispatcher.providers.base import CallBack, Forged, Unverifiable
from services.dispatcher.providers.http import HttpLine, Reply
from services.dispatcher.providers.mail import at_iso, single, text_of

Topic = Annotated[str, Field(pattern=r"^arn:aws[a-z-]*:sns:[a-z0-9-]+:\d+:[A-Za-z0-9_-]+$")]
"""The ARN of a topic."""
OLDEST = timedelta(days=1)
"""SNS tries for an hour at most; what is older was kept by somebody."""
_AHEAD = timedelta(minutes=5)
_SIGNED = MappingProxyType(
    {
        "Notification": ("Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type"),
        **dict.fromkeys(
            ("SubscriptionConfirmation", "UnsubscribeConfirmation"),
            ("Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type"),
        ),
    }
)
_DIGESTS = MappingProxyType({"1": hashes.SHA1(), "2": hashes.SHA256()})  # noqa: S303  SNS's version 1 is SHA-1
_OK, _KEPT = 200, 16


@dataclass(frozen=True, slots=True)
class Notice:
    """A verified notification. `sent_at` is SNS's own time."""

    message_id: str
    message: dict[str, Any]
    sent_at: datetime


class Envelopes:
    """Opens envelopes of some topics. `stand_in` is asked in place of SNS's address, where that cannot be reached."""

    def __init__(self, topics: tuple[str, ...], line: HttpLine, stand_in: str | None = None) -> None:
        self._topics, self._line, self._stand_in = topics, line, stand_in
        self._certificates: dict[str, x509.Certificate] = {}

    async def open(self, call_back: CallBack) -> Notice | None:
        """The notification, verified; None for news of the subscription, which is confirmed here.

        Raises Forged, Unreadable, or Unverifiable while SNS's address does not answer.
        """
        envelope = single(call_back.body)
        address = self._known_address(envelope)
        sent_at = _sent_at(envelope, call_back.received_at)
        certificate = await self._certificate(address, text_of(envelope, "SigningCertURL"))
        _verify(envelope, certificate, call_back.received_at)
        if envelope["Type"] == "SubscriptionConfirmation":
            await self._confirm(address, text_of(envelope, "SubscribeURL"))
        if envelope["Type"] != "Notification":
            return None
        return Notice(text_of(envelope, "MessageId"), single(text_of(envelope, "Message").encode()), sent_at)

    def _known_address(self, envelope: dict[str, Any]) -> str:
        """SNS's address in the region of the topic, if the topic is ours and the envelope of a kind that we know."""
        topic = text_of(envelope, "TopicArn")
        if topic not in self._topics or text_of(envelope, "Type") not in _SIGNED:
            message = "it is of no topic of ours"
            raise Forged(message)
        _, partition, _, region, *_ = topic.split(":")
        return f"https://sns.{region}.amazonaws.com{'.cn' if partition == 'aws-cn' else ''}"

    async def _certificate(self, address: str, url: str) -> x509.Certificate:
        if not re.fullmatch(
            rf"{re.escape(address)}/SimpleNotificationService-[0-9A-Za-z]+\.pem", url, re.ASCII
        ):
            message = "its certificate lies elsewhere than with SNS"
            raise Forged(message)
        if url not in self._certificates:
            if len(self._certificates) >= _KEPT:
                self._certificates.clear()
            try:
                self._certificates[url] = x509.load_pem_x509_certificate(await self._fetch(address, url))
            except ValueError as error:
                message = "SNS's certificate cannot be read"
                raise Unverifiable(message) from error
        return self._certificates[url]

    async def _confirm(self, address: str, url: str) -> None:
        if not re.fullmatch(rf"{re.escape(address)}/\?Action=ConfirmSubscription&[!-~]+", url, re.ASCII):
            message = "its subscription is confirmed elsewhere than with SNS"
            raise Forged(message)
        await self._fetch(address, url)

    async def _fetch(self, address: str, url: str) -> bytes:
        asked = url if self._stand_in is None else self._stand_in.rstrip("/") + url.removeprefix(address)
        reply = await self._line.request("GET", asked)
        if isinstance(reply, Reply) and reply.status == _OK:
            return reply.body
        message = "SNS's address does not answer"
        raise Unverifiable(message)


def signed_text(envelope: dict[str, Any]) -> bytes:
    """What SNS signs: names and values in order, each on a line of its own; of these only the subject may be missing.

    Raises Forged where a value holds a line's end that could hide another name.
    """
    names = [name for name in _SIGNED[envelope["Type"]] if name in envelope or name != "Subject"]
    values = [envelope.get(name) for name in names]
    if any(not isinstance(value, str) for value in values) or any("\n" in str(value) for value in values[1:]):
        message = "it lacks what SNS signs"
        raise Forged(message)
    return "".join(f"{name}\n{value}\n" for name, value in zip(names, values, strict=True)).encode()


def _sent_at(envelope: dict[str, Any], received_at: datetime) -> datetime:
    sent_at = at_iso(envelope.get("Timestamp"), datetime.min.replace(tzinfo=UTC))
    if not -_AHEAD <= received_at - sent_at <= OLDEST:
        message = "it is too old, or of a time to come"
        raise Forged(message)
    return sent_at


def _verify(envelope: dict[str, Any], certificate: x509.Certificate, at: datetime) -> None:
    key, digest = certificate.public_key(), _DIGESTS.get(text_of(envelope, "SignatureVersion"))
    in_force = certificate.not_valid_before_utc <= at <= certificate.not_valid_after_utc
    if digest is None or not in_force or not isinstance(key, rsa.RSAPublicKey):
        message = "its signature is of no kind that SNS makes"
        raise Forged(message)
    try:
        given = base64.b64decode(text_of(envelope, "Signature"), validate=True)
        key.verify(given, signed_text(envelope), padding.PKCS1v15(), digest)
    except (InvalidSignature, ValueError) as error:
        message = "the signature is not SNS's"
        raise Forged(message) from error
