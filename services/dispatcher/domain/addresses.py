"""Addresses as the ledger keeps them: hashes that cannot be turned back without the deployment's salt."""

import hashlib
import hmac
import unicodedata

from shared.events import Channel

_BYTES = 16


def address_hash(salt: bytes, channel: Channel, address: str) -> bytes:
    """HMAC-SHA256, cut to 16 bytes. E-mail is the same in any case, a number with or without plus and spaces."""
    normal = unicodedata.normalize("NFC", address.strip())
    if channel is Channel.EMAIL:
        normal = normal.casefold()
    elif channel is Channel.SMS:
        normal = "".join(letter for letter in normal if letter.isdecimal())
    return hmac.digest(salt, f"address\x1f{channel}\x1f{normal}".encode(), hashlib.sha256)[:_BYTES]
