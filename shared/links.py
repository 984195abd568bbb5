"""Links in messages that people click: signed, so that the address alone tells whom and what it is about.

Unsubscribe links must work by themselves, without a cookie or a page between (RFC 8058), and for as long as the message
is kept, so these never expire; nor do answers. Links to products and images pass through `/r/TOKEN`, which carries its
target and an end; a text has room for a short link `/s/CODE` only, which is looked up.
"""

import base64
import hashlib
import hmac
import struct
import zlib
from binascii import Error as BadBase64
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from urllib.parse import urlsplit
from uuid import UUID

from itsdangerous import BadSignature, URLSafeSerializer

from shared.keys import on_loopback

CODE_LENGTH = 11

_SALT = "orderwake-links-v1"
_REDIRECTS, _CODES = b"orderwake-redirects-v1", b"orderwake-short-links-v1"
_HEAD = struct.Struct(">B16sI")  # flags, message id, end in seconds since 1970
_IMAGE, _DEFLATED = 1, 2
_SIGNATURE_BYTES = 16
_PLAIN_LIMIT = 200
_LONGEST_TOKEN = 4096
_DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


@dataclass(frozen=True)
class Clicked:
    """What a signed link says. `action` is "unsubscribe", "happy" or "unhappy"; `language` the message's locale."""

    action: str
    shop: str
    customer: str
    channel: str
    message_id: str
    language: str = ""


@dataclass(frozen=True, slots=True)
class Sent:
    """The message that a link stands in."""

    message_id: UUID
    shop: str
    customer: str
    channel: str


@dataclass(frozen=True, slots=True)
class Followed:
    """What a redirecting link says. It ends at `expires_at` (business time); `image` tells a picture from a link."""

    target: str
    sent: Sent
    expires_at: datetime
    image: bool


class Links:
    """Makes and reads links under `public_url`; `short_url` is where short ones are served, if elsewhere."""

    def __init__(self, public_url: str, secret: str, short_url: str = "") -> None:
        self._base = public_url.rstrip("/")
        self._short = (short_url or public_url).rstrip("/")
        self._signer = URLSafeSerializer(secret, salt=_SALT)
        self._redirects = hmac.digest(secret.encode(), _REDIRECTS, "sha256")
        self._codes = hmac.digest(secret.encode(), _CODES, "sha256")

    def url(self, clicked: Clicked) -> str:
        """The address to put into a message: `/u/TOKEN` to unsubscribe, `/a/TOKEN` to answer."""
        parts = [clicked.action, clicked.shop, clicked.customer, clicked.channel, clicked.message_id]
        token = self._signer.dumps([*parts, clicked.language] if clicked.language else parts)
        place = "u" if clicked.action == "unsubscribe" else "a"
        return f"{self._base}/{place}/{token if isinstance(token, str) else token.decode()}"

    def read(self, token: str) -> Clicked | None:
        """What the token says, or None if it was not signed by us."""
        try:
            parts = self._signer.loads(token)
        except BadSignature:
            return None
        return Clicked(*parts)

    def redirect(self, target: str, sent: Sent, expires_at: datetime, *, image: bool = False) -> str | None:
        """`/r/TOKEN` for a target; the same for the same arguments. None if the target is not one we lead to."""
        if not leads_out(target):
            return None
        text = f"{sent.shop}\x1f{sent.customer}\x1f{sent.channel}\x1f{target}".encode()
        flags = _IMAGE if image else 0
        if len(text) > _PLAIN_LIMIT and len(packed := zlib.compress(text, 9)) < len(text):
            text, flags = packed, flags | _DEFLATED
        said = _HEAD.pack(flags, sent.message_id.bytes, int(expires_at.timestamp())) + text
        token = base64.urlsafe_b64encode(self._signature(said) + said).rstrip(b"=").decode()
        return f"{self._base}/r/{token}"

    def followed(self, token: str) -> Followed | None:
        """What a token of `/r/` says, ended or not; None if it was not signed by us."""
        if len(token) > _LONGEST_TOKEN or not token.isascii():
            return None
        try:
            raw = base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True)
        except BadBase64:
            return None
        said = raw[_SIGNATURE_BYTES:]
        if len(said) < _HEAD.size or not hmac.compare_digest(raw[:_SIGNATURE_BYTES], self._signature(said)):
            return None
        flags, message_id, ends = _HEAD.unpack_from(said)
        text = said[_HEAD.size :]
        parts = (zlib.decompress(text) if flags & _DEFLATED else text).decode().split("\x1f", 3)
        shop, customer, channel, target = parts
        sent = Sent(UUID(bytes=message_id), shop, customer, channel)
        return Followed(target, sent, datetime.fromtimestamp(ends, UTC), bool(flags & _IMAGE))

    def _signature(self, said: bytes) -> bytes:
        return hmac.digest(self._redirects, said, "sha256")[:_SIGNATURE_BYTES]

    def code(self, message_id: UUID, number: int = 0) -> str:
        """The code of a message's short link: 64 bits that nobody guesses, as letters and digits."""
        digest = hmac.digest(self._codes, message_id.bytes + number.to_bytes(2, "big"), hashlib.sha256)
        left, written = int.from_bytes(digest[:8], "big"), ""
        for _ in range(CODE_LENGTH):
            left, digit = divmod(left, len(_DIGITS))
            written = _DIGITS[digit] + written
        return written

    def short(self, code: str) -> str:
        """The address of a short link."""
        return f"{self._short}/s/{code}"


@lru_cache(maxsize=4096)
def leads_out(target: str) -> bool:
    """Whether a link may lead there: https, or this very machine, and nothing that hides the place.

    Only printable ASCII passes, as URLs are, so that a header cannot be broken by one.
    """
    if not target.isascii() or not target.isprintable() or " " in target or "\\" in target:
        return False
    try:
        parts = urlsplit(target)
        host, _ = parts.hostname, parts.port
    except ValueError:
        return False
    if not host or "@" in parts.netloc:
        return False
    return parts.scheme == "https" or (parts.scheme == "http" and on_loopback(host))
