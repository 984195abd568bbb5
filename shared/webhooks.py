"""Webhooks by the Standard Webhooks specification: secrets and signatures.

https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
"""

import base64
import binascii
import hmac
from collections.abc import Mapping, Sequence
from datetime import datetime
from urllib.parse import urlsplit

from shared.keys import on_loopback

PREFIX = "whsec_"
SHORTEST, LONGEST = 24, 64


def secret_of(text: str) -> bytes | None:
    """The key of `whsec_` and 24 to 64 random bytes in base64; None if it is not that."""
    try:
        secret = base64.b64decode(text.removeprefix(PREFIX), validate=True)
    except binascii.Error:
        return None
    return secret if text.startswith(PREFIX) and SHORTEST <= len(secret) <= LONGEST else None


def is_safe(url: str) -> bool:
    """Whether nobody on the way can read along: https, or this very machine."""
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
    except ValueError:
        return False
    return bool(host) and (parts.scheme == "https" or (parts.scheme == "http" and on_loopback(host)))


def headers_for(
    webhook_id: str, sent_at: datetime, body: str | bytes, secrets: Sequence[bytes]
) -> Mapping[str, str]:
    """Return id, time (machine time, whole seconds) and a signature with each secret, the first one first."""
    seconds = int(sent_at.timestamp())
    raw = body.encode() if isinstance(body, str) else body
    signed = f"{webhook_id}.{seconds}.".encode() + raw
    return {
        "content-type": "application/json",
        "webhook-id": webhook_id,
        "webhook-timestamp": str(seconds),
        "webhook-signature": " ".join(_signature(signed, one) for one in secrets),
    }


def _signature(signed: bytes, secret: bytes) -> str:
    return f"v1,{base64.b64encode(hmac.digest(secret, signed, 'sha256')).decode()}"
