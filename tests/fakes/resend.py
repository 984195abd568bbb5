"""Resend's `POST /emails` with Idempotency-Key, `GET /emails/{id}`, and webhooks signed as Svix does.

Checked against Resend's published document. A key is remembered for 24 hours: the same request gives the first
id, another one 409. The names of errors are from Resend's documentation.
"""

import base64
import hashlib
import hmac
import itertools
import json
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any, ClassVar
from uuid import NAMESPACE_URL, uuid5

from aiohttp import web

from tests.fakes.asking import Accepted, Ask, Refusal, correlation
from tests.fakes.callbacks import CallBack
from tests.fakes.core import Entry, HttpFake

KEY = "re_fake_key"
CALLBACK_KEY = "whsec_" + base64.b64encode(b"a fake's signing key of 32 bytes").decode()
_KEPT = timedelta(hours=24)
_LIMIT = {"ratelimit-limit": "2", "ratelimit-remaining": "0", "ratelimit-reset": "1", "retry-after": "1"}
_LONGEST_KEY = 256


def _error(status: int, name: str, message: str, headers: dict[str, str] | None = None) -> Refusal:
    return Refusal(status, {"statusCode": status, "name": name, "message": message}, headers or {})


class FakeResend(HttpFake):
    """One team with one key."""

    kind = "resend"
    specification = "resend.yaml"
    drops = True
    refusals: ClassVar = {
        "429": _error(429, "rate_limit_exceeded", "Too many requests.", _LIMIT),
        "quota": _error(429, "daily_quota_exceeded", "You have reached your daily email sending quota."),
        "quota_month": _error(429, "monthly_quota_exceeded", "You have reached your monthly quota."),
        "400": _error(400, "validation_error", "We found an error with one or more fields."),
        "401": _error(401, "missing_api_key", "Missing API key in the authorization header."),
        "401_restricted": _error(401, "restricted_api_key", "This API key is restricted."),
        "403": _error(403, "invalid_api_key", "API key is invalid."),
        "403_domain": _error(403, "validation_error", "The example.com domain is not verified."),
        "404": _error(404, "not_found", "The requested endpoint does not exist."),
        "405": _error(405, "method_not_allowed", "Method is not allowed for the requested path."),
        "409": _error(409, "concurrent_idempotent_requests", "Same key while the first is in progress."),
        "422": _error(422, "validation_error", "Invalid `to` field."),
        "422_from": _error(422, "invalid_from_address", "Invalid `from` field."),
        "451": _error(451, "security_error", "We may have found a security issue with the request."),
        "500": _error(500, "internal_server_error", "An unexpected error occurred."),
        "503": Refusal(503, "Service Unavailable"),
    }

    _indexed = 0

    @cached_property
    def _by_key(self) -> dict[str, Entry]:
        return {}

    @property
    def credentials(self) -> dict[str, str]:
        """`key` to send, `callback_key` to verify call-backs."""
        return {"key": KEY, "callback_key": CALLBACK_KEY}

    def routes(self) -> list[web.RouteDef]:
        """Sending and asking."""
        return [web.post("/emails", self.send), web.get("/emails/{id}", self._get)]

    def refuse(self, ask: Ask) -> Refusal | None:
        """Key, key of idempotency, then content."""
        if not ask.header("Authorization"):
            return self.refusals["401"]
        if ask.header("Authorization") != f"Bearer {KEY}":
            return self.refusals["403"]
        key = ask.header("Idempotency-Key")
        if len(key) > _LONGEST_KEY:
            return _error(400, "invalid_idempotency_key", "The key must be between 1-256 chars.")
        first = self._first(key)
        if first is not None and first["digest"] != _digest(ask.body):
            return _error(409, "invalid_idempotent_request", "Same idempotency key, another payload.")
        missing = next((name for name in ("from", "to", "subject") if not ask.json.get(name)), None)
        if missing is None and not (ask.json.get("html") or ask.json.get("text")):
            missing = "html` or `text"
        return _error(422, "missing_required_field", f"Missing `{missing}` field.") if missing else None

    def accept(self, ask: Ask) -> Accepted:
        """200 with the id; with a key that was seen, the first id and nothing more."""
        key = ask.header("Idempotency-Key")
        first = self._first(key)
        if first is not None:
            return Accepted(web.json_response({"id": first["reference"]}), None)
        message = ask.json
        reference = str(uuid5(NAMESPACE_URL, f"resend/{len(self.entries)}"))
        to = message["to"]
        tags = {tag["name"]: tag["value"] for tag in message.get("tags", [])}
        entry = {
            "reference": reference,
            "to": (to if isinstance(to, str) else to[0]).lower(),
            "k": correlation({**tags, "key": key}),
            "key": key,
            "digest": _digest(ask.body),
            "accepted_at": self.clock().isoformat(),
            "from": message["from"],
            "subject": message["subject"],
            "tags": tags,
            "headers": message.get("headers", {}),
        }
        return Accepted(web.json_response({"id": reference}), entry)

    def report(self, entry: Entry, event: str, detail: str) -> dict[str, Any] | None:
        """The body of a webhook and its id, which stays when it is told again."""
        del detail
        kind, more = _EVENTS.get(event, (None, {}))
        if kind is None:
            return None
        body = {
            "type": kind,
            "created_at": self.clock().isoformat(),
            "data": {
                "email_id": entry["reference"],
                "created_at": entry["accepted_at"],
                "from": entry["from"],
                "to": [entry["to"]],
                "subject": entry["subject"],
                "tags": entry["tags"],
                **more,
            },
        }
        digest = hashlib.sha256(f"{entry['reference']} {event}".encode()).hexdigest()
        return {"id": f"msg_{digest[:27]}", "body": body}

    def sign(self, entry: Entry, payload: Any) -> CallBack:  # noqa: ANN401  the provider's shape
        """Svix: HMAC-SHA256 over id, time and body."""
        del entry
        body = json.dumps(payload["body"], separators=(",", ":")).encode()
        timestamp = str(int(self.clock().timestamp()))
        key = base64.b64decode(CALLBACK_KEY.removeprefix("whsec_"))
        signed = f"{payload['id']}.{timestamp}.".encode() + body
        signature = base64.b64encode(hmac.digest(key, signed, "sha256")).decode()
        headers = {
            "Content-Type": "application/json",
            "User-Agent": "Svix-Webhooks/1.24.0",
            "svix-id": payload["id"],
            "svix-timestamp": timestamp,
            "svix-signature": f"v1,{signature}",
        }
        return CallBack(self.callback_url, headers, body)

    def happened(self, entry: Entry, event: str, detail: str) -> None:
        """What GET tells as the last event."""
        super().happened(entry, event, detail)
        kind, _ = _EVENTS.get(event, (None, {}))
        if kind is not None:
            entry["last_event"] = kind.removeprefix("email.")

    def _first(self, key: str) -> Entry | None:
        """The message that was accepted with a key in the last 24 hours."""
        if not key:
            return None
        for entry in itertools.islice(self.entries.values(), self._indexed, None):
            self._by_key[entry["key"]] = entry
        self._indexed = len(self.entries)
        found = self._by_key.get(key)
        if found is None or self.clock() - datetime.fromisoformat(found["accepted_at"]) >= _KEPT:
            return None
        return found

    async def _get(self, request: web.Request) -> web.StreamResponse:
        ask = await self.read(request)
        if ask.header("Authorization") != f"Bearer {KEY}":
            return self.refusals["403"].response()
        entry = self.entries.get(request.match_info["id"])
        if entry is None:
            return _error(404, "not_found", "Email not found").response()
        return await self.found(
            {
                "object": "email",
                "id": entry["reference"],
                "to": [entry["to"]],
                "from": entry["from"],
                "created_at": entry["accepted_at"],
                "subject": entry["subject"],
                "last_event": entry.get("last_event", "sent"),
                "tags": [{"name": name, "value": value} for name, value in entry["tags"].items()],
            }
        )


