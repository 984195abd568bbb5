"""A push message by hand, from RFC 8291 and RFC 8292: the far end of tests/fakes/push.py, sharing nothing with it."""

import base64
import hmac
import json
import secrets
import time

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tests.fakes.push import subscription_keys

_SHOP = ec.derive_private_key(0x5109, ec.SECP256R1())


def b64(raw: bytes) -> str:
    """Base64url without padding."""
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def unb64(text: str) -> bytes:
    """Its inverse."""
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def point(key: ec.EllipticCurvePrivateKey) -> bytes:
    """The uncompressed public point."""
    return key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)


def pushed(origin: str, name: str, payload: bytes) -> tuple[dict[str, str], bytes]:
    """Headers and body for a subscription of the fake at `origin`."""
    keys = subscription_keys(name)
    headers = {
        "TTL": "600",
        "Urgency": "normal",
        "Content-Encoding": "aes128gcm",
        "Content-Type": "application/octet-stream",
        "Authorization": f"vapid t={token(origin)}, k={b64(point(_SHOP))}",
    }
    return headers, _sealed(payload, unb64(keys["p256dh"]), unb64(keys["auth"]))


def shop_key() -> bytes:
    """The shop's public point, which `k=` carries."""
    return point(_SHOP)


def token(origin: str, seconds: int = 3600) -> str:
    """A VAPID token that ends in `seconds`."""
    claims = {"aud": origin, "exp": int(time.time()) + seconds, "sub": "mailto:push@shop.example.com"}
    head = b64(json.dumps({"typ": "JWT", "alg": "ES256"}).encode())
    signed = f"{head}.{b64(json.dumps(claims).encode())}"
    first, second = decode_dss_signature(_SHOP.sign(signed.encode(), ec.ECDSA(hashes.SHA256())))
    return f"{signed}.{b64(first.to_bytes(32, 'big') + second.to_bytes(32, 'big'))}"


def _sealed(payload: bytes, reader: bytes, auth: bytes) -> bytes:
    sender, salt = ec.generate_private_key(ec.SECP256R1()), secrets.token_bytes(16)
    shared = sender.exchange(ec.ECDH(), ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), reader))
    key = _hkdf(auth, shared, b"WebPush: info\0" + reader + point(sender), 32)
    content_key = _hkdf(salt, key, b"Content-Encoding: aes128gcm\0", 16)
    nonce = _hkdf(salt, key, b"Content-Encoding: nonce\0", 12)
    sealed = AESGCM(content_key).encrypt(nonce, payload + b"\2", None)
    return salt + (4096).to_bytes(4, "big") + bytes([65]) + point(sender) + sealed


def _hkdf(salt: bytes, secret: bytes, info: bytes, length: int) -> bytes:
    drawn = hmac.digest(salt, secret, "sha256")
    return hmac.digest(drawn, info + b"\1", "sha256")[:length]
