"""Requests to fakes written by hand, as the providers' references show them, and a place that takes call-backs."""

import base64
import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import urlencode
from uuid import UUID, uuid4

import aiohttp
from aiohttp import web
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from standardwebhooks.webhooks import Webhook

from tests.fakes import mailgun, postmark, resend, sendgrid, twilio, vonage, webhook
from tests.fakes.aws_signing import ACCESS_KEY, REGION, SECRET_KEY
from tests.fakes.core import HttpFake
from tests.support.pushing import pushed

EMAIL, PHONE = "someone@example.com", "+15550100007"
PUBLIC = "https://go.example.com/callbacks/sms-1"
_JSON = {"Content-Type": "application/json"}
_FORM = {"Content-Type": "application/x-www-form-urlencoded"}


@dataclass(frozen=True)
class Wire:
    """A request: `broken` is one that its specification does not allow."""

    path: str
    headers: Mapping[str, str]
    body: bytes
    broken: bytes

    def with_headers(self, **headers: str) -> "Wire":
        """The same with other headers."""
        return replace(self, headers={**self.headers, **headers})


async def ask(session: aiohttp.ClientSession, fake: HttpFake, wire: Wire) -> tuple[int, bytes]:
    """Status and body of the answer."""
    async with session.post(
        fake.url + wire.path, headers=wire.headers, data=wire.body, allow_redirects=False
    ) as answer:
        return answer.status, await answer.read()


def basic(user: str, password: str) -> str:
    """An Authorization header."""
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


def signed(
    fake: HttpFake, path: str, service: str, headers: Mapping[str, str], body: bytes
) -> dict[str, str]:
    """Headers with Signature Version 4, by botocore."""
    request = AWSRequest("POST", fake.url + path, data=body, headers=dict(headers))
    SigV4Auth(Credentials(ACCESS_KEY, SECRET_KEY), service, REGION).add_auth(request)
    return dict(request.headers)


def _sendgrid(_: HttpFake, message_id: UUID) -> Wire:
    mail: dict[str, Any] = {
        "personalizations": [{"to": [{"email": EMAIL}], "custom_args": {"message_id": str(message_id)}}],
        "from": {"email": "offers@shop.example.com", "name": "Lumen"},
        "subject": "Your cleanser",
        "content": [{"type": "text/plain", "value": "Hi"}, {"type": "text/html", "value": "<p>Hi</p>"}],
    }
    headers = {**_JSON, "Authorization": f"Bearer {sendgrid.KEY}"}
    broken = {**mail, "asm": {"group_id": "many"}}
    return Wire("/v3/mail/send", headers, _dumped(mail), _dumped(broken))


def _resend(_: HttpFake, message_id: UUID) -> Wire:
    mail: dict[str, Any] = {
        "from": "Lumen <offers@shop.example.com>",
        "to": [EMAIL],
        "subject": "Your cleanser",
        "html": "<p>Hi</p>",
        "tags": [{"name": "message_id", "value": str(message_id)}],
    }
    headers = {**_JSON, "Authorization": f"Bearer {resend.KEY}", "Idempotency-Key": str(message_id)}
    return Wire("/emails", headers, _dumped(mail), _dumped({**mail, "tags": "none"}))


def _postmark(_: HttpFake, message_id: UUID) -> Wire:
    mail = {
        "From": "Lumen <offers@shop.example.com>",
        "To": EMAIL,
        "Subject": "Your cleanser",
        "TextBody": "Hi",
        "MessageStream": "broadcast",
        "Metadata": {"message_id": str(message_id)},
        "Headers": [{"Name": "List-Unsubscribe-Post", "Value": "List-Unsubscribe=One-Click"}],
    }
    headers = {**_JSON, "Accept": "application/json", "X-Postmark-Server-Token": postmark.KEY}
    return Wire("/email", headers, _dumped(mail), _dumped({**mail, "Colour": "red"}))


def _mailgun(_: HttpFake, message_id: UUID) -> Wire:
    fields = {
        "from": "Lumen <offers@shop.example.com>",
        "to": EMAIL,
        "subject": "Your crème",
        "text": "Hi",
        "h:List-Unsubscribe-Post": "List-Unsubscribe=One-Click",
        "o:tracking": "no",
        "v:message_id": str(message_id),
    }
    headers = {
        "Content-Type": "multipart/form-data; boundary=between",
        "Authorization": basic("api", mailgun.KEY),
    }
    path = f"/v3/{mailgun.DOMAIN}/messages"
    return Wire(path, headers, _multipart(fields), _multipart({**fields, "o:colour": "red"}))


def _twilio(_: HttpFake, message_id: UUID) -> Wire:
    fields = {"To": PHONE, "From": twilio.SENDER, "Body": "Hi", "ValidityPeriod": "600"}
    fields["StatusCallback"] = f"{PUBLIC}?k={message_id}"
    headers = {**_FORM, "Authorization": basic(twilio.ACCOUNT, twilio.TOKEN)}
    path = f"/2010-04-01/Accounts/{twilio.ACCOUNT}/Messages.json"
    return Wire(path, headers, _encoded(fields), _encoded({**fields, "ValidityPeriod": "long"}))


