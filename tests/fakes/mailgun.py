"""Mailgun's `POST /v3/{domain}/messages`, its events, and its webhooks (HMAC-SHA256 over time and token only).

No public copy of Mailgun's specification was found: the checks here are our own, from its reference as contracts.md
tells it, and stricter than the service (fields that it does not know are violations).
"""

import hashlib
import hmac
import json
import re
from typing import Any, ClassVar

from aiohttp import web

from tests.fakes.asking import Accepted, Ask, Refusal, correlation
from tests.fakes.callbacks import CallBack
from tests.fakes.core import Entry, HttpFake

KEY, DOMAIN = "key-fake", "mg.shop.example.com"
CALLBACK_KEY = "fake-signing-key"
_FIELD = re.compile(
    r"from|to|cc|bcc|subject|text|html|amp-html|attachment|inline|template|recipient-variables"
    r"|o:(tag|testmode|tracking(-clicks|-opens)?|deliverytime(-optimize-period)?|dkim|require-tls"
    r"|skip-verification|sending-ip(-pool)?|time-zone-localize|secondary-dkim(-public)?|archive-to|suppress-headers)"
    r"|t:(version|text|variables)|h:[A-Za-z0-9-]+|v:[A-Za-z0-9_.-]+"
)
_SWITCHES = {
    "o:testmode": ("yes", "true"),
    "o:tracking": ("yes", "no", "true", "false", "htmlonly"),
    "o:tracking-clicks": ("yes", "no", "true", "false", "htmlonly"),
    "o:tracking-opens": ("yes", "no", "true", "false"),
    "o:require-tls": ("yes", "no", "True", "False", "true", "false"),
}
_OPTIONS_BYTES = 16 * 1024


def _error(status: int, message: str, headers: dict[str, str] | None = None) -> Refusal:
    return Refusal(status, {"message": message}, headers or {})


