"""Webhooks by the Standard Webhooks specification: where each goes, what it says, and its signatures.

https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
"""

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import urlsplit

import orjson

from services.scheduler.page.store import Held
from shared.errors import SettingsError
from shared.keys import on_loopback

SETTING = "ORDERWAKE_THANK_YOU_WEBHOOKS"
_PREFIX = "whsec_"
_SHOP = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")
_SHORTEST, _LONGEST = 24, 64
_FORM = "shop, https address and one or two secrets, with spaces between: my-shop https://shop.example/hooks whsec_..."


@dataclass(frozen=True, slots=True)
class Address:
    """Where a shop is told, and the keys that sign it: during a rotation the new one and the old."""

    url: str
    secrets: tuple[bytes, ...]


def addresses_of(text: str) -> dict[str, Address]:
    """Read the setting: an entry a line, or between commas. Raises SettingsError, without repeating a secret."""
    found: dict[str, Address] = {}
    entries = filter(None, map(str.strip, re.split(r"[,\n]", text)))
    for number, entry in enumerate(entries, start=1):
        shop, address = _entry(number, entry.split())
        if shop in found:
            message = f"{SETTING}: entry {number}: {shop} has an address already; a shop has one"
            raise SettingsError(message)
        found[shop] = address
    return found


def _entry(number: int, parts: Sequence[str]) -> tuple[str, Address]:
    if not 3 <= len(parts) <= 4 or not _SHOP.fullmatch(parts[0]) or not _safe(parts[1]):  # noqa: PLR2004  shop, address, secrets
        message = f"{SETTING}: entry {number} is not {_FORM}"
        raise SettingsError(message)
    secrets = tuple(filter(None, map(_secret, parts[2:])))
    if len(secrets) < len(parts) - 2:
        message = (
            f"{SETTING}: entry {number}: a secret is whsec_ and {_SHORTEST} to {_LONGEST} random bytes in base64; "
            "make one with: echo whsec_$(openssl rand -base64 32)"
        )
        raise SettingsError(message)
    return parts[0], Address(parts[1], secrets)


def _safe(url: str) -> bool:
    """Whether nobody on the way can read along."""
    parts = urlsplit(url)
    return bool(parts.hostname) and (
        parts.scheme == "https" or (parts.scheme == "http" and on_loopback(parts.hostname or ""))
    )


def _secret(text: str) -> bytes | None:
    try:
        secret = base64.b64decode(text.removeprefix(_PREFIX), validate=True)
    except binascii.Error:
        return None
    return secret if text.startswith(_PREFIX) and _SHORTEST <= len(secret) <= _LONGEST else None


def headers_for(webhook_id: str, sent_at: datetime, body: str, secrets: Sequence[bytes]) -> Mapping[str, str]:
    """Return id, time (machine time, whole seconds) and a signature with each secret, the first one first."""
    seconds = int(sent_at.timestamp())
    return {
        "content-type": "application/json",
        "webhook-id": webhook_id,
        "webhook-timestamp": str(seconds),
        "webhook-signature": " ".join(_signature(f"{webhook_id}.{seconds}.{body}", one) for one in secrets),
    }


def _signature(signed: str, secret: bytes) -> str:
    digest = hmac.new(secret, signed.encode(), hashlib.sha256).digest()
    return f"v1,{base64.b64encode(digest).decode()}"


def accepted(offer: Held, accepted_at: datetime) -> str:
    """Return the body that tells a shop of an accepted offer. The same acceptance gives the same text."""
    said = {
        "type": "offer.accepted",
        "timestamp": accepted_at,
        "data": {
            "shop": offer.shop_id,
            "customer_id": offer.customer_id,
            "order_id": offer.order_id,
            "accepted_at": accepted_at,
            "offer": orjson.loads(offer.body),
        },
    }
    return orjson.dumps(said).decode()
