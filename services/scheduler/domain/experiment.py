"""Who is held out. Assignment is a hash, so it is the same on every machine and for ever."""

import hashlib

_RANGE = 2**64


def place(shop: str, customer: str, salt: str) -> float:
    """Return the customer's place in [0, 1): uniform over customers, and independent for each salt."""
    digest = hashlib.sha256(f"{shop}\x1f{customer}\x1f{salt}".encode()).digest()
    return (int.from_bytes(digest[:8], "big") >> 11) / (_RANGE >> 11)
