"""E-mail over SMTP, on a few kept connections.

Messages are serialised here and sent as bytes: EmailMessage's own policy, which aiosmtplib uses again for a
message object, folds a long List-Unsubscribe into an encoded word, and one-click unsubscribe dies. Until DATA
is begun nothing can have been taken; from then on only a reply tells.
"""

import asyncio
import re
import socket
from binascii import b2a_qp
from email.errors import HeaderParseError
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP as SMTP_POLICY
from email.utils import format_datetime
from typing import Annotated, Literal

import aiosmtplib
from pydantic import Field

from services.dispatcher.providers.base import Answer, EmailContent, Fault, Parcel
from services.dispatcher.providers.config import ProviderConfig, Surroundings
from shared.events import Channel
from shared.secrets import Secret

POLICY = SMTP_POLICY.clone(max_line_length=998)
CORRELATION_HEADER = "X-Orderwake-Message-Id"

_FAULTS = (aiosmtplib.SMTPException, OSError)
_PERMANENT = 5
_CREDENTIALS = frozenset({530, 534, 535, 538})  # RFC 4954
_SENDER_AT_FAULT = re.compile(r"5\.1\.[78]\b")  # RFC 3463: the sender's address, however late it is refused


def serialise(parcel: Parcel, sender_email: str) -> bytes:
    """The message as it goes over the wire. Raises ValueError when a header cannot hold its value.

    What people wrote is folded by the library; what we made ourselves is ASCII and goes as it is, which takes a
    quarter of the time and leaves long links whole.
    """
    if not isinstance(parcel.content, EmailContent):
        message = "SMTP carries e-mail only"
        raise TypeError(message)
    content, mail = parcel.content, EmailMessage(POLICY)
    sender = Address(content.sender_name, addr_spec=sender_email)
    mail["From"] = sender
    mail["To"] = Address(addr_spec=parcel.recipient)
    mail["Subject"] = content.subject
    boundary = f"=_{parcel.message_id.hex}"  # no quoted-printable line can hold "=_"
    own = {
        "Date": format_datetime(content.written_at),
        "Message-ID": f"<{parcel.message_id}@{sender.domain}>",
        "List-Unsubscribe": f"<{content.unsubscribe_url}>",
        "List-Unsubscribe-Post": "List-Unsubscribe=One-Click",
        CORRELATION_HEADER: str(parcel.message_id),
        "MIME-Version": "1.0",
        "Content-Type": f'multipart/alternative; boundary="{boundary}"',
    }
    folded = b"".join(POLICY.fold_binary(name, value) for name, value in mail.raw_items())
    headers = folded + "".join(f"{name}: {value}\r\n" for name, value in own.items()).encode("ascii")
    parts = (_part(boundary, "plain", content.text), _part(boundary, "html", content.html))
    return headers + b"\r\n" + b"".join(parts) + f"--{boundary}--\r\n".encode()


def _part(boundary: str, subtype: str, text: str) -> bytes:
    head = (
        f"--{boundary}\r\nContent-Type: text/{subtype}; charset=utf-8\r\n"
        "Content-Transfer-Encoding: quoted-printable\r\n\r\n"
    )
    lines = "\r\n".join(text.splitlines()) + "\r\n"
    return head.encode() + b2a_qp(lines.encode(), istext=True) + b"\r\n"


def is_address(recipient: str) -> bool:
    """Whether `recipient` is one that these headers and SMTP without SMTPUTF8 can carry."""
    try:
        return recipient.isascii() and bool(Address(addr_spec=recipient).domain)
    except (ValueError, HeaderParseError, IndexError):
        return False


class SmtpConfig(ProviderConfig):
    """An SMTP server that relays for us."""

    kind: Literal["smtp"] = "smtp"
    host: str
    port: Annotated[int, Field(ge=1, le=65535)] = 25
    connections: Annotated[int, Field(ge=1, le=100)] = 4
    starttls: bool = False
    username: str | None = None
    password: Secret | None = None


