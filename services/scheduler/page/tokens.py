"""Who holds an offer: a signed token that comes with it and ends when it does."""

import hashlib
from datetime import datetime
from uuid import UUID

from itsdangerous import BadSignature, Signer

_SALT = "orderwake-page-offer-v1"


class Tokens:
    """Makes and reads tokens of offers."""

    def __init__(self, secret: str) -> None:
        self._signer = Signer(secret, salt=_SALT, digest_method=hashlib.sha256)

    def make(self, offer: UUID, expires_at: datetime) -> str:
        """Return the token for an offer that can be accepted until `expires_at`."""
        return self._signer.sign(f"{offer}.{int(expires_at.timestamp())}").decode()

    def opens(self, token: str, offer: UUID) -> bool:
        """Whether a token was made for this very offer. Whether it has expired the offer itself says."""
        return self._read(token)[0] == str(offer)

    def expired(self, token: str, now: datetime) -> bool:
        """Whether a token's offer has ended at `now`."""
        return self._read(token)[1] <= now.timestamp()

    def _read(self, token: str) -> tuple[str, int]:
        try:
            offer, _, expires = self._signer.unsign(token).decode().partition(".")
        except (BadSignature, UnicodeEncodeError):
            return "", 0
        return offer, int(expires)
