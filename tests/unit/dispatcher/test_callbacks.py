"""The endpoint for call-backs against requests that nobody sent who may: refused, and never a fault of ours."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest
from aiohttp import web

from services.dispatcher.callbacks import CallBacks
from services.dispatcher.providers.base import Provider, Report
from services.dispatcher.providers.config import Surroundings
from services.dispatcher.providers.mailgun import MailgunConfig, MailgunProvider
from services.dispatcher.providers.postmark import PostmarkConfig, PostmarkProvider
from services.dispatcher.providers.resend import ResendConfig, ResendProvider
from services.dispatcher.providers.sendgrid import SendGridConfig, SendGridProvider
from services.dispatcher.providers.ses import SesConfig, SesProvider
from services.dispatcher.providers.twilio import TwilioConfig, TwilioProvider
from services.dispatcher.providers.vonage import VonageConfig, VonageProvider
from services.dispatcher.reports import Hearing
from shared.clock import SystemClock
from shared.events import Channel
from shared.secrets import Secret

HERE = Surroundings("https://go.example.com", "offers@shop.example.com")
TOPIC = "arn:aws:sns:eu-west-1:123456789012:events"
KEY = Secret.given("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")


class Deaf(Hearing):
    """Hears nothing: nothing that these tests send may come so far."""

    def __init__(self) -> None:
        self.heard = 0

    async def take(self, provider: str, channel: Channel, reports: Sequence[Report]) -> int:
        """Count."""
        del provider, channel
        self.heard += 1
        return len(reports)


def providers(folder: Path) -> list[Provider]:
    missing = Secret(file=folder / "not-there")
    return [
        MailgunProvider(MailgunConfig(name="mailgun", domain="d.example", key=KEY, callback_key=KEY), HERE),
        PostmarkProvider(PostmarkConfig(name="postmark", key=KEY, callback_key=KEY), HERE),
        ResendProvider(ResendConfig(name="resend", key=KEY, callback_key=KEY), HERE),
        SendGridProvider(SendGridConfig(name="sendgrid", key=KEY, callback_key=KEY), HERE),
        SesProvider(SesConfig(name="ses", region="eu-west-1", topics=(TOPIC,)), HERE),
        TwilioProvider(TwilioConfig(name="twilio", account="AC1", token=KEY, sender="+1555"), HERE),
        VonageProvider(
            VonageConfig(name="vonage", account="a", secret=KEY, callback_key=KEY, sender="+1555"), HERE
        ),
        PostmarkProvider(PostmarkConfig(name="keyless", key=KEY, callback_key=missing), HERE),
    ]


@pytest.fixture
async def hearing() -> Deaf:
    return Deaf()


@pytest.fixture
async def port(hearing: Deaf, tmp_path: Path) -> AsyncIterator[int]:
    made = {each.name: each for each in providers(tmp_path)}
    app = web.Application()
    app.add_routes(CallBacks(made, hearing, SystemClock(), "https://go.example.com").routes())
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield runner.addresses[0][1]
    await runner.cleanup()


async def posted(port: int, path: bytes, headers: bytes, body: bytes) -> int:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    head = b"POST %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: %d\r\n" % (path, len(body))
    writer.write(head + headers + b"\r\n" + body)
    status = int((await reader.readline()).split(b" ")[1])
    writer.close()
    await writer.wait_closed()
    return status


ODD = b"\xff\xfe\xe9"
LONG = b"9" * 5000
SENDGRID = b"X-Twilio-Email-Event-Webhook-Timestamp: %s\r\nX-Twilio-Email-Event-Webhook-Signature: %s\r\n"
SVIX = b"svix-id: %s\r\nsvix-timestamp: %s\r\nsvix-signature: %s\r\n"


@pytest.mark.parametrize(
    ("path", "headers", "body"),
    [
        (b"/callbacks/twilio", b"X-Twilio-Signature: " + ODD + b"\r\n", b"From=%2B1555&Body=STOP"),
        (b"/callbacks/twilio?bodySHA256=%FF%FE", b"X-Twilio-Signature: x\r\n", b"{}"),
        (b"/callbacks/twilio?k=" + LONG, b"X-Twilio-Signature: x\r\n", ODD),
        (b"/callbacks/sendgrid", SENDGRID % (LONG, ODD), b"[]"),
        (b"/callbacks/sendgrid", SENDGRID % (b"1", ODD), ODD),
        (b"/callbacks/resend", SVIX % (ODD, LONG, ODD), b"{}"),
        (b"/callbacks/resend", SVIX % (b"", b"", b""), ODD),
        (b"/callbacks/mailgun", b"", b'{"signature": {"timestamp": "%s", "token": "t"}}' % LONG),
        (b"/callbacks/mailgun", b"", b'{"signature": {"timestamp": 1e999}}'),
        (b"/callbacks/mailgun", b"", b"[" * 100_000),
        (b"/callbacks/mailgun", b"Content-Encoding: gzip\r\n", b"no gzip"),
        (b"/callbacks/postmark", b"Authorization: Basic " + ODD + b"\r\n", b"{}"),
        (b"/callbacks/vonage", b"", b"sig=%FF&timestamp=" + LONG),
        (b"/callbacks/vonage", b"Content-Type: application/json\r\n", b'{"sig": {"a": 1}, "timestamp": NaN}'),
        (b"/callbacks/vonage?sig=" + ODD, b"", b""),
        (b"/callbacks/ses", b"", b'{"TopicArn": ["x"], "Type": {}}'),
        (b"/callbacks/ses", b"", b'{"TopicArn": "%s", "Type": "Notification"}' % TOPIC.encode()),
    ],
)
async def test_what_nobody_signed_is_refused_however_odd(
    port: int, hearing: Deaf, path: bytes, headers: bytes, body: bytes
) -> None:
    assert await posted(port, path, headers, body) in {400, 403}
    assert hearing.heard == 0


async def test_nothing_is_believed_while_the_key_cannot_be_read_and_it_may_come_again(
    port: int, hearing: Deaf
) -> None:
    assert await posted(port, b"/callbacks/keyless", b"Authorization: Basic eDp5\r\n", b"{}") == 503
    assert hearing.heard == 0
