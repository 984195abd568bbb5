"""Vonage's `POST /sms/json`, delivery receipts and inbound messages as signed JSON (HMAC-SHA256 over all fields).

Checked against Vonage's published document (of 2021), and besides: no `+` in numbers, and `type=unicode` where GSM-7
does not do. Refusals are the document's statuses, all with HTTP 200; as a fate (`dlr-6`) a number is the err-code of
a receipt. A number that sent STOP is barred (7). A receipt goes to the message's own `callback` with the host of
`callback_url`, else to `callback_url`.
"""

import hashlib
import hmac
import json
from typing import Any, ClassVar
from urllib.parse import urlsplit

from aiohttp import web

from tests.fakes.asking import Accepted, Ask, Refusal
from tests.fakes.callbacks import CallBack
from tests.fakes.core import Entry, HttpFake

KEY, SECRET, SENDER = "fakekey1", "fake-secret", "15550100001"
CALLBACK_KEY = "fake-signature-secret"
_STATUSES = {
    "1": "Throttled",
    "2": "Missing Parameters",
    "3": "Invalid Parameters",
    "4": "Invalid Credentials",
    "5": "Internal Error",
    "6": "Invalid Message",
    "7": "Number Barred",
    "8": "Partner Account Barred",
    "9": "Partner Quota Violation",
    "10": "Too Many Existing Binds",
    "11": "Account Not Enabled For HTTP",
    "12": "Message Too Long",
    "14": "Invalid Signature",
    "15": "Invalid Sender Address",
    "22": "Invalid Network Code",
    "23": "Invalid Callback Url",
    "29": "Non-Whitelisted Destination",
    "32": "Signature And API Secret Disallowed",
    "33": "Number De-activated",
}
_RECEIPTS = {"taken": "accepted", "deferred": "buffered", "delivered": "delivered", "dropped": "rejected"}
_ERR_CODES = (*range(1, 17), 39, 50, 51, 52, 99)
_GSM7 = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§"
    "¿abcdefghijklmnopqrstuvwxyzäöñüà^{}\\[~]|€\f"
)


def _refusal(status: str) -> Refusal:
    return Refusal(
        200,
        {"message-count": "1", "messages": [{"status": status, "error-text": _STATUSES[status]}]},
    )


