"""Twilio's Messages endpoint: checks credentials and form, gives sids, and keeps a log.

With a specification each request is checked against it by openapi-core, and violations are counted (the
published one demands no Body and checks no number, so this fake does). Faults: `429` with Retry-After, `500`,
`503`, `timeout_before` (never answers, took nothing), `timeout_after` (took it, never answers), `drop_after`
(took it, closes), or a code: `21610`.

    python -m tests.fakes.twilio --port 0 --folder DIR [--spec FILE] [--fault 429=0.05] [--seed 7]
"""

import argparse
import asyncio
import base64
import hashlib
import re
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from aiohttp import web

from tests.fakes.faults import Faults, parse
from tests.fakes.log import ReceivedLog, read
from tests.fakes.serving import parser, serve
from tests.fakes.specification import Specification

ACCOUNT, TOKEN, SENDER = "AC" + "0" * 31 + "1", "fake-token", "+15550100001"
FAULTS = (
    "429",
    "500",
    "503",
    "timeout_before",
    "timeout_after",
    "drop_after",
    "21610",
    "21211",
    "21614",
    "30007",
)
_RECEIVED = "received.jsonl"


class FakeTwilio:
    """A server on 127.0.0.1 with one account."""

    def __init__(self, folder: Path, faults: Faults | None = None, spec: Path | None = None) -> None:
        self.faults = faults or Faults()
        self.violations: list[str] = []
        self.requests = 0
        self.last_authorization = ""
        self._spec = Specification(spec) if spec else None
        self._received = ReceivedLog(folder / _RECEIVED)
        self._runner: web.AppRunner | None = None
        self._stopping = asyncio.Event()
        self._number = len(read(self._received.path))

    @property
    def port(self) -> int:
        """Port that it listens on."""
        assert self._runner is not None
        return int(self._runner.addresses[0][1])

    async def start(self, port: int = 0) -> None:
        """Listen."""
        app = web.Application()
        app.add_routes(
            [
                web.post("/2010-04-01/Accounts/{account}/Messages.json", self._create),
                web.get("/status", self._status),
            ]
        )
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", port).start()

    async def stop(self) -> None:
        """Let stalled requests go and close."""
        self._stopping.set()
        if self._runner is not None:
            await self._runner.cleanup()
        self._received.close()

    def received(self) -> list[dict[str, Any]]:
        """What was accepted, in order: `sid`, `to`, `body`, `k`, `callback` and `validity`."""
        return read(self._received.path)

    async def _status(self, _: web.Request) -> web.Response:
        return web.json_response({"requests": self.requests, "violations": self.violations})

    async def _create(self, request: web.Request) -> web.StreamResponse:
        self.requests += 1
        self.last_authorization = request.headers.get("Authorization", "")
        form = {name: str(value) for name, value in (await request.post()).items()}
        if self._spec is not None:
            self.violations += self._spec.violations(request, await request.read())
        if not _authorized(request):
            return _error(401, 20003, "Authenticate")
        wrong = _wrong(form)
        if wrong is not None:
            return _error(400, *wrong)
        return await self._answer(request, form, self.faults.take())

    async def _answer(
        self, request: web.Request, form: dict[str, str], fault: str | None
    ) -> web.StreamResponse:
        if fault == "429":
            return _error(429, 20429, "Too Many Requests", {"Retry-After": "1"})
        if fault in ("500", "503"):
            return _error(int(fault), 20500, "Internal Server Error")
        if fault is not None and fault.isdecimal():
            return _error(400, int(fault), "Refused")
        if fault == "timeout_before":
            await self._stopping.wait()
            return _error(503, 20503, "Closed")
        answer = self._accept(form)
        if fault == "timeout_after":
            await self._stopping.wait()
        if fault == "drop_after" and request.transport is not None:
            request.transport.abort()
        return web.json_response(answer, status=201)

    def _accept(self, form: dict[str, str]) -> dict[str, Any]:
        self._number += 1
        sid = "SM" + hashlib.md5(str(self._number).encode(), usedforsecurity=False).hexdigest()
        callback = form.get("StatusCallback", "")
        k = parse_qs(urlsplit(callback).query).get("k", [""])[0]
        self._received.append(
            {
                "sid": sid,
                "to": form["To"],
                "body": form["Body"],
                "k": k,
                "callback": callback,
                "validity": form.get("ValidityPeriod"),
            }
        )
        return {
            "sid": sid,
            "status": "queued",
            "to": form["To"],
            "from": form["From"],
            "body": form["Body"],
            "num_segments": "1",
            "error_code": None,
            "error_message": None,
            "account_sid": ACCOUNT,
        }


def _authorized(request: web.Request) -> bool:
    expected = base64.b64encode(f"{ACCOUNT}:{TOKEN}".encode()).decode()
    return (
        request.headers.get("Authorization") == f"Basic {expected}"
        and request.match_info["account"] == ACCOUNT
    )


def _wrong(form: dict[str, str]) -> tuple[int, str] | None:
    if not form.get("To"):
        return 21604, "A 'To' phone number is required."
    if not re.fullmatch(r"\+[1-9]\d{6,14}", form["To"]):
        return 21211, "Invalid 'To' Phone Number"
    if not form.get("From"):
        return 21603, "A 'From' phone number is required."
    if not form.get("Body"):
        return 21602, "Message body is required."
    return None


def _error(status: int, code: int, message: str, headers: dict[str, str] | None = None) -> web.Response:
    body = {
        "code": code,
        "message": message,
        "more_info": f"https://www.twilio.com/docs/errors/{code}",
        "status": status,
    }
    return web.json_response(body, status=status, headers=headers)


async def _run(arguments: argparse.Namespace) -> None:
    faults = Faults(rates=parse(arguments.fault, FAULTS), seed=arguments.seed)
    fake = FakeTwilio(arguments.folder, faults, arguments.spec)
    await serve(fake, arguments.port, account=ACCOUNT, token=TOKEN, sender=SENDER)


if __name__ == "__main__":
    options = parser(__doc__ or "")
    options.add_argument("--spec", type=Path, default=None)
    asyncio.run(_run(options.parse_args()))
