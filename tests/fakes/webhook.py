"""A shop's own receiver of signed webhooks (Standard Webhooks), verified by the library that shops use.

It heeds `webhook-id`: what comes again under the same id is answered as before and not kept twice.
"""

import base64
import json
from typing import ClassVar

from aiohttp import web
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from tests.fakes.asking import Accepted, Ask, Refusal
from tests.fakes.core import HttpFake

KEY = "whsec_" + base64.b64encode(b"a fake shop's signing key 32 byt").decode()


class FakeWebhook(HttpFake):
    """Takes every POST below `/hook`."""

    kind = "webhook"
    refusals: ClassVar = {
        "429": Refusal(429, "Too Many Requests", {"Retry-After": "1"}),
        "302": Refusal(302, "", {"Location": "https://elsewhere.example.com/"}),
        **{
            str(status): Refusal(status, f"status {status}")
            for status in (400, 401, 403, 404, 410, 413, 422, 500, 502, 503, 504)
        },
    }

    @property
    def credentials(self) -> dict[str, str]:
        """`key` to sign with, `path` to post to."""
        return {"key": KEY, "path": "/hook"}

    @property
    def checked(self) -> bool:
        """The library is the specification."""
        return self.check

    def routes(self) -> list[web.RouteDef]:
        """One address, and all below it."""
        return [web.post("/hook", self.send), web.post("/hook/{path:.*}", self.send)]

    def found_wrong(self, ask: Ask) -> list[str]:
        """A signature that does not verify, a body that is no JSON."""
        if not self.check or ask.request.method != "POST":
            return []
        wrong = []
        if ask.request.content_type != "application/json":
            wrong.append("Content-Type is not application/json")
        try:
            json.loads(ask.body)
        except ValueError:
            wrong.append("the body is not JSON")
        unsigned = _unsigned(ask)
        return [*wrong, unsigned] if unsigned else wrong

    def refuse(self, ask: Ask) -> Refusal | None:
        """401 without a good signature."""
        return self.refusals["401"] if _unsigned(ask) else None

    def accept(self, ask: Ask) -> Accepted:
        """204."""
        reference = ask.header("webhook-id")
        entry = {"reference": reference, "to": ask.request.path, "k": reference, "body": ask.body.decode()}
        return Accepted(web.Response(status=204), None if reference in self.entries else entry)


def _unsigned(ask: Ask) -> str | None:
    headers = {name.lower(): value for name, value in ask.request.headers.items()}
    try:
        Webhook(KEY).verify(ask.body, headers, json_parse=False)
    except (WebhookVerificationError, ValueError) as fault:
        return f"the signature does not verify: {fault}"
    return None