class FakeVonage(HttpFake):
    """One account with one number."""

    kind = "vonage"
    specification = "vonage_sms.yml"
    form = "/{format}"
    codes = tuple(f"dlr-{code}" for code in _ERR_CODES)
    refusals: ClassVar = {
        **{status: _refusal(status) for status in _STATUSES},
        "429": Refusal(429, {"title": "Too Many Requests"}, {"Retry-After": "1"}),
        "500": Refusal(500, "Internal Server Error"),
        "503": Refusal(503, "Service Unavailable"),
    }

    @property
    def credentials(self) -> dict[str, str]:
        """`key` and `secret` to send, `callback_key` to verify call-backs, `sender`."""
        return {"key": KEY, "secret": SECRET, "callback_key": CALLBACK_KEY, "sender": SENDER}

    def routes(self) -> list[web.RouteDef]:
        """Sending."""
        return [web.post("/sms/json", self.send)]

    def found_wrong(self, ask: Ask) -> list[str]:
        """The document, and what it does not say."""
        if not self.checked:
            return []
        wrong = super().found_wrong(ask)
        if not ask.form.get("to", "").isdecimal():
            wrong.append("to has other characters than digits")
        if ask.form.get("type", "text") == "text" and not _GSM7.issuperset(ask.form.get("text", "")):
            wrong.append("type is text, but GSM-7 cannot carry it")
        if len(ask.form.get("client-ref", "")) > 40:
            wrong.append("client-ref is longer than 40 characters")
        return wrong

    def refuse(self, ask: Ask) -> Refusal | None:
        """Form, credentials, number, STOP."""
        form = ask.form
        if not all(form.get(name) for name in ("api_key", "from", "to", "text")):
            return _refusal("2")
        if (form["api_key"], form.get("api_secret")) != (KEY, SECRET):
            return _refusal("4")
        if not form["to"].isdecimal():
            return _refusal("3")
        return _refusal("7") if form["to"] in self.stopped else None

    def accept(self, ask: Ask) -> Accepted:
        """HTTP 200 with status 0."""
        form = ask.form
        reference = hashlib.sha256(f"vonage {len(self.entries)}".encode()).hexdigest()[:16].upper()
        entry = {
            "reference": reference,
            "to": form["to"],
            "from": form["from"],
            "body": form["text"],
            "k": form.get("client-ref", ""),
            "callback": form.get("callback", ""),
            "ttl": form.get("ttl"),
        }
        told = {
            "to": form["to"],
            "message-id": reference,
            "status": "0",
            "remaining-balance": "3.14159265",
            "message-price": "0.03330000",
            "network": "12345",
            **({"client-ref": entry["k"]} if entry["k"] else {}),
        }
        return Accepted(web.json_response({"message-count": "1", "messages": [told]}), entry)

    def happened(self, entry: Entry, event: str, detail: str) -> None:
        """A STOP is a message of its own."""
        super().happened(entry, event, detail)
        if event == "stopped":
            self.inbound(entry["to"], "STOP", entry["from"])

    def report(self, entry: Entry, event: str, detail: str) -> dict[str, str] | None:
        """A delivery receipt."""
        status = _RECEIPTS.get(event, "failed" if event == "undelivered" else None)
        if status is None:
            return None
        code = detail.removeprefix("dlr-") or ("99" if status == "rejected" else "0")
        at = self.clock()
        return {
            "msisdn": entry["to"],
            "to": entry["from"],
            "network-code": "12345",
            "messageId": entry["reference"],
            "price": "0.03330000",
            "status": status,
            "scts": at.strftime("%y%m%d%H%M"),
            "err-code": code,
            "api-key": KEY,
            **({"client-ref": entry["k"]} if entry["k"] else {}),
            "message-timestamp": at.strftime("%Y-%m-%d %H:%M:%S"),
        }

    def sign(self, entry: Entry, payload: Any) -> CallBack:  # noqa: ANN401  the provider's shape
        """JSON with nonce, time and signature among its members."""
        own = urlsplit(entry.get("callback", ""))
        reached = urlsplit(self.callback_url)
        if own.path:
            reached = reached._replace(path=own.path, query=own.query)
        self.signed += 1
        nonce = hashlib.sha256(f"{entry['reference']} {self.signed}".encode()).hexdigest()[:32]
        told = {**payload, "nonce": nonce, "timestamp": str(int(self.clock().timestamp()))}
        told["sig"] = signature(CALLBACK_KEY, told)
        headers = {"Content-Type": "application/json", "User-Agent": "Nexmo/MessagingHUB/v1.0"}
        return CallBack(reached.geturl(), headers, json.dumps(told).encode())

    signed = 0

    def inbound(self, sender: str, text: str, to: str = "") -> None:
        """A message from `sender`, posted to `callback_url`."""
        number, word = sender.lstrip("+"), (text.split() or [""])[0].upper()
        if word == "STOP":
            self.stopped.add(number)
        if word == "START":
            self.stopped.discard(number)
        at = self.clock()
        message_id = hashlib.sha256(f"in {sender} {text} {at}".encode()).hexdigest()[:16].upper()
        told = {
            "api-key": KEY,
            "msisdn": number,
            "to": to or SENDER,
            "messageId": message_id,
            "text": text,
            "type": "text",
            "keyword": word,
            "message-timestamp": at.strftime("%Y-%m-%d %H:%M:%S"),
        }
        self.tell_inbound({"reference": message_id}, told)


def signature(secret: str, fields: dict[str, str]) -> str:
    """Vonage's: HMAC over `&name=value` in order of names, with `&` and `=` in values as `_`; upper-case hex."""
    told = {name: value.replace("&", "_").replace("=", "_") for name, value in fields.items()}
    signed = "".join(f"&{name}={told[name]}" for name in sorted(told) if name != "sig")
    return hmac.digest(secret.encode(), signed.encode(), "sha256").hex().upper()
