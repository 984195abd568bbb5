"""Discount codes that we make: signed, so that who holds the secret can tell ours from any other."""

import hashlib
import hmac
from uuid import UUID

# Crockford's base 32: no letter that is read as a digit, and no U.
_SYMBOLS = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_MISREAD = str.maketrans("OIL", "011")
_GROUPS, _GROUP, _BITS = 3, 4, 5
_TURNS = 4


def made(secret: bytes, shop: str, prefix: str, message_id: UUID, turn: int = 0) -> str:
    """Return a message's code, such as `SPRING-7K3Q-ZM2W-9XBA`: 60 bits of an HMAC-SHA256 over shop, prefix and message.

    Among ten million codes of a shop the odds that any two are alike are under 1 : 20,000; then the next `turn` gives another.
    """
    said = "\x1f".join(("discount code", shop, prefix, str(message_id), str(turn)))
    digest = hmac.new(secret, said.encode(), hashlib.sha256).digest()
    number = int.from_bytes(digest[:8], "big")
    symbols = "".join(_SYMBOLS[number >> _BITS * place & 31] for place in range(_GROUPS * _GROUP))
    return "-".join((prefix, *(symbols[at : at + _GROUP] for at in range(0, len(symbols), _GROUP))))


def signed(secret: bytes, shop: str, code: str, message_id: UUID) -> bool:
    """Whether we made this code for this message of the shop."""
    prefix = code.partition("-")[0]
    return any(
        hmac.compare_digest(made(secret, shop, prefix, message_id, turn), code) for turn in range(_TURNS)
    )


def as_made(code: str) -> str:
    """Return a code as we would have written it, where a customer typed it in small letters or with O for 0."""
    prefix, dash, rest = code.strip().upper().partition("-")
    return f"{prefix}{dash}{rest.translate(_MISREAD)}"