def _digest(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()


_MAILBOX = "The recipient's mailbox is full."
_EVENTS: dict[str, tuple[str | None, dict[str, Any]]] = {
    "taken": ("email.sent", {}),
    "delivered": ("email.delivered", {}),
    "deferred": ("email.delivery_delayed", {}),
    "bounced": (
        "email.bounced",
        {
            "bounce": {
                "type": "Permanent",
                "subType": "General",
                "message": "The recipient's mail server permanently rejected your email.",
                "diagnosticCode": ["smtp; 550 5.1.1 user unknown"],
            }
        },
    ),
    "soft": (
        "email.bounced",
        {
            "bounce": {
                "type": "Transient",
                "subType": "MailboxFull",
                "message": _MAILBOX,
                "diagnosticCode": ["smtp; 452 4.2.2 over quota"],
            }
        },
    ),
    "dropped": (
        "email.suppressed",
        {
            "suppressed": {
                "type": "OnAccountSuppressionList",
                "reason": "previous_bounce",
                "message": "The address is on the suppression list.",
                "diagnosticCode": [],
            }
        },
    ),
    "complained": ("email.complained", {}),
    "opened": ("email.opened", {}),
    "clicked": (
        "email.clicked",
        {
            "click": {
                "ipAddress": "192.0.2.7",
                "link": "https://shop.example.com/",
                "timestamp": "2026-03-02T09:00:00.000Z",
                "userAgent": "Mozilla/5.0 (Windows NT 10.0; Win64; x64)",
            }
        },
    ),
}