class FakeMailgun(HttpFake):
    """One account with one domain."""

    kind = "mailgun"
    drops = True
    stops = frozenset({406})
    refusals: ClassVar = {
        "429": _error(429, "Too many requests", {"Retry-After": "1", "X-RateLimit-Remaining": "0"}),
        "400": _error(400, "to parameter is not a valid address. please check documentation"),
        "401": Refusal(401, "Forbidden"),
        "402": _error(402, "Payment required"),
        "403": _error(403, f"Domain {DOMAIN} is not allowed to send: account is disabled"),
        "404": _error(404, f"Domain not found: {DOMAIN}"),
        "413": _error(413, "Request entity too large"),
        "500": _error(500, "Internal Server Error"),
        "502": Refusal(502, "Bad Gateway"),
        "503": Refusal(503, "Service Unavailable"),
    }

    @property
    def credentials(self) -> dict[str, str]:
        """`key` and `domain` to send, `callback_key` to verify call-backs."""
        return {"key": KEY, "domain": DOMAIN, "callback_key": CALLBACK_KEY}

    @property
    def checked(self) -> bool:
        """Always: the rules are here."""
        return self.check

    def found_wrong(self, ask: Ask) -> list[str]:
        """Fields that are unknown, missing or too large."""
        if not self.check or ask.request.method != "POST":
            return []
        fields = ask.fields
        names = [name for name, _ in fields]
        wrong = [f"unknown field {name}" for name in names if not _FIELD.fullmatch(name)]
        wrong += [f"{name} is missing" for name in ("from", "to", "subject") if not ask.form.get(name)]
        if not {"text", "html", "amp-html", "template"} & set(names):
            wrong.append("no text, html, amp-html or template")
        wrong += [
            f"{name} is {value}"
            for name, value in fields
            if name in _SWITCHES and value not in _SWITCHES[name]
        ]
        if names.count("o:tag") > 10:
            wrong.append("more than 10 tags")
        options = sum(len(name) + len(value.encode()) for name, value in fields if name[1:2] == ":")
        if options > _OPTIONS_BYTES:
            wrong.append(f"options, headers, variables take {options} bytes of 16384")
        return wrong

    def routes(self) -> list[web.RouteDef]:
        """Sending and events."""
        return [
            web.post("/v3/{domain}/messages", self.send),
            web.get("/v3/{domain}/events", self._events),
        ]

    def refuse(self, ask: Ask) -> Refusal | None:
        """Credentials, domain, form."""
        if ask.basic != ("api", KEY):
            return self.refusals["401"]
        if ask.request.match_info["domain"] != DOMAIN:
            return self.refusals["404"]
        for name in ("from", "to"):
            if "@" not in ask.form.get(name, ""):
                return _error(400, f"{name} parameter is missing")
        if not {"text", "html", "amp-html", "template"} & set(ask.form):
            return _error(400, "Need at least one of 'text', 'html', 'amp-html' or 'template' parameters")
        return None

    def accept(self, ask: Ask) -> Accepted:
        """200 with the id in angle brackets."""
        form = ask.form
        own = next((value for name, value in form.items() if name.lower() == "h:message-id"), "")
        number = hashlib.sha256(f"mailgun {len(self.entries)}".encode()).hexdigest()[:16]
        reference = own.strip("<>") or f"20260302090000.{number}@{DOMAIN}"
        variables = {name[2:]: value for name, value in ask.fields if name.startswith("v:")}
        entry = {
            "reference": reference,
            "to": form["to"].rpartition("<")[2].rstrip(">").strip().lower(),
            "k": correlation(variables),
            "from": form["from"],
            "subject": form.get("subject", ""),
            "variables": variables,
            "tags": [value for name, value in ask.fields if name == "o:tag"],
            "headers": {name[2:]: value for name, value in ask.fields if name.startswith("h:")},
        }
        told = {"id": f"<{reference}>", "message": "Queued. Thank you."}
        return Accepted(web.json_response(told), entry)

    def happened(self, entry: Entry, event: str, detail: str) -> None:
        """Suppressions, and what the events tell."""
        super().happened(entry, event, detail)
        if event == "stopped":
            self.stopped.add(entry["to"])
        told = self._event(entry, event)
        if told is not None:
            entry.setdefault("events", []).append(told)

    def report(self, entry: Entry, event: str, detail: str) -> dict[str, Any] | None:
        """The event of a webhook; its id stays when it is told again."""
        del detail
        return self._event(entry, event)

    def sign(self, entry: Entry, payload: Any) -> CallBack:  # noqa: ANN401  the provider's shape
        """JSON with the signature in the body; a new token each time."""
        del entry
        timestamp = str(int(self.clock().timestamp()))
        self.signed += 1
        token = hashlib.sha256(f"{payload['id']} {timestamp} {self.signed}".encode()).hexdigest()[:50]
        signature = hmac.digest(CALLBACK_KEY.encode(), (timestamp + token).encode(), "sha256").hex()
        body = {
            "signature": {"timestamp": timestamp, "token": token, "signature": signature},
            "event-data": payload,
        }
        headers = {"Content-Type": "application/json", "User-Agent": "Mailgun/Treq-20.9.0"}
        return CallBack(self.callback_url, headers, json.dumps(body).encode())

    signed = 0

    def _event(self, entry: Entry, event: str) -> dict[str, Any] | None:
        told = _EVENTS.get(event)
        if told is None:
            return None
        event_id = hashlib.sha256(f"{entry['reference']} {event}".encode()).hexdigest()[:22]
        headers = {
            "to": entry["to"],
            "message-id": entry["reference"],
            "from": entry["from"],
            "subject": entry["subject"],
        }
        return {
            "id": event_id,
            "timestamp": self.clock().timestamp(),
            "recipient": entry["to"],
            "recipient-domain": entry["to"].partition("@")[2],
            "tags": entry["tags"],
            "user-variables": entry["variables"],
            "message": {"headers": headers, "attachments": [], "size": 809},
            "flags": {"is-routed": False, "is-test-mode": False},
            **told,
        }

    async def _events(self, request: web.Request) -> web.StreamResponse:
        ask = await self.read(request)
        if ask.basic != ("api", KEY):
            return self.refusals["401"].response()
        query = request.query
        to, message_id, event = (query.get(name, "") for name in ("recipient", "message-id", "event"))
        items = [
            told
            for entry in self.entries.values()
            for told in entry.get("events", [])
            if (not to or entry["to"] == to.lower())
            and (not message_id or entry["reference"] == message_id.strip("<>"))
            and (not event or told["event"] in event.split(" OR "))
        ]
        here = str(request.url)
        paging = dict.fromkeys(("next", "previous", "first", "last"), here)
        return await self.found({"items": items[: int(query.get("limit", 100))], "paging": paging})


def _delivery(code: int, message: str) -> dict[str, Any]:
    return {"code": code, "message": message, "attempt-no": 1, "description": "", "tls": True, "utf8": True}


_EVENTS: dict[str, dict[str, Any]] = {
    "taken": {"event": "accepted", "log-level": "info"},
    "delivered": {"event": "delivered", "log-level": "info", "delivery-status": _delivery(250, "OK")},
    "deferred": {
        "event": "failed",
        "severity": "temporary",
        "reason": "generic",
        "log-level": "warn",
        "delivery-status": {**_delivery(452, "4.2.2 The mailbox is over quota"), "retry-seconds": 600},
    },
    "soft": {
        "event": "failed",
        "severity": "permanent",
        "reason": "generic",
        "log-level": "error",
        "delivery-status": _delivery(452, "4.2.2 The mailbox is over quota"),
    },
    "bounced": {
        "event": "failed",
        "severity": "permanent",
        "reason": "bounce",
        "log-level": "error",
        "delivery-status": _delivery(550, "5.1.1 The email account that you tried to reach does not exist."),
    },
    "dropped": {
        "event": "failed",
        "severity": "permanent",
        "reason": "suppress-bounce",
        "log-level": "error",
        "delivery-status": _delivery(605, "Not delivering to previously bounced address"),
    },
    "complained": {"event": "complained", "log-level": "warn"},
    "stopped": {"event": "unsubscribed", "log-level": "info", "ip": "192.0.2.7"},
    "opened": {"event": "opened", "log-level": "info", "ip": "192.0.2.7"},
    "clicked": {
        "event": "clicked",
        "log-level": "info",
        "ip": "192.0.2.7",
        "url": "https://shop.example.com/",
    },
}
