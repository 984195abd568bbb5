"""Twilio's Messages: create, fetch, list; status call-backs and inbound messages, signed (HMAC-SHA1).

Checked against Twilio's published document, which demands no Body and checks no number, so this fake does.
Refusals are Twilio's codes; as a fate (`30003`) a code is what the carrier says later. A number that sent STOP
is refused with 21610 until START. A status is posted to the message's StatusCallback, with the host of
`callback_url` in place of its own: the signature is over the address as the message had it.
"""

import base64
import hashlib
import hmac
import re
from collections.abc import Mapping
from typing import Any, ClassVar
from urllib.parse import parse_qsl, urlencode, urlsplit

from aiohttp import web

from tests.fakes.asking import Accepted, Ask, Refusal, correlation
from tests.fakes.callbacks import CallBack
from tests.fakes.core import Entry, HttpFake
from tests.fakes.twilio_resources import matches, resource

ACCOUNT, TOKEN, SENDER = "AC" + "0" * 31 + "1", "fake-token", "+15550100001"
_CODES = (
    *("21610", "21211", "21614", "21635", "21408", "21612", "21606", "21602", "21617"),
    *("30001", "30003", "30004", "30005", "30006", "30007", "30008", "30022", "30032", "30034"),
)
_STOP = frozenset({"STOP", "STOPALL", "UNSUBSCRIBE", "CANCEL", "END", "QUIT", "REVOKE", "OPTOUT"})
_START = frozenset({"START", "UNSTOP", "YES"})
_STATUS = {"taken": "sent", "delivered": "delivered", "dropped": "failed", "undelivered": "undelivered"}
_MESSAGES = "/2010-04-01/Accounts/{account}/Messages"


def _error(status: int, code: int, message: str, headers: dict[str, str] | None = None) -> Refusal:
    told = {
        "code": code,
        "message": message,
        "more_info": f"https://www.twilio.com/docs/errors/{code}",
        "status": status,
    }
    return Refusal(status, told, headers or {})