class SmtpProvider:
    """Hands e-mail to one SMTP server."""

    channel = Channel.EMAIL
    once = False

    def __init__(self, config: SmtpConfig, here: Surroundings) -> None:
        self.name = config.name
        self._sender = here.sender_email
        self._free: asyncio.LifoQueue[_Line] = asyncio.LifoQueue()
        for _ in range(config.connections):
            self._free.put_nowait(_Line(config))

    async def start(self) -> None:
        """Nothing to do: connections wait for the first parcel."""

    async def send(self, parcel: Parcel) -> Answer:
        """Hand over one e-mail."""
        sender = parcel.sender or self._sender
        try:
            raw = serialise(parcel, sender)
        except ValueError:
            return Answer.of(Fault.PERMANENT, "smtp_unwritable")
        line = await self._free.get()
        try:
            return await line.hand_over(sender, parcel.recipient, raw)
        except BaseException:
            line.drop()
            raise
        finally:
            self._free.put_nowait(line)

    async def close(self) -> None:
        """Close every connection that is not in use."""
        while not self._free.empty():
            self._free.get_nowait().drop()


class _Line:
    """One connection, made when first needed and made anew after a fault."""

    def __init__(self, config: SmtpConfig) -> None:
        self._config = config
        self._client: aiosmtplib.SMTP | None = None

    async def hand_over(self, sender: str, recipient: str, raw: bytes) -> Answer:
        try:
            client = await self._open_envelope(sender, recipient)
        except aiosmtplib.SMTPSenderRefused as refusal:
            await self._reset()
            return _refused_us(refusal)
        except aiosmtplib.SMTPRecipientRefused as refusal:
            await self._reset()
            return _refusal(refusal)
        except aiosmtplib.SMTPResponseException as refusal:  # greeting, EHLO or AUTH: not about this message
            self.drop()
            return _refused_us(refusal)
        except _FAULTS as fault:
            self.drop()
            return Answer.of(Fault.PASSING, _word(fault))
        return await self._data(client, raw)

    def drop(self) -> None:
        if self._client is not None:
            self._client.close()
            self._client = None

    async def _open_envelope(self, sender: str, recipient: str) -> aiosmtplib.SMTP:
        if self._client is not None:
            try:
                return await self._envelope(self._client, sender, recipient)
            except aiosmtplib.SMTPServerDisconnected:
                self.drop()  # the server closed it while it was idle; a new one tells the truth
        self._client = _client(self._config)
        await self._client.connect()
        return await self._envelope(self._client, sender, recipient)

    async def _envelope(self, client: aiosmtplib.SMTP, sender: str, recipient: str) -> aiosmtplib.SMTP:
        await client.mail(sender)
        await client.rcpt(recipient)
        return client

    async def _data(self, client: aiosmtplib.SMTP, raw: bytes) -> Answer:
        try:
            reply = await client.data(raw)
        except aiosmtplib.SMTPDataError as refusal:
            await self._reset()
            return _refusal(refusal)
        except _FAULTS as fault:
            self.drop()
            return Answer.of(Fault.OPEN, _word(fault))
        return Answer.accepted(None if "@" in reply.message else reply.message)

    async def _reset(self) -> None:
        try:
            if self._client is not None:
                await self._client.rset()
        except _FAULTS:
            self.drop()


def _client(config: SmtpConfig) -> aiosmtplib.SMTP:
    return aiosmtplib.SMTP(
        hostname=config.host,
        port=config.port,
        timeout=config.timeout_seconds,
        start_tls=config.starttls,
        username=config.username,
        password=config.password.value() if config.password else None,
        local_hostname=socket.gethostname(),
    )


def _refusal(refusal: aiosmtplib.SMTPResponseException) -> Answer:
    """RFC 5321, section 4.2.1: 4yz is transient, 5yz permanent, and neither took the message."""
    code = refusal.code
    if code in _CREDENTIALS or (code // 100 == _PERMANENT and _SENDER_AT_FAULT.match(refusal.message)):
        return _refused_us(refusal)
    faults = {4: Fault.PASSING, _PERMANENT: Fault.PERMANENT}
    return Answer.of(faults.get(code // 100, Fault.OPEN), f"smtp_{code}")


def _refused_us(refusal: aiosmtplib.SMTPResponseException) -> Answer:
    """Before any recipient was named, or whatever was: a permanent no is about our settings."""
    fault = Fault.SENDER if refusal.code // 100 == _PERMANENT else Fault.PASSING
    return Answer.of(fault, f"smtp_{refusal.code}")


def _word(fault: Exception) -> str:
    return "smtp_timeout" if isinstance(fault, TimeoutError) else "smtp_connection_lost"
