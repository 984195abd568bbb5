"""Links in messages that people click: signed, so that the address alone tells whom and what it is about.

An unsubscribe link must work by itself, without a cookie or a page between (RFC 8058), and for as long as the
message is kept, so these never expire.
"""

from dataclasses import dataclass

from itsdangerous import BadSignature, URLSafeSerializer

_SALT = "orderwake-links-v1"


@dataclass(frozen=True)
class Clicked:
    """What a signed link says. `action` is "unsubscribe", "happy" or "unhappy"."""

    action: str
    shop: str
    customer: str
    channel: str
    message_id: str


class Links:
    """Makes and reads links under `public_url`."""

    def __init__(self, public_url: str, secret: str) -> None:
        self._base = public_url.rstrip("/")
        self._signer = URLSafeSerializer(secret, salt=_SALT)

    def url(self, clicked: Clicked) -> str:
        """The address to put into a message: `/u/TOKEN` to unsubscribe, `/a/TOKEN` to answer."""
        parts = [clicked.action, clicked.shop, clicked.customer, clicked.channel, clicked.message_id]
        token = self._signer.dumps(parts)
        place = "u" if clicked.action == "unsubscribe" else "a"
        return f"{self._base}/{place}/{token if isinstance(token, str) else token.decode()}"

    def read(self, token: str) -> Clicked | None:
        """What the token says, or None if it was not signed by us."""
        try:
            parts = self._signer.loads(token)
        except BadSignature:
            return None
        return Clicked(*parts)
