"""SendGrid's `POST /v3/mail/send` and its Event Webhook (ECDSA P-256 over timestamp and body).

Checked against SendGrid's published document, which has no 429; the form of that one is from contracts.md.
A message to a dead or unsubscribed address is taken and then `dropped`, as SendGrid does.
"""

import base64
import hashlib
import json
from typing import Any, ClassVar

from aiohttp import web
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tests.fakes.asking import Accepted, Ask, Refusal, correlation
from tests.fakes.callbacks import CallBack
from tests.fakes.core import Entry, HttpFake

KEY = "SG.fake-key"
_SIGNING = ec.derive_private_key(0x5E6D, ec.SECP256R1())
CALLBACK_KEY = base64.b64encode(
    _SIGNING.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
).decode()
_LIMIT = {"X-RateLimit-Limit": "600", "X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "{reset}"}
_RESET_SECONDS = 2
_RESERVED = frozenset(
    {"x-sg-id", "x-sg-eid", "received", "dkim-signature", "content-type", "content-transfer-encoding", "to"}
    | {"from", "subject", "reply-to", "cc", "bcc"}
)


def _error(message: str, field: str | None = None) -> dict[str, Any]:
    return {"errors": [{"field": field, "message": message, "help": None}]}


class FakeSendGrid(HttpFake):
    """One account with one key, one verified sender domain for everybody."""

    kind = "sendgrid"
    specification = "sendgrid_mail_v3.json"
    drops = True
    refusals: ClassVar = {
        "429": Refusal(429, {"errors": [{"field": None, "message": "too many requests"}]}, _LIMIT),
        "400": Refusal(400, _error("Bad Request")),
        "401": Refusal(401, _error("The provided authorization grant is invalid, expired, or revoked")),
        "403": Refusal(403, _error("The from address does not match a verified Sender Identity.", "from")),
        "404": Refusal(404, _error("not found")),
        "405": Refusal(405, _error("method not allowed")),
        "413": Refusal(413, _error("Payload Too Large")),
        "500": Refusal(500, _error("internal server error")),
        "503": Refusal(503, "Service Unavailable"),
    }

    @property
    def credentials(self) -> dict[str, str]:
        """`key` to send, `callback_key` to verify call-backs."""
        return {"key": KEY, "callback_key": CALLBACK_KEY}

    def routes(self) -> list[web.RouteDef]:
        """The path of Mail Send."""
        return [web.post("/v3/mail/send", self.send)]

    def refused(self, fault: str, ask: Ask) -> Refusal:
        """With the time at which a rate limit ends."""
        refusal = super().refused(fault, ask)
        reset = int(self.clock().timestamp()) + _RESET_SECONDS
        headers = {name: value.format(reset=reset) for name, value in refusal.headers.items()}
        return Refusal(refusal.status, refusal.body, headers)

    def refuse(self, ask: Ask) -> Refusal | None:
        """Key, then what the document cannot express."""
        if ask.header("Authorization") != f"Bearer {KEY}":
            return self.refusals["401"]
        wrong = _wrong(ask.json)
        return Refusal(400, _error(wrong)) if wrong else None

    def accept(self, ask: Ask) -> Accepted:
        """202 with an empty body; the id is in a header."""
        message = ask.json
        person = message["personalizations"][0]
        custom = {**message.get("custom_args", {}), **person.get("custom_args", {})}
        number = f"sendgrid-{len(self.entries)}".encode()
        reference = base64.urlsafe_b64encode(hashlib.sha256(number).digest()[:16]).decode().rstrip("=")
        entry = {
            "reference": reference,
            "to": person["to"][0]["email"].lower(),
            "k": correlation(custom),
            "subject": person.get("subject") or message.get("subject", ""),
            "from": message["from"]["email"],
            "custom": custom,
            "content": [part["type"] for part in message["content"]],
            "headers": {**message.get("headers", {}), **person.get("headers", {})},
        }
        return Accepted(web.Response(status=202, headers={"X-Message-Id": reference}), entry)

    def report(self, entry: Entry, event: str, detail: str) -> dict[str, Any] | None:
        """One object of the array that the Event Webhook posts."""
        del detail
        told = _EVENTS.get(event)
        if told is None:
            return None
        event_id = hashlib.sha256(f"{entry['reference']} {event}".encode()).digest()[:16]
        smtp_id = f"<{entry['reference']}@geopod-ismtpd-fake>"
        if event == "dropped" and entry["to"] in self.stopped:
            told = {**told, "reason": "Unsubscribed Address"}
        return {
            **entry["custom"],
            "email": entry["to"],
            "timestamp": int(self.clock().timestamp()),
            "sg_event_id": base64.urlsafe_b64encode(event_id).decode().rstrip("="),
            "sg_message_id": f"{entry['reference']}.recvd-fake-1-5F5FC76C-9.0",
            **({"smtp-id": smtp_id} if event in _WITH_SMTP_ID else {}),
            **told,
        }

    def sign(self, entry: Entry, payload: Any) -> CallBack:  # noqa: ANN401  the provider's shape
        """An array of one, with the line end that SendGrid signs too."""
        del entry
        body = json.dumps([payload], separators=(",", ":")).encode() + b"\r\n"
        timestamp = str(int(self.clock().timestamp()))
        signature = _SIGNING.sign(timestamp.encode() + body, ec.ECDSA(hashes.SHA256()))
        headers = {
            "Content-Type": "application/json",
            "User-Agent": "SendGrid Event API",
            "X-Twilio-Email-Event-Webhook-Signature": base64.b64encode(signature).decode(),
            "X-Twilio-Email-Event-Webhook-Timestamp": timestamp,
        }
        return CallBack(self.callback_url, headers, body)

    def happened(self, entry: Entry, event: str, detail: str) -> None:
        """Bounces, complaints and unsubscriptions end an address."""
        super().happened(entry, event, detail)
        if event == "stopped":
            self.stopped.add(entry["to"])


_WITH_SMTP_ID = ("taken", "delivered", "deferred", "bounced", "soft", "dropped")
_USER_AGENT = "Mozilla/5.0 (Windows NT 10.0; Win64; x64)"
_EVENTS: dict[str, dict[str, Any]] = {
    "taken": {"event": "processed"},
    "delivered": {"event": "delivered", "response": "250 2.0.0 OK", "ip": "192.0.2.17", "tls": 1},
    "deferred": {"event": "deferred", "response": "452 4.2.2 The mailbox is over quota", "attempt": "1"},
    "bounced": {
        "event": "bounce",
        "type": "bounce",
        "status": "5.1.1",
        "reason": "550 5.1.1 The email account that you tried to reach does not exist.",
        "bounce_classification": "Invalid Address",
        "tls": 1,
    },
    "soft": {
        "event": "bounce",
        "type": "blocked",
        "status": "4.2.2",
        "reason": "452 4.2.2 The mailbox is over quota",
        "bounce_classification": "Mailbox Unavailable",
        "tls": 1,
    },
    "dropped": {"event": "dropped", "reason": "Bounced Address", "status": "5.0.0"},
    "complained": {"event": "spamreport"},
    "stopped": {"event": "unsubscribe"},
    "opened": {"event": "open", "useragent": _USER_AGENT, "ip": "192.0.2.7", "sg_machine_open": False},
    "clicked": {
        "event": "click",
        "useragent": _USER_AGENT,
        "ip": "192.0.2.7",
        "url": "https://shop.example.com/",
        "url_offset": {"index": 0, "type": "html"},
    },
}


def _wrong(message: dict[str, Any]) -> str | None:
    """What SendGrid's reference says beyond the schema, or what accept() needs."""
    people = message.get("personalizations") or [{}]
    parts = message.get("content") or [{}]
    kinds = [part.get("type") for part in parts]
    headers = {name.lower() for name in message.get("headers", {})}
    rules = {
        "The personalizations field must have at least one recipient.": all(who.get("to") for who in people),
        "The from object must be provided for every email send.": message.get("from", {}).get("email"),
        "Unless a template_id is provided, the content is required.": all(
            part.get("value") for part in parts
        ),
        "text/plain comes first.": "text/plain" not in kinds[1:],
        "The subject is required.": all(who.get("subject") or message.get("subject") for who in people),
        "The headers must not contain reserved names.": not headers & _RESERVED,
    }
    return next((wrong for wrong, right in rules.items() if not right), None)
