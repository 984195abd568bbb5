"""What shops are told of accepted offers, and where, by the Standard Webhooks specification (shared/webhooks.py)."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import orjson

from services.scheduler.page.store import Held
from shared.errors import SettingsError
from shared.webhooks import LONGEST, SHORTEST, is_safe, secret_of

SETTING = "ORDERWAKE_THANK_YOU_WEBHOOKS"
_SHOP = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")
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
    if not 3 <= len(parts) <= 4 or not _SHOP.fullmatch(parts[0]) or not is_safe(parts[1]):  # noqa: PLR2004  shop, address, secrets
        message = f"{SETTING}: entry {number} is not {_FORM}"
        raise SettingsError(message)
    secrets = tuple(filter(None, map(secret_of, parts[2:])))
    if len(secrets) < len(parts) - 2:
        message = (
            f"{SETTING}: entry {number}: a secret is whsec_ and {SHORTEST} to {LONGEST} random bytes in base64; "
            "make one with: echo whsec_$(openssl rand -base64 32)"
        )
        raise SettingsError(message)
    return parts[0], Address(parts[1], secrets)


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
