"""A push service (RFC 8030) and the browser behind it: checks VAPID (RFC 8292), decrypts aes128gcm (RFC 8291).

What no push service would tell (a payload that the browser cannot decrypt) is a violation. No call-backs: push
services send none. Written from the RFCs, independent of the library that encrypts.
"""

import base64
import binascii
import hashlib
import hmac
import json
import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any, ClassVar
from uuid import NAMESPACE_URL, UUID, uuid5

from aiohttp import web
from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tests.fakes.asking import Accepted, Ask, Refusal, correlation
from tests.fakes.core import HttpFake

_CURVE = ec.SECP256R1()
_LARGEST_BODY = 4096
_LONGEST_TOKEN = timedelta(hours=24)
_HEADER = re.compile(r"vapid t=(?P<token>[\w.-]+),\s*k=(?P<key>[\w-]+)")


class Undecipherable(Exception):  # noqa: N818  it is no error of ours
    """The browser could not decrypt a payload."""


@dataclass(frozen=True)
class Browser:
    """The keys of one subscription."""

    private: ec.EllipticCurvePrivateKey
    auth: bytes

    @property
    def public(self) -> bytes:
        """The uncompressed point."""
        return self.private.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)

    def decrypt(self, body: bytes) -> bytes:
        """The payload of one aes128gcm record. Raises Undecipherable."""
        salt, size, key_length = (
            body[:16],
            int.from_bytes(body[16:20], "big"),
            body[20] if len(body) > 20 else 0,
        )
        sender, sealed = body[21 : 21 + key_length], body[21 + key_length :]
        if size < len(sealed):
            message = f"the record size is {size}, and {len(sealed)} bytes follow"
            raise Undecipherable(message)
        try:
            shared = self.private.exchange(
                ec.ECDH(), ec.EllipticCurvePublicKey.from_encoded_point(_CURVE, sender)
            )
            key = _expand(hmac.digest(self.auth, shared, "sha256"), b"WebPush: info\0" + self.public + sender)
            secret = hmac.digest(salt, key, "sha256")
            content_key = _expand(secret, b"Content-Encoding: aes128gcm\0")[:16]
            nonce = _expand(secret, b"Content-Encoding: nonce\0")[:12]
            padded = AESGCM(content_key).decrypt(nonce, sealed, None).rstrip(b"\0")
        except (InvalidTag, ValueError) as fault:
            message = f"the payload is not for this subscription: {fault!r}"
            raise Undecipherable(message) from fault
        if not padded.endswith(b"\2"):
            message = "the last record does not end with its delimiter"
            raise Undecipherable(message)
        return padded[:-1]


