"""Postmark's `POST /email`, its search of sent messages, and its webhooks (basic authentication, no signature).

Postmark publishes no specification: the schema here is our own, from its reference as contracts.md tells it, and
stricter than the service (members that it does not know are violations). Refusals are its ErrorCodes. An address
that bounced or complained is inactive: 406, as the service answers.
"""

import base64
import json
from typing import Any, ClassVar
from uuid import NAMESPACE_URL, uuid5

from aiohttp import web

from tests.fakes.asking import Accepted, Ask, Refusal, correlation
from tests.fakes.callbacks import CallBack
from tests.fakes.core import Entry, HttpFake
from tests.fakes.postmark_shapes import RECORDS, SCHEMA, TIMES

KEY = "fake-server-token"
CALLBACK_USER, CALLBACK_PASSWORD = "orderwake", "fake-callback-password"


def _error(status: int, code: int, message: str, headers: dict[str, str] | None = None) -> Refusal:
    return Refusal(status, {"ErrorCode": code, "Message": message}, headers or {})


class FakePostmark(HttpFake):
    """One server with one token and the streams `outbound` and `broadcast`."""

    kind = "postmark"
    stops = frozenset({403})
    refusals: ClassVar = {
        "429": _error(429, 429, "Rate limit exceeded.", {"Retry-After": "1"}),
        "10": _error(401, 10, "The server token provided was not valid."),
        "100": _error(503, 100, "Maintenance."),
        "300": _error(422, 300, "Invalid 'To' address."),
        "400": _error(422, 400, "The 'From' address is not a Sender Signature on your account."),
        "401": _error(422, 401, "The 'From' address has not been confirmed."),
        "402": _error(422, 402, "Invalid JSON."),
        "403": _error(422, 403, "Incompatible JSON."),
        "405": _error(422, 405, "Not allowed to send: you ran out of credits."),
        "406": _error(422, 406, "You tried to send to a recipient that has been marked as inactive."),
        "409": _error(422, 409, "JSON required."),
        "411": _error(422, 411, "Forbidden attachment type."),
        "412": _error(422, 412, "Account is pending approval."),
        "413": _error(422, 413, "Account may not send."),
        "500": _error(500, 500, "Internal server error."),
        "503": Refusal(503, "Service Unavailable"),
    }

    @property
    def credentials(self) -> dict[str, str]:
        """`key` to send, `callback_user` and `callback_password` of call-backs."""
        return {"key": KEY, "callback_user": CALLBACK_USER, "callback_password": CALLBACK_PASSWORD}

    @property
    def checked(self) -> bool:
        """Always: the schema is here."""
        return self.check

    def found_wrong(self, ask: Ask) -> list[str]:
        """What breaks the schema, or the headers that Postmark asks for."""
        if not self.check or ask.request.method != "POST":
            return []
        wrong = [error.message for error in SCHEMA.iter_errors(ask.json)]
        if ask.request.content_type != "application/json":
            wrong.append("Content-Type is not application/json")
        if ask.header("Accept") != "application/json":
            wrong.append("Accept is not application/json")
        return wrong

    def routes(self) -> list[web.RouteDef]:
        """Sending and searching."""
        return [
            web.post("/email", self.send),
            web.get("/messages/outbound", self._search),
            web.get("/messages/outbound/{id}/details", self._details),
        ]

    def refuse(self, ask: Ask) -> Refusal | None:
        """Token, form, then who is inactive."""
        if ask.header("X-Postmark-Server-Token") != KEY:
            return self.refusals["10"]
        if ask.request.content_type != "application/json":
            return self.refusals["409"]
        if not SCHEMA.is_valid(ask.json):
            return self.refusals["300"]
        return self.refusals["406"] if _address(ask.json["To"]) in self.dead | self.stopped else None

    def accept(self, ask: Ask) -> Accepted:
        """200 with ErrorCode 0."""
        message = ask.json
        reference = str(uuid5(NAMESPACE_URL, f"postmark/{len(self.entries)}"))
        at = self.clock().isoformat()
        entry = {
            "reference": reference,
            "to": _address(message["To"]),
            "k": correlation(message.get("Metadata", {})),
            "from": message["From"],
            "subject": message.get("Subject", ""),
            "tag": message.get("Tag", ""),
            "stream": message.get("MessageStream", "outbound"),
            "metadata": message.get("Metadata", {}),
            "headers": {each["Name"]: each["Value"] for each in message.get("Headers", [])},
            "at": at,
        }
        told = {"To": message["To"], "SubmittedAt": at, "MessageID": reference}
        return Accepted(web.json_response({**told, "ErrorCode": 0, "Message": "OK"}), entry)

    def happened(self, entry: Entry, event: str, detail: str) -> None:
        """What a search tells, and who is inactive."""
        super().happened(entry, event, detail)
        if event == "stopped":
            self.stopped.add(entry["to"])
        if event in RECORDS:
            entry.setdefault("events", []).append(RECORDS[event]["RecordType"])

    def report(self, entry: Entry, event: str, detail: str) -> dict[str, Any] | None:
        """The body of a webhook."""
        del detail
        told = RECORDS.get(event)
        if told is None:
            return None
        bounce = told["RecordType"] in ("Bounce", "SpamComplaint")
        at = self.clock().strftime("%Y-%m-%dT%H:%M:%S.%f0Z")
        return {
            **told,
            **({"ID": 900_000_000 + len(self.entries), "From": entry["from"]} if bounce else {}),
            ("Email" if bounce else "Recipient"): entry["to"],
            TIMES[told["RecordType"]]: at,
            "ServerID": 23,
            "MessageStream": entry["stream"],
            "MessageID": entry["reference"],
            "Tag": entry["tag"],
            "Metadata": entry["metadata"],
        }

    def sign(self, entry: Entry, payload: Any) -> CallBack:  # noqa: ANN401  the provider's shape
        """JSON with the credentials that stand in the webhook's address."""
        del entry
        told = base64.b64encode(f"{CALLBACK_USER}:{CALLBACK_PASSWORD}".encode()).decode()
        headers = {
            "Content-Type": "application/json",
            "User-Agent": "Postmark",
            "Authorization": f"Basic {told}",
        }
        return CallBack(self.callback_url, headers, json.dumps(payload).encode())

    async def _search(self, request: web.Request) -> web.StreamResponse:
        ask = await self.read(request)
        prefix = "metadata_"
        wanted = {
            name.removeprefix(prefix): value
            for name, value in request.query.items()
            if name.startswith(prefix)
        }
        to = request.query.get("recipient", "").lower()
        found = [
            _told(entry)
            for entry in reversed(self.entries.values())
            if (not to or entry["to"] == to) and wanted.items() <= entry["metadata"].items()
        ]
        start, count = int(request.query.get("offset", 0)), int(request.query.get("count", 0))
        if not count:
            return _error(422, 600, "The 'count' parameter is required.").response()
        return await self._asked(ask, {"TotalCount": len(found), "Messages": found[start : start + count]})

    async def _details(self, request: web.Request) -> web.StreamResponse:
        ask = await self.read(request)
        entry = self.entries.get(request.match_info["id"])
        if entry is None:
            return _error(422, 701, "This message was not found.").response()
        events = [{"Recipient": entry["to"], "Type": kind} for kind in entry.get("events", [])]
        return await self._asked(ask, {**_told(entry), "MessageEvents": events})

    async def _asked(self, ask: Ask, answer: dict[str, Any]) -> web.StreamResponse:
        if ask.header("X-Postmark-Server-Token") != KEY:
            return self.refusals["10"].response()
        return await self.found(answer)


def _address(header: str) -> str:
    return header.rpartition("<")[2].rstrip(">").strip().lower()


def _told(entry: Entry) -> dict[str, Any]:
    return {
        "Tag": entry["tag"],
        "MessageID": entry["reference"],
        "MessageStream": entry["stream"],
        "To": [{"Email": entry["to"], "Name": None}],
        "Recipients": [entry["to"]],
        "ReceivedAt": entry["at"],
        "From": entry["from"],
        "Subject": entry["subject"],
        "Status": "Sent",
        "Metadata": entry["metadata"],
    }
