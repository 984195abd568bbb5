"""What Amazon SNS posts to an HTTP endpoint: an envelope signed with RSA, under a certificate made here."""

import base64
import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from tests.fakes.aws_signing import REGION
from tests.fakes.callbacks import CallBack

TOPIC = f"arn:aws:sns:{REGION}:123456789012:orderwake-events"
CERTIFICATE_PATH = "/SimpleNotificationService-0123456789abcdef0123456789abcdef.pem"
AMAZON = f"https://sns.{REGION}.amazonaws.com"
_NOTIFICATION = ("Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type")
_CONFIRMATION = ("Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type")


@cache
def _key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


@cache
def certificate() -> bytes:
    """The certificate of the key that signs, as PEM."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "sns.amazonaws.com")])
    start = datetime(2026, 1, 1, tzinfo=UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(_key().public_key())
        .serial_number(1)
        .not_valid_before(start)
        .not_valid_after(start + timedelta(days=3650))
        .sign(_key(), hashes.SHA256())
        .public_bytes(Encoding.PEM)
    )


@dataclass(frozen=True)
class Envelope:
    """How a topic signs: `version` 1 is SHA-1, as SNS does by default, 2 is SHA-256."""

    version: str = "1"
    topic: str = TOPIC
    certificate_url: str = AMAZON + CERTIFICATE_PATH

    def notification(self, message_id: str, message: str, at: datetime) -> dict[str, str]:
        """A message, still without signature."""
        return self._common("Notification", message_id, message, at)

    def confirmation(self, message_id: str, token: str, subscribe_url: str, at: datetime) -> dict[str, str]:
        """What SNS asks before anything else."""
        told = "You have chosen to subscribe. To confirm, visit the SubscribeURL included in this message."
        return {
            **self._common("SubscriptionConfirmation", message_id, told, at),
            "Token": token,
            "SubscribeURL": subscribe_url,
        }

    def post(self, url: str, told: dict[str, str]) -> CallBack:
        """The signed request."""
        names = _NOTIFICATION if told["Type"] == "Notification" else _CONFIRMATION
        signed = "".join(f"{name}\n{told[name]}\n" for name in names if name in told).encode()
        digest = hashes.SHA1() if self.version == "1" else hashes.SHA256()  # noqa: S303  SNS's version 1 is SHA-1
        signature = _key().sign(signed, padding.PKCS1v15(), digest)
        body: dict[str, Any] = {
            **told,
            "SignatureVersion": self.version,
            "Signature": base64.b64encode(signature).decode(),
            "SigningCertURL": self.certificate_url,
        }
        headers = {
            "Content-Type": "text/plain; charset=UTF-8",
            "User-Agent": "Amazon Simple Notification Service Agent",
            "x-amz-sns-message-type": told["Type"],
            "x-amz-sns-message-id": told["MessageId"],
            "x-amz-sns-topic-arn": self.topic,
        }
        return CallBack(url, headers, json.dumps(body).encode())

    def _common(self, kind: str, message_id: str, message: str, at: datetime) -> dict[str, str]:
        return {
            "Type": kind,
            "MessageId": message_id,
            "TopicArn": self.topic,
            "Message": message,
            "Timestamp": at.strftime("%Y-%m-%dT%H:%M:%S.") + f"{at.microsecond // 1000:03d}Z",
        }
