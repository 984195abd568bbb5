"""E-mail over SMTP, on a few kept connections.

Until the content is sent nothing can have been taken; from then on only a reply tells.
"""

import asyncio
import re
import socket
import ssl
from pathlib import Path
from typing import Annotated, Literal, Self

import aiosmtplib
from pydantic import Field, model_validator

from services.dispatcher.providers.base import Answer, EmailContent, Fault, Parcel
from services.dispatcher.providers.config import ProviderConfig, Surroundings
from services.dispatcher.providers.dkim import DkimConfig, Signer
from services.dispatcher.providers.mime import is_address, serialise
from shared.errors import SettingsError
from shared.events import Channel
from shared.secrets import Secret

__all__ = ["SmtpConfig", "SmtpProvider", "is_address", "serialise"]

_FAULTS = (aiosmtplib.SMTPException, OSError)
_PERMANENT = 5
_CREDENTIALS = frozenset({530, 534, 535, 538})  # RFC 4954
_LOGGED_OUT = _CREDENTIALS | {421}
_SENDER_AT_FAULT = re.compile(r"5\.1\.[78]\b")  # RFC 3463: the sender's address, however late it is refused


class SmtpConfig(ProviderConfig):
    """An SMTP server that relays for us.

    `starttls` begins in the clear and goes on only over TLS, `tls` is TLS from the start; either way the server's
    certificate must be one that this machine, or `ca_file`, vouches for. A connection that was idle for
    `idle_seconds` is closed. `password` may hold several lines, tried in turn while it is being changed.
    """

    kind: Literal["smtp"] = "smtp"
    host: str
    port: Annotated[int, Field(ge=1, le=65535)] = 25
    connections: Annotated[int, Field(ge=1, le=100)] = 4
    idle_seconds: Annotated[float, Field(gt=0, le=3600)] = 30.0
    starttls: bool = False
    tls: bool = False
    ca_file: Path | None = None
    username: str | None = None
    password: Secret | None = None
    dkim: DkimConfig | None = None

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.starttls and self.tls:
            message = "starttls and tls exclude each other; port 587 takes starttls, port 465 tls"
            raise ValueError(message)
        return self


class SmtpProvider:
    """Hands e-mail to one SMTP server."""

    channel = Channel.EMAIL
    once = False

    def __init__(self, config: SmtpConfig, here: Surroundings) -> None:
        """Raise SettingsError where the certificate or DKIM key cannot be used."""
        self.name = config.name
        self._sender = here.sender_email
        self._signer = Signer(config.dkim) if config.dkim else None
        self._free: asyncio.LifoQueue[_Line] = asyncio.LifoQueue()
        tls = _tls_of(config)
        for _ in range(config.connections):
            self._free.put_nowait(_Line(config, tls))

    async def start(self) -> None:
        """Nothing to do: connections wait for the first parcel."""

    async def send(self, parcel: Parcel) -> Answer:
        """Hand over one e-mail."""
        sender = parcel.sender or self._sender
        try:
            raw = self._written(parcel, sender)
        except ValueError:
            return Answer.of(Fault.PERMANENT, "smtp_unwritable")
        line = await self._free.get()
        try:
            return await line.hand_over(sender, parcel.recipient, raw)
        except BaseException:
            line.drop()
            raise
        finally:
            line.rest()
            self._free.put_nowait(line)

    def _written(self, parcel: Parcel, sender: str) -> bytes:
        raw = serialise(parcel, sender)
        if self._signer is None or not isinstance(parcel.content, EmailContent):
            return raw
        return self._signer.signed(raw, sender, parcel.content.written_at)

    async def close(self) -> None:
        """Close every connection that is not in use."""
        while not self._free.empty():
            self._free.get_nowait().drop()


class _Line:
    """One connection, made when first needed, made anew after a fault, and closed when it has been idle."""

    def __init__(self, config: SmtpConfig, tls: ssl.SSLContext | None) -> None:
        self._config = config
        self._tls = tls
        self._client: aiosmtplib.SMTP | None = None
        self._closing: asyncio.TimerHandle | None = None

    async def hand_over(self, sender: str, recipient: str, raw: bytes) -> Answer:
        if self._closing is not None:
            self._closing.cancel()
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
            return _not_reached(fault)
        return await self._data(client, raw)

    def rest(self) -> None:
        """Nothing to do for now: close unless there is work again soon."""
        if self._client is not None:
            loop = asyncio.get_running_loop()
            self._closing = loop.call_later(self._config.idle_seconds, self.drop)

    def drop(self) -> None:
        if self._closing is not None:
            self._closing.cancel()
        if self._client is not None:
            self._client.close()
            self._client = None

    async def _open_envelope(self, sender: str, recipient: str) -> aiosmtplib.SMTP:
        if self._client is not None:
            try:
                return await self._envelope(self._client, sender, recipient)
            except aiosmtplib.SMTPServerDisconnected:
                self.drop()  # the server closed it while it was idle; a new one tells the truth
            except aiosmtplib.SMTPSenderRefused as refusal:
                if refusal.code not in _LOGGED_OUT:
                    raise
                self.drop()  # the password may have been changed, and we have the new one
        self._client = self._made()
        await self._client.connect()
        await self._log_in(self._client)
        return await self._envelope(self._client, sender, recipient)

    def _made(self) -> aiosmtplib.SMTP:
        return aiosmtplib.SMTP(
            hostname=self._config.host,
            port=self._config.port,
            timeout=self._config.timeout_seconds,
            start_tls=self._config.starttls,
            use_tls=self._config.tls,
            tls_context=self._tls,
            local_hostname=socket.gethostname(),
        )

    async def _log_in(self, client: aiosmtplib.SMTP) -> None:
        if self._config.username is None or self._config.password is None:
            return
        *former, last = self._config.password.all()
        for password in former:
            try:
                await client.login(self._config.username, password)
            except aiosmtplib.SMTPAuthenticationError:
                continue
            return
        await client.login(self._config.username, last)

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


def _tls_of(config: SmtpConfig) -> ssl.SSLContext | None:
    if not config.starttls and not config.tls:
        return None
    try:
        return ssl.create_default_context(cafile=config.ca_file)
    except OSError as error:
        message = f"{config.name}: cannot use ca_file {config.ca_file}: {error.strerror or error}; give certificates in PEM"
        raise SettingsError(message) from error


def _not_reached(fault: Exception) -> Answer:
    """Nothing was sent. A certificate that nobody vouches for is ours to mend, and no message goes out meanwhile."""
    seen: BaseException | None = fault
    while seen is not None:
        if isinstance(seen, ssl.SSLCertVerificationError):
            return Answer.of(Fault.SENDER, "smtp_tls_untrusted")
        seen = seen.__cause__ or seen.__context__
    return Answer.of(Fault.PASSING, _word(fault))


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
