"""An SMTP server that takes mail and keeps it: each message as `.eml`, and a line in `received.jsonl`.

Faults: `4xx` and `5xx` refuse the recipient, `5xx_us` the sender in the recipient's turn, `data_4xx` refuses
after the content, `drop_before` closes the connection before the recipient is accepted, `drop_lost` after the
content without keeping it, `drop_taken` after keeping it.

    python -m tests.fakes.smtp --port 0 --folder DIR [--fault 4xx=0.05] [--seed 7]
"""

import argparse
import asyncio
import re
from email import message_from_bytes
from email.policy import default
from pathlib import Path
from typing import Any

from aiosmtpd.smtp import SMTP, Envelope, Session

from tests.fakes.faults import Faults, parse
from tests.fakes.log import ReceivedLog, read
from tests.fakes.serving import parser, serve

FAULTS = ("4xx", "5xx", "5xx_us", "data_4xx", "drop_before", "drop_lost", "drop_taken")
_RECEIVED = "received.jsonl"


class FakeSmtp:
    """A server on 127.0.0.1. While `gate` is cleared no content is answered: slow without sleeping.

    `sender_refusal` is what every sender is told, if anything.
    """

    def __init__(self, folder: Path, faults: Faults | None = None) -> None:
        self.folder = folder
        self.faults = faults or Faults()
        self.gate = asyncio.Event()
        self.gate.set()
        self.waiting = 0
        self.sender_refusal: str | None = None
        self._received = ReceivedLog(folder / _RECEIVED)
        self._server: asyncio.Server | None = None
        self._sessions: set[SMTP] = set()
        self._number = 0

    @property
    def port(self) -> int:
        """Port that it listens on."""
        assert self._server is not None
        return int(self._server.sockets[0].getsockname()[1])

    async def start(self, port: int = 0) -> None:
        """Listen."""
        self._server = await asyncio.get_running_loop().create_server(self._session, "127.0.0.1", port)

    async def stop(self) -> None:
        """Close the listener and every connection."""
        if self._server is not None:
            self._server.close()
        self.hang_up()
        for session in self._sessions:
            handler = session._handler_coroutine  # noqa: SLF001  aiosmtpd leaves it running after an abort
            if handler is not None:
                handler.cancel()
                await asyncio.gather(handler, return_exceptions=True)
        if self._server is not None:
            await self._server.wait_closed()
        self._received.close()

    def hang_up(self) -> None:
        """Close every connection, as a server does with idle ones."""
        for session in self._sessions:
            _cut(session)

    def received(self) -> list[dict[str, Any]]:
        """What was kept, in order."""
        return read(self._received.path)

    def _session(self) -> SMTP:
        session = SMTP(
            self, hostname="fake.example.com", enable_SMTPUTF8=False, loop=asyncio.get_running_loop()
        )
        self._sessions.add(session)
        return session

    async def handle_MAIL(  # noqa: N802  aiosmtpd's names
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        """Accept the sender, unless all are refused."""
        del server, session
        if self.sender_refusal is not None:
            return self.sender_refusal
        envelope.mail_from = address
        envelope.mail_options.extend(options)
        return "250 OK"

    async def handle_RCPT(  # noqa: N802  aiosmtpd's names
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        """Accept, or refuse as the next fault says."""
        del session, options
        fault = self.faults.take()
        if fault == "4xx":
            return "451 4.3.0 try again later"
        if fault == "5xx":
            return "550 5.1.1 no such mailbox"
        if fault == "5xx_us":
            return "550 5.1.8 sender address rejected"
        if fault == "drop_before":
            _cut(server)
            return "421 gone"
        envelope.fault = fault  # type: ignore[attr-defined]  # carried to the content's turn
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802  aiosmtpd's name
        """Keep the content, unless the fault says otherwise."""
        del session
        self.waiting += 1
        await self.gate.wait()
        self.waiting -= 1
        fault = getattr(envelope, "fault", None)
        if fault == "data_4xx":
            return "452 4.3.1 no room"
        if fault != "drop_lost":
            self._keep(envelope)
        if fault in ("drop_lost", "drop_taken"):
            _cut(server)
        return "250 2.0.0 OK"

    def _keep(self, envelope: Envelope) -> None:
        raw = envelope.content if isinstance(envelope.content, bytes) else (envelope.content or "").encode()
        headers = message_from_bytes(raw, policy=default)
        message_id = str(headers["X-Orderwake-Message-Id"] or "")
        self._number += 1
        name = f"{re.sub('[^0-9a-zA-Z-]', '', message_id) or 'unnamed'}-{self._number:06d}.eml"
        (self.folder / name).write_bytes(raw)
        self._received.append(
            {
                "message_id": message_id,
                "to": envelope.rcpt_tos,
                "subject": str(headers["Subject"]),
                "file": name,
            }
        )


def _cut(session: SMTP) -> None:
    if isinstance(session.transport, asyncio.Transport):
        session.transport.abort()


async def _run(arguments: argparse.Namespace) -> None:
    faults = Faults(rates=parse(arguments.fault, FAULTS), seed=arguments.seed)
    await serve(FakeSmtp(arguments.folder, faults), arguments.port)


if __name__ == "__main__":
    asyncio.run(_run(parser(__doc__ or "").parse_args()))