class FakePush(HttpFake):
    """Subscriptions by any name; each name has keys of its own, the same in every run.

    `application_key` is the only one that may push; the first that does, unless it is set. Names in `gone` are 410.
    """

    kind = "push"
    refusals: ClassVar = {
        "400": Refusal(400, "Bad Request"),
        "401": Refusal(401, "Unauthorized"),
        "403": Refusal(403, "the key in the authorization header does not correspond to the subscription"),
        "404": Refusal(404, "Not Found"),
        "410": Refusal(410, "push subscription has unsubscribed or expired."),
        "413": Refusal(413, "Payload Too Large"),
        "429": Refusal(429, "Too Many Requests", {"Retry-After": "1"}),
        "500": Refusal(500, "Internal Server Error"),
        "503": Refusal(503, "Service Unavailable", {"Retry-After": "1"}),
    }
    application_key = ""

    @cached_property
    def gone(self) -> set[str]:
        """Subscriptions that ended."""
        return set()

    @property
    def checked(self) -> bool:
        """The RFCs are here as code."""
        return self.check

    def subscription(self, name: str) -> dict[str, Any]:
        """What a browser hands to the shop: PushSubscription.toJSON()."""
        return {
            "endpoint": f"{self.url}/push/{name}",
            "expirationTime": None,
            "keys": subscription_keys(name),
        }

    def routes(self) -> list[web.RouteDef]:
        """The push resource, and its subscription for those who run this as a process."""
        return [web.post("/push/{name}", self.send), web.get("/subscriptions/{name}", self._subscription)]

    def found_wrong(self, ask: Ask) -> list[str]:
        """Headers and payload, as the RFCs have them."""
        if not self.check or ask.request.method != "POST":
            return []
        wrong = []
        if not ask.header("TTL").isdecimal():
            wrong.append("TTL is missing or no number of seconds")
        if not re.fullmatch(r"[\w-]{0,32}", ask.header("Topic"), re.ASCII):
            wrong.append("Topic is longer than 32 characters of base64url")
        if ask.header("Urgency") not in ("", "very-low", "low", "normal", "high"):
            wrong.append(f"Urgency is {ask.header('Urgency')}")
        if ask.header("Content-Encoding") != "aes128gcm":
            wrong.append("Content-Encoding is not aes128gcm")
        unsigned = self._unsigned(ask)
        if unsigned is not None:
            wrong.append(unsigned)
        try:
            _browser(ask.request.match_info["name"]).decrypt(ask.body)
        except Undecipherable as fault:
            wrong.append(str(fault))
        return wrong

    def refuse(self, ask: Ask) -> Refusal | None:
        """TTL, key, size, and whether the subscription is still there."""
        if not ask.header("TTL").isdecimal():
            return self.refusals["400"]
        if self._unsigned(ask) is not None:
            return self.refusals["403" if _HEADER.fullmatch(ask.header("Authorization")) else "401"]
        if len(ask.body) > _LARGEST_BODY:
            return self.refusals["413"]
        return self.refusals["410"] if ask.request.match_info["name"] in self.gone else None

    def accept(self, ask: Ask) -> Accepted:
        """201 with the address of the message."""
        name = ask.request.match_info["name"]
        reference = str(uuid5(NAMESPACE_URL, f"push/{len(self.entries)}"))
        try:
            payload = _browser(name).decrypt(ask.body).decode()
        except (Undecipherable, UnicodeDecodeError):
            payload = ""
        entry = {
            "reference": reference,
            "to": name,
            "k": correlation(_members(payload)) or _of_topic(ask.header("Topic")),
            "payload": payload,
            "ttl": ask.header("TTL"),
            "topic": ask.header("Topic"),
            "urgency": ask.header("Urgency"),
        }
        headers = {"Location": f"{self.url}/message/{reference}"}
        return Accepted(web.Response(status=201, headers=headers), entry)

    def _unsigned(self, ask: Ask) -> str | None:
        """What is wrong with the VAPID header, if anything."""
        found = _HEADER.fullmatch(ask.header("Authorization"))
        if found is None:
            return "the Authorization header is not `vapid t=…, k=…`"
        wrong = wrong_token(found["token"], found["key"], self.url, self.clock())
        if wrong is None:
            self.application_key = self.application_key or found["key"]
            if found["key"] != self.application_key:
                wrong = "the key is not the one of the subscription"
        return wrong

    async def _subscription(self, request: web.Request) -> web.Response:
        return web.json_response(self.subscription(request.match_info["name"]))


def wrong_token(token: str, key: str, origin: str, now: datetime) -> str | None:
    """What is wrong with a VAPID token for a push service at `origin`, if anything."""
    try:
        head, claims = (json.loads(_unb64(part)) for part in token.split(".")[:2])
        public = ec.EllipticCurvePublicKey.from_encoded_point(_CURVE, _unb64(key))
        raw = _unb64(token.rpartition(".")[2])
        halves = int.from_bytes(raw[:32], "big"), int.from_bytes(raw[32:], "big")
        signed = token.rpartition(".")[0].encode()
        public.verify(encode_dss_signature(*halves), signed, ec.ECDSA(hashes.SHA256()))
    except (ValueError, binascii.Error, InvalidSignature) as fault:
        return f"the VAPID token does not verify: {fault!r}"
    left = claims.get("exp", 0) - now.timestamp()
    rules = {
        "alg is not ES256": head.get("alg") == "ES256",
        f"aud is not {origin}": claims.get("aud") == origin,
        "exp is past, or more than 24 hours ahead": 0 < left <= _LONGEST_TOKEN.total_seconds(),
        "sub is no mailto: or https: address": claims.get("sub", "").startswith(("mailto:", "https://")),
    }
    return next((wrong for wrong, right in rules.items() if not right), None)


def subscription_keys(name: str) -> dict[str, str]:
    """The public half of a subscription's keys, as browsers hand it out."""
    browser = _browser(name)
    return {"p256dh": _b64(browser.public), "auth": _b64(browser.auth)}


def _browser(name: str) -> Browser:
    seed = hashlib.sha256(f"subscription {name}".encode()).digest()
    return Browser(ec.derive_private_key(int.from_bytes(seed[:31], "big"), _CURVE), seed[16:])


def _expand(secret: bytes, info: bytes) -> bytes:
    """HKDF-Expand of one block."""
    return hmac.digest(secret, info + b"\1", "sha256")


def _of_topic(topic: str) -> str:
    """A UUID that travels as a topic: at most 32 characters of base64url, so its hex or its bytes."""
    try:
        return str(UUID(topic)) if len(topic) == 32 else str(UUID(bytes=_unb64(topic)))
    except ValueError:
        return ""


def _members(payload: str) -> dict[str, Any]:
    try:
        found = json.loads(payload)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _b64(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def _unb64(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
