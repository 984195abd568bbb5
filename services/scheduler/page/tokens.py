"""Who holds an offer: a signed token that comes with it and ends when it does."""

from datetime import datetime
from uuid import UUID

from itsdangerous import BadSignature, URLSafeSerializer

_SALT = "orderwake-page-offer-v1"


class Tokens:
    """Makes and reads tokens of offers."""

    def __init__(self, secret: str) -> None:
        self._signer = URLSafeSerializer(secret, salt=_SALT)

    def make(self, offer: UUID, expires_at: datetime) -> str:
        """Return the token for an offer that can be accepted until `expires_at`."""
        token = self._signer.dumps([str(offer), int(expires_at.timestamp())])
        return token if isinstance(token, str) else token.decode()

    def opens(self, token: str, offer: UUID) -> bool:
        """Whether a token was made for this very offer. Whether it has expired the offer itself says."""
        return self._read(token)[0] == str(offer)

    def expired(self, token: str, now: datetime) -> bool:
        """Whether a token's offer has ended at `now`."""
        return self._read(token)[1] <= now.timestamp()

    def _read(self, token: str) -> tuple[str, float]:
        try:
            offer, expires = self._signer.loads(token)
        except (BadSignature, ValueError, TypeError):
            return "", 0.0
        return str(offer), float(expires)
