"""SMTP as servers in the world have it: TLS that must be vouched for, passwords that change, connections that idle."""

import asyncio
import base64
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email import message_from_bytes
from email.policy import default
from ipaddress import ip_address
from pathlib import Path
from typing import Any
from uuid import uuid4

import dkim  # type: ignore[import-untyped]  # it has no types
import pytest
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from cryptography.x509.oid import NameOID
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from services.dispatcher.providers.base import Answer, EmailContent, Fault, Parcel, Result
from services.dispatcher.providers.config import Surroundings
from services.dispatcher.providers.dkim import DkimConfig, Signer
from services.dispatcher.providers.mime import serialise
from services.dispatcher.providers.smtp import SmtpConfig, SmtpProvider
from shared.errors import SettingsError
from shared.secrets import Secret
from tests.support.waiting import eventually

HERE = Surroundings(None, "offers@shop.example.com")
WRITTEN = datetime(2026, 3, 2, 9, tzinfo=UTC)
URL = f"https://go.example.com/u/{'t' * 120}"


class Server:
    """Keeps what it takes. `passwords` are those it believes today, if it asks for any."""

    def __init__(self, tls: ssl.SSLContext | None = None, passwords: tuple[str, ...] = ()) -> None:
        self.kept: list[bytes] = []
        self.sessions: list[SMTP] = []
        self.open = 0
        self.passwords = set(passwords)
        self.tls = tls
        self.port = 0

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802  aiosmtpd's name
        del server, session
        assert isinstance(envelope.content, bytes)
        self.kept.append(envelope.content)
        return "250 2.0.0 OK"

    async def handle_MAIL(  # noqa: N802  aiosmtpd's
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        del server, options
        believed = getattr(session, "auth_data", None)
        if self.passwords and believed and believed.password.decode() not in self.passwords:
            return "530 5.7.0 Authentication required"
        envelope.mail_from = address
        return "250 OK"

    def believe(
        self, _server: SMTP, _session: Session, _envelope: Envelope, _kind: str, data: object
    ) -> AuthResult:
        assert isinstance(data, LoginPassword)
        good = data.password.decode() in self.passwords
        return AuthResult(success=good, handled=False, auth_data=data)

    def session(self) -> SMTP:
        server = self

        class Counted(SMTP):
            def connection_made(self, transport: Any) -> None:  # noqa: ANN401  asyncio's
                server.open += not self.transport
                super().connection_made(transport)

            def connection_lost(self, error: Exception | None) -> None:
                server.open -= 1
                super().connection_lost(error)

        made = Counted(
            self,
            hostname="localhost",
            loop=asyncio.get_running_loop(),
            tls_context=self.tls,
            require_starttls=self.tls is not None,
            authenticator=self.believe,
            auth_required=bool(self.passwords),
            auth_require_tls=self.tls is not None,
        )
        self.sessions.append(made)
        return made


@asynccontextmanager
async def serving(server: Server) -> AsyncIterator[Server]:
    listener = await asyncio.get_running_loop().create_server(server.session, "127.0.0.1", 0)
    server.port = listener.sockets[0].getsockname()[1]
    try:
        yield server
    finally:
        listener.close()
        await eventually(lambda: server.open == 0, what="every connection to be closed")


@asynccontextmanager
async def provider(server: Server, **fields: Any) -> AsyncIterator[SmtpProvider]:  # noqa: ANN401  any field
    given = {"name": "mail-1", "host": "127.0.0.1", "port": server.port, "connections": 1, **fields}
    made = SmtpProvider(SmtpConfig(**given), HERE)
    await made.start()
    try:
        yield made
    finally:
        await made.close()


def parcel() -> Parcel:
    content = EmailContent("Dewy & Co, Åre", "Für Ana", "Hällo\n.\n", "<p>Hi</p>  \n\n", URL, WRITTEN)
    return Parcel(uuid4(), "someone@example.com", content, 3600)


def authority(folder: Path, host: str = "127.0.0.1") -> tuple[Path, ssl.SSLContext]:
    """Make a certificate that vouches for itself; return its file and a server's side of it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "tests")])
    begins = datetime.now(UTC) - timedelta(days=1)
    place = x509.IPAddress(ip_address(host)) if host[0].isdigit() else x509.DNSName(host)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begins)
        .not_valid_after(begins + timedelta(days=30))
        .add_extension(x509.SubjectAlternativeName([place]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, SHA256())
    )
    folder.mkdir(exist_ok=True)
    certificate, secret = folder / "ca.pem", folder / "key.pem"
    certificate.write_bytes(made.public_bytes(Encoding.PEM))
    secret.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, secret)
    return certificate, context


async def test_mail_goes_over_tls_that_the_given_authority_vouches_for(tmp_path: Path) -> None:
    ca_file, context = authority(tmp_path)
    async with (
        serving(Server(context)) as server,
        provider(server, starttls=True, ca_file=ca_file) as mail,
    ):
        assert (await mail.send(parcel())).result is Result.ACCEPTED
        assert (await mail.send(parcel())).result is Result.ACCEPTED
        assert len(server.kept) == 2
        assert len(server.sessions) == 1


@pytest.mark.parametrize("case", ["nobody_vouches", "another_authority", "another_name"])
async def test_nothing_is_sent_to_a_server_that_cannot_prove_who_it_is(tmp_path: Path, case: str) -> None:
    ca_file, context = authority(
        tmp_path / "own", "other.example.com" if case == "another_name" else "127.0.0.1"
    )
    given = {"nobody_vouches": None, "another_authority": authority(tmp_path / "other")[0]}.get(case, ca_file)
    async with serving(Server(context)) as server, provider(server, starttls=True, ca_file=given) as mail:
        answer = await mail.send(parcel())
    assert answer == Answer.of(Fault.SENDER, "smtp_tls_untrusted")
    assert server.kept == []


async def test_nothing_is_sent_in_the_clear_where_tls_was_asked_for() -> None:
    async with serving(Server()) as server, provider(server, starttls=True) as mail:
        assert (await mail.send(parcel())).result is Result.NOT_TAKEN
    assert server.kept == []


def test_settings_that_cannot_work_are_told_at_once(tmp_path: Path) -> None:
    config = SmtpConfig(name="m", host="h", starttls=True, ca_file=tmp_path / "none.pem")
    with pytest.raises(SettingsError, match=r"none\.pem"):
        SmtpProvider(config, HERE)
    with pytest.raises(ValidationError, match="exclude each other"):
        SmtpConfig(name="m", host="h", starttls=True, tls=True)
    key = tmp_path / "key.pem"
    key.write_text("no key")
    signing = DkimConfig(selector="s1", key=Secret(file=key))
    with pytest.raises(SettingsError, match="PEM private key"):
        SmtpProvider(SmtpConfig(name="m", host="h", dkim=signing), HERE)


async def test_a_changed_password_is_read_again_without_a_message_lost(tmp_path: Path) -> None:
    secret = tmp_path / "password"
    secret.write_text("old-password\n")
    ca_file, context = authority(tmp_path)
    fields = {"username": "shop", "password": Secret(file=secret), "starttls": True, "ca_file": ca_file}
    async with (
        serving(Server(context, ("old-password",))) as server,
        provider(server, **fields) as mail,
    ):
        assert (await mail.send(parcel())).result is Result.ACCEPTED
        server.passwords = {"new-password"}
        refused = await mail.send(parcel())
        assert refused.fault is Fault.SENDER
        assert refused.reason == "smtp_535"
        secret.write_text("the-new-one-is-below\nnew-password\n")
        assert (await mail.send(parcel())).result is Result.ACCEPTED
    assert len(server.kept) == 2


async def test_a_session_that_the_server_logged_out_is_opened_again_with_the_new_password(
    tmp_path: Path,
) -> None:
    secret = tmp_path / "password"
    secret.write_text("old-password\n")
    ca_file, context = authority(tmp_path)
    fields = {"username": "shop", "password": Secret(file=secret), "starttls": True, "ca_file": ca_file}
    async with (
        serving(Server(context, ("old-password",))) as server,
        provider(server, **fields) as mail,
    ):
        assert (await mail.send(parcel())).result is Result.ACCEPTED
        server.passwords = {"new-password"}
        secret.write_text("new-password\n")
        assert (await mail.send(parcel())).result is Result.ACCEPTED
        assert len(server.sessions) == 2


async def test_an_idle_connection_is_closed_and_the_next_message_opens_another() -> None:
    async with serving(Server()) as server, provider(server, idle_seconds=0.05) as mail:
        assert (await mail.send(parcel())).result is Result.ACCEPTED
        await eventually(lambda: server.open == 0, what="the idle connection to be closed")
        assert (await mail.send(parcel())).result is Result.ACCEPTED
        assert len(server.sessions) == 2


def _rsa() -> tuple[bytes, str]:
    key = rsa.generate_private_key(65537, 2048)
    public = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return key.private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
    ), f"v=DKIM1; k=rsa; p={_base64(public)}"


def _base64(raw: bytes) -> str:
    return base64.b64encode(raw).decode()


_PRIVATE, _RECORD = _rsa()
_SIGNER = Signer(DkimConfig(selector="s1", key=Secret.given(_PRIVATE.decode())))


async def _signed(server: Server, key: Path) -> bytes:
    async with provider(server, dkim=DkimConfig(selector="s1", key=Secret(file=key))) as mail:
        assert (await mail.send(parcel())).result is Result.ACCEPTED
    return server.kept[-1]


async def test_a_signature_over_both_unsubscribe_headers_verifies_after_smtp(tmp_path: Path) -> None:
    private, record = _rsa()
    key = tmp_path / "dkim.pem"
    key.write_bytes(private)
    async with serving(Server()) as server:
        raw = await _signed(server, key)

    def dns(name: bytes, **_: Any) -> bytes:  # noqa: ANN401  dkim's
        assert name == b"s1._domainkey.shop.example.com."
        return record.encode()

    assert dkim.verify(raw, dnsfunc=dns)
    signature = raw.partition(b"\r\nFrom:")[0]
    for name in (b"list-unsubscribe:", b"list-unsubscribe-post", b"from:", b"subject:"):
        assert name in signature
    assert f"\r\nList-Unsubscribe: <{URL}>\r\n".encode() in raw
    for change in ((b"One-Click", b"Two-Click"), (b"ttttt", b"uuuuu"), (b"H=C3=A4llo", b"Hello")):
        assert change[0] in raw
        assert not dkim.verify(raw.replace(*change), dnsfunc=dns)


@settings(max_examples=50)
@given(st.lists(st.text(" \tab.=", max_size=8), max_size=8), st.text(" \tab", max_size=8))
def test_whatever_space_a_message_has_its_signature_verifies(lines: list[str], subject: str) -> None:
    head = f"From: a@b.example\r\nSubject: x{subject}y\r\n folded\r\nList-Unsubscribe: <{URL}>\r\n\r\n"
    raw = (head + "".join(f"{line}\r\n" for line in lines)).encode()
    assert dkim.verify(_SIGNER.signed(raw, "a@b.example", WRITTEN), dnsfunc=lambda *_, **__: _RECORD.encode())


async def test_a_key_that_was_exchanged_signs_from_the_next_message_on(tmp_path: Path) -> None:
    (first, _), (second, record) = _rsa(), _rsa()
    key = tmp_path / "dkim.pem"
    key.write_bytes(first)
    config = DkimConfig(selector="s1", key=Secret(file=key))
    async with serving(Server()) as server, provider(server, dkim=config) as mail:
        await mail.send(parcel())
        fresh = tmp_path / "fresh.pem"
        fresh.write_bytes(second)
        fresh.replace(key)
        await mail.send(parcel())
    verified = [dkim.verify(raw, dnsfunc=lambda *_, **__: record.encode()) for raw in server.kept]
    assert verified == [False, True]


@pytest.mark.parametrize("recipient", ["plain@example.com", '"with space"@example.com'])
@pytest.mark.parametrize("subject", ["Plain", "Für Åsa €", "w" * 1200])
def test_what_people_wrote_comes_back_and_no_line_is_too_long(recipient: str, subject: str) -> None:
    one = parcel()
    assert isinstance(one.content, EmailContent)
    raw = serialise(
        replace(one, recipient=recipient, content=replace(one.content, subject=subject)), "a@b.example"
    )
    assert message_from_bytes(raw, policy=default)["Subject"] == subject
    assert message_from_bytes(raw, policy=default)["To"] == recipient
    assert max(map(len, raw.split(b"\r\n"))) <= 998