def _vonage(_: HttpFake, message_id: UUID) -> Wire:
    fields = {
        "api_key": vonage.KEY,
        "api_secret": vonage.SECRET,
        "from": vonage.SENDER,
        "to": PHONE.lstrip("+"),
        "text": "Hi",
        "ttl": "600000",
        "client-ref": str(message_id),
        "callback": PUBLIC,
    }
    return Wire("/sms/json", _FORM, _encoded(fields), _encoded({**fields, "ttl": "1"}))


def _ses(fake: HttpFake, message_id: UUID) -> Wire:
    mail = {
        "FromEmailAddress": "Lumen <offers@shop.example.com>",
        "Destination": {"ToAddresses": [EMAIL]},
        "Content": {"Simple": {"Subject": {"Data": "Your cleanser"}, "Body": {"Text": {"Data": "Hi"}}}},
        "EmailTags": [{"Name": "message_id", "Value": str(message_id)}],
        "ConfigurationSetName": "orderwake",
    }
    return _amazon(fake, "/v2/email/outbound-emails", "ses", _JSON, _dumped(mail), _dumped({**mail, "X": 1}))


def _sns(fake: HttpFake, message_id: UUID) -> Wire:
    fields = {
        "Action": "Publish",
        "Version": "2010-03-31",
        "PhoneNumber": PHONE,
        "Message": "Hi",
        "MessageAttributes.entry.1.Name": "AWS.SNS.SMS.SMSType",
        "MessageAttributes.entry.1.Value.DataType": "String",
        "MessageAttributes.entry.1.Value.StringValue": "Promotional",
        "MessageAttributes.entry.2.Name": "message_id",
        "MessageAttributes.entry.2.Value.DataType": "String",
        "MessageAttributes.entry.2.Value.StringValue": str(message_id),
    }
    return _amazon(fake, "/", "sns", _FORM, _encoded(fields), _encoded({**fields, "Colour": "red"}))


def _eum(fake: HttpFake, message_id: UUID) -> Wire:
    told = {
        "DestinationPhoneNumber": PHONE,
        "OriginationIdentity": "+15550100001",
        "MessageBody": "Hi",
        "MessageType": "PROMOTIONAL",
        "ConfigurationSetName": "orderwake",
        "TimeToLive": 600,
        "Context": {"message_id": str(message_id)},
    }
    headers = {
        "Content-Type": "application/x-amz-json-1.0",
        "X-Amz-Target": "PinpointSMSVoiceV2.SendTextMessage",
    }
    broken = _dumped({**told, "MessageType": "LOUD"})
    return _amazon(fake, "/", "sms-voice", headers, _dumped(told), broken)


def _push(fake: HttpFake, message_id: UUID) -> Wire:
    headers, body = pushed(fake.url, "reader", _dumped({"title": "Hi", "id": str(message_id)}))
    return Wire("/push/reader", headers, body, body[:-1] + bytes([body[-1] ^ 1]))


def _webhook(fake: HttpFake, message_id: UUID) -> Wire:
    body = _dumped({"type": "message", "data": {}})
    at = fake.clock()
    signature = Webhook(webhook.KEY).sign(str(message_id), at, body.decode())
    headers = {
        **_JSON,
        "webhook-id": str(message_id),
        "webhook-timestamp": str(int(at.timestamp())),
        "webhook-signature": signature,
    }
    return Wire("/hook/orders", headers, body, body + b" ")


def _amazon(  # noqa: PLR0913, PLR0917  the parts of a request
    fake: HttpFake, path: str, service: str, headers: Mapping[str, str], body: bytes, broken: bytes
) -> Wire:
    return Wire(path, signed(fake, path, service, headers, body), body, broken)


def _dumped(told: object) -> bytes:
    return json.dumps(told).encode()


def _encoded(fields: Mapping[str, str]) -> bytes:
    return urlencode(fields).encode()


def _multipart(fields: Mapping[str, str]) -> bytes:
    parts = [
        f'--between\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
        for name, value in fields.items()
    ]
    return ("".join(parts) + "--between--\r\n").encode()


GOOD: Mapping[str, Callable[[HttpFake, UUID], Wire]] = {
    "eum": _eum,
    "mailgun": _mailgun,
    "postmark": _postmark,
    "push": _push,
    "resend": _resend,
    "sendgrid": _sendgrid,
    "ses": _ses,
    "sns": _sns,
    "twilio": _twilio,
    "vonage": _vonage,
    "webhook": _webhook,
}


def good(fake: HttpFake, message_id: UUID | None = None) -> Wire:
    """A request that the provider takes."""
    return GOOD[fake.kind](fake, message_id or uuid4())


@dataclass
class Heard:
    """One call-back as it came."""

    path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Ear:
    """Takes call-backs; `answers` are the statuses of the next ones, then 204."""

    url: str = ""
    heard: list[Heard] = field(default_factory=list)
    answers: list[int] = field(default_factory=list)

    async def take(self, request: web.Request) -> web.Response:
        """Keep one."""
        headers = {name.lower(): value for name, value in request.headers.items()}
        self.heard.append(Heard(request.path_qs, headers, await request.read()))
        return web.Response(status=self.answers.pop(0) if self.answers else 204)


@asynccontextmanager
async def listening() -> AsyncIterator[Ear]:
    """An Ear on a port of its own."""
    ear = Ear()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", ear.take)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    ear.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield ear
    finally:
        await runner.cleanup()
