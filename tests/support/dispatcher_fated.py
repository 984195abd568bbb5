"""Far ends whose faults belong to messages: each recipient's first hand-over meets what was planned for it, later ones nothing."""

from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

from aiohttp import web
from aiosmtpd.smtp import SMTP, Envelope, Session

from tests.fakes.fates import Fates
from tests.fakes.smtp import FakeSmtp
from tests.fakes.twilio import ACCOUNT, SENDER, TOKEN, FakeTwilio

Plan = dict[str, str]
"""Faults by recipient, as the fakes name them."""


class FatedSmtp(FakeSmtp):
    """An SMTP server; it has no call-backs."""

    name = "mail"

    def __init__(self, folder: Path, plan: Plan) -> None:
        super().__init__(folder)
        self._plan = plan

    @property
    def entry(self) -> dict[str, Any]:
        """What `providers.yaml` says of it."""
        return {"kind": "smtp", "host": "127.0.0.1", "port": self.port, "connections": 10}

    def taken(self) -> list[str]:
        """Ids of the messages that it took, in order."""
        return [entry["message_id"] for entry in self.received()]

    async def handle_RCPT(  # noqa: N802  aiosmtpd's names
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        """Meet the recipient's fault."""
        self.faults.script.append(self._plan.pop(address, None))
        return await super().handle_RCPT(server, session, envelope, address, options)


class FatedTwilio(FakeTwilio):
    """Twilio, which tells each of its events twice."""

    name = "sms"

    def __init__(self, folder: Path, plan: Plan, callback_url: str) -> None:
        fates = Fates({"30005": 0.2}, duplicate=1.0, disorder=0.3, delay=0.2, seed=1)
        super().__init__(folder, callback_url=callback_url, fates=fates)
        self._plan = plan
        (folder / "token").write_text(TOKEN)
        self._token = folder / "token"

    @property
    def entry(self) -> dict[str, Any]:
        """What `providers.yaml` says of it."""
        return {
            "kind": "twilio",
            "account": ACCOUNT,
            "sender": SENDER,
            "token": {"file": str(self._token)},
            "url": self.url,
        }

    def taken(self) -> list[str]:
        """Ids of the messages that it took, in order."""
        return [entry["k"] for entry in self.received()]

    async def send(self, request: web.Request) -> web.StreamResponse:
        """Meet the recipient's fault."""
        recipient = parse_qs((await request.read()).decode()).get("To", [""])[0]
        self.faults.script.append(self._plan.pop(recipient, None))
        return await super().send(request)