class FakeTwilio(HttpFake):
    """One account. Its number's messages go to `callback_url`."""

    kind = "twilio"
    specification = "twilio_messages_v2010.cut.json"
    form = "/2010-04-01/Accounts/{AccountSid}/Messages.json"
    codes = _CODES
    refusals: ClassVar = {
        "429": _error(429, 20429, "Too Many Requests", {"Retry-After": "1"}),
        "63038": _error(429, 63038, "Account exceeded the daily messages limit"),
        "20003": _error(401, 20003, "Authenticate"),
        "500": _error(500, 20500, "Internal Server Error"),
        "503": _error(503, 20503, "Service Unavailable"),
        **{code: _error(400, int(code), "Refused") for code in _CODES},
    }

    @property
    def credentials(self) -> dict[str, str]:
        """`account`, `token` (which signs call-backs too), `sender`."""
        return {"account": ACCOUNT, "token": TOKEN, "sender": SENDER}

    def routes(self) -> list[web.RouteDef]:
        """Create, fetch and list."""
        return [
            web.post(f"{_MESSAGES}.json", self.send),
            web.get(f"{_MESSAGES}.json", self._list),
            web.get(f"{_MESSAGES}/{{sid}}.json", self._fetch),
        ]

    def refuse(self, ask: Ask) -> Refusal | None:
        """Credentials, then form, then who said STOP."""
        if not _authorized(ask):
            return self.refusals["20003"]
        wrong = _wrong(ask.form)
        if wrong is not None:
            return _error(400, *wrong)
        return self.refusals["21610"] if ask.form["To"] in self.stopped else None

    def accept(self, ask: Ask) -> Accepted:
        """201 with the message's resource."""
        number = str(len(self.entries) + 1).encode()
        sid = "SM" + hashlib.md5(number, usedforsecurity=False).hexdigest()
        callback = ask.form.get("StatusCallback", "")
        query = dict(parse_qsl(urlsplit(callback).query))
        entry = {
            "reference": sid,
            "sid": sid,
            "to": ask.form["To"],
            "from": ask.form.get("From", SENDER),
            "body": ask.form["Body"],
            "k": query.get("k", "") or correlation(query),
            "callback": callback,
            "validity": ask.form.get("ValidityPeriod"),
            "at": self.clock().isoformat(),
            "status": "queued",
            "error": None,
        }
        return Accepted(web.json_response(resource(ACCOUNT, entry), status=201), entry)

    def happened(self, entry: Entry, event: str, detail: str) -> None:
        """The status that fetching tells."""
        entry["status"] = _STATUS.get(event, entry["status"])
        entry["error"] = int(detail) if detail else (30003 if event == "dropped" else entry["error"])
        if event == "stopped":
            self.inbound(entry["to"], "STOP", entry["from"])

    def report(self, entry: Entry, event: str, detail: str) -> dict[str, str] | None:
        """The form of a status call-back."""
        del detail
        if event not in _STATUS or not entry["callback"]:
            return None
        status = _STATUS[event]
        form = {
            "AccountSid": ACCOUNT,
            "ApiVersion": "2010-04-01",
            "From": entry["from"],
            "To": entry["to"],
            "MessageSid": entry["sid"],
            "MessageStatus": status,
            "SmsSid": entry["sid"],
            "SmsStatus": status,
        }
        if entry["error"] is not None and status in ("failed", "undelivered"):
            form["ErrorCode"] = str(entry["error"])
        if status in ("delivered", "undelivered"):
            form["RawDlrDoneDate"] = self.clock().strftime("%y%m%d%H%M")
        return form

    def sign(self, entry: Entry, payload: Any) -> CallBack:  # noqa: ANN401  the provider's shape
        """The form with its signature over the public address and every field."""
        public = urlsplit(entry["callback"])
        reached = urlsplit(self.callback_url)._replace(path=public.path, query=public.query)
        body = urlencode(payload).encode()
        token = hashlib.sha256(body).hexdigest()[:32]
        headers = {
            "Content-Type": "application/x-www-form-urlencoded",
            "User-Agent": "TwilioProxy/1.1",
            "X-Twilio-Signature": signature(TOKEN, entry["callback"], payload),
            "I-Twilio-Idempotency-Token": token,
        }
        return CallBack(reached.geturl(), headers, body)

    def inbound(self, sender: str, text: str, to: str = "") -> None:
        """A message from `sender`, posted to `callback_url`; with `OptOutType` where a word says so."""
        word = text.strip().upper()
        if word in _STOP:
            self.stopped.add(sender)
        if word in _START:
            self.stopped.discard(sender)
        digest = hashlib.md5(f"{sender} {text} {self.clock()}".encode(), usedforsecurity=False).hexdigest()
        form = {
            "AccountSid": ACCOUNT,
            "ApiVersion": "2010-04-01",
            "Body": text,
            "From": sender,
            "MessageSid": f"SM{digest}",
            "NumMedia": "0",
            "NumSegments": "1",
            "SmsMessageSid": f"SM{digest}",
            "SmsSid": f"SM{digest}",
            "SmsStatus": "received",
            "To": to or SENDER,
        }
        if word in _STOP | _START:
            form["OptOutType"] = "STOP" if word in _STOP else "START"
        self.tell_inbound(
            {"reference": form["SmsSid"], "callback": self.public_url or self.callback_url}, form
        )

    async def _fetch(self, request: web.Request) -> web.StreamResponse:
        ask = await self.read(request)
        entry = self.entries.get(request.match_info["sid"])
        return await self._found(ask, resource(ACCOUNT, entry) if entry else None)

    async def _list(self, request: web.Request) -> web.StreamResponse:
        ask = await self.read(request)
        size = int(request.query.get("PageSize", 50))
        page = int(request.query.get("Page", 0))
        chosen = [entry for entry in reversed(self.entries.values()) if matches(entry, request.query)]
        following = request.rel_url.update_query(Page=page + 1, PageSize=size)
        more = len(chosen) > (page + 1) * size
        return await self._found(
            ask,
            {
                "messages": [resource(ACCOUNT, entry) for entry in chosen[page * size : (page + 1) * size]],
                "page": page,
                "page_size": size,
                "start": page * size,
                "end": min((page + 1) * size, len(chosen)) - 1,
                "uri": str(request.rel_url),
                "next_page_uri": str(following) if more else None,
                "previous_page_uri": None,
            },
        )

    async def _found(self, ask: Ask, told: dict[str, Any] | None) -> web.StreamResponse:
        if not _authorized(ask):
            return self.refusals["20003"].response()
        return await self.found(told) if told else _error(404, 20404, "Not found").response()


def signature(token: str, url: str, form: Mapping[str, str]) -> str:
    """What Twilio puts into X-Twilio-Signature for a form."""
    signed = url + "".join(name + form[name] for name in sorted(form))
    return base64.b64encode(hmac.digest(token.encode(), signed.encode(), "sha1")).decode()


def _authorized(ask: Ask) -> bool:
    return ask.basic == (ACCOUNT, TOKEN) and ask.request.match_info["account"] == ACCOUNT


def _wrong(form: Mapping[str, str]) -> tuple[int, str] | None:
    if not form.get("To"):
        return 21604, "A 'To' phone number is required."
    if not re.fullmatch(r"\+[1-9]\d{6,14}", form["To"]):
        return 21211, "Invalid 'To' Phone Number"
    if not (form.get("From") or form.get("MessagingServiceSid")):
        return 21603, "A 'From' phone number is required."
    if not form.get("Body"):
        return 21602, "Message body is required."
    if len(form["Body"]) > 1600:
        return 21617, "The concatenated message body exceeds the 1600 character limit"
    return None
