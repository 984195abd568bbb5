"""DKIM signatures (RFC 6376, RFC 8463) of messages that we write, over both List-Unsubscribe headers, as RFC 8058 asks.

Ours, because the one kept library computes RSA in Python, a hundred times slower than a message takes; tests verify ours
with that library.
"""

import base64
import hashlib
import re
from collections.abc import Callable
from datetime import datetime
from typing import Annotated

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ed25519, padding, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from pydantic import BaseModel, ConfigDict, Field

from shared.errors import SettingsError
from shared.secrets import Secret

SIGNED = (
    b"from",
    b"to",
    b"subject",
    b"date",
    b"message-id",
    b"mime-version",
    b"content-type",
    b"list-unsubscribe",
    b"list-unsubscribe-post",
)
_SPACE = re.compile(rb"[ \t]+")
_LEAST_BITS = 1024

Sign = Callable[[bytes], bytes]


class DkimConfig(BaseModel):
    """`domain` is the sender's own if absent; the key is PEM, RSA or Ed25519; its public half stands in DNS."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    selector: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9.-]{0,62}$")]
    domain: str | None = None
    key: Secret


class Signer:
    """Signs messages; the key is read again when it changed."""

    def __init__(self, config: DkimConfig) -> None:
        """Raise SettingsError at once where there is no key to sign with."""
        self._config = config
        self._lines: tuple[str, ...] = ()
        self._sign, self._algorithm = self._key()

    def signed(self, raw: bytes, sender: str, at: datetime) -> bytes:
        """`raw` with its DKIM-Signature in front; `at` is machine time."""
        sign, algorithm = self._key()
        head, _, body = raw.partition(b"\r\n\r\n")
        headers = _headers(head)
        names = [name for name in SIGNED if name in headers]
        domain = self._config.domain or sender.rpartition("@")[2]
        tags = (
            f"v=1; a={algorithm}; c=relaxed/relaxed; d={domain}; s={self._config.selector};\r\n"
            f" t={int(at.timestamp())}; h={b':'.join(names).decode()};\r\n"
            f" bh={_encoded(hashlib.sha256(_relaxed(body)).digest())};\r\n b="
        ).encode()
        unfolded = _SPACE.sub(b" ", tags.replace(b"\r\n", b""))
        canonical = b"".join(headers[name] for name in names) + b"dkim-signature:" + unfolded
        signature = "\r\n ".join(_wrapped(_encoded(sign(canonical))))
        return b"DKIM-Signature: " + tags + signature.encode() + b"\r\n" + raw

    def _key(self) -> tuple[Sign, str]:
        lines = self._config.key.all()
        if lines != self._lines:
            self._sign, self._algorithm = _load("\n".join(lines))
            self._lines = lines
        return self._sign, self._algorithm


def _load(pem: str) -> tuple[Sign, str]:
    try:
        key = load_pem_private_key(pem.encode(), None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        key = None
    if isinstance(key, rsa.RSAPrivateKey) and key.key_size >= _LEAST_BITS:
        rsa_key = key
        return lambda said: rsa_key.sign(said, padding.PKCS1v15(), SHA256()), "rsa-sha256"
    if isinstance(key, ed25519.Ed25519PrivateKey):
        ed_key = key
        return lambda said: ed_key.sign(hashlib.sha256(said).digest()), "ed25519-sha256"
    message = (
        "dkim: the key is not a PEM private key, RSA of 1024 bits or more, or Ed25519, without a password"
    )
    raise SettingsError(message)


def _headers(head: bytes) -> dict[bytes, bytes]:
    """Every header in its relaxed form, by name; of several the last, which is the one that verifiers take first."""
    found = {}
    for line in re.split(rb"\r\n(?![ \t])", head):
        name, _, value = line.partition(b":")
        name = name.strip().lower()
        value = _SPACE.sub(b" ", value.replace(b"\r\n", b"")).strip()
        found[name] = name + b":" + value + b"\r\n"
    return found


def _relaxed(body: bytes) -> bytes:
    shorter = body.replace(b"\t", b" ")
    while b"  " in shorter:  # plain replacing takes a fifth of what a pattern does
        shorter = shorter.replace(b"  ", b" ")
    shorter = shorter.replace(b" \r\n", b"\r\n").rstrip(b"\r\n")
    return shorter + b"\r\n" if shorter else b""


def _encoded(raw: bytes) -> str:
    return base64.b64encode(raw).decode()


def _wrapped(text: str) -> list[str]:
    return [text[start : start + 72] for start in range(0, len(text), 72)]
