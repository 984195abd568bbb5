"""Every provider against its fake: requests break nothing, and every call-back is believed and names its message."""

import inspect
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import orjson
import pytest
from pydantic import TypeAdapter

from services.dispatcher.providers.base import (
    CallBack,
    Content,
    EmailContent,
    Finds,
    Forged,
    Parcel,
    Provider,
    PushContent,
    Report,
    Reports,
    Result,
    Said,
    SmsContent,
    Sought,
    WebhookContent,
)
from services.dispatcher.providers.config import Surroundings
from services.dispatcher.providers.registry import AnyConfig, make
from shared.secrets import Secret
from tests.fakes.core import HttpFake
from tests.fakes.fates import FATES, Fates
from tests.fakes.http import KINDS, class_of
from tests.fakes.push import FakePush
from tests.support.asking_fakes import EMAIL, PHONE, Ear, listening

PUBLIC, NAME = "https://go.example.com", "it"
CALLBACK_URL = f"{PUBLIC}/callbacks/{NAME}"
CALLING = ("eum", "mailgun", "postmark", "resend", "sendgrid", "ses", "twilio", "vonage")
VAPID = "q1dXpw3UpT5VOmu_cf_v6ih07Aems3njxI-JWgLcM94"


@dataclass(frozen=True)
class Pair:
    """A provider and its far end."""

    fake: HttpFake
    provider: Provider
    ear: Ear

    def parcel(self) -> Parcel:
        """A parcel that it carries."""
        kind = self.fake.kind
        content: Content = EmailContent(
            sender_name="Dewy & Co",
            subject="Your cleanser",
            text="Hi",
            html="<p>Hi</p>",
            unsubscribe_url=f"{PUBLIC}/u/{'x' * 120}",
            written_at=datetime.now(UTC),
        )
        recipient = EMAIL
        if kind in ("twilio", "vonage", "sns", "eum"):
            content, recipient = SmsContent("10% off ends tonight, €5 more. Reply STOP to opt out"), PHONE
        if isinstance(self.fake, FakePush):
            content = PushContent("Your cleanser", "Hi", f"{PUBLIC}/l/x")
            recipient = orjson.dumps(self.fake.subscription("reader")).decode()
        if kind == "webhook":
            content = WebhookContent(b'{"type":"message","data":{}}')
        return Parcel(uuid4(), recipient, content, 3600, shop="skincare")

    async def read(self) -> list[Report]:
        """What the call-backs so far say."""
        assert isinstance(self.provider, Reports)
        found: list[Report] = []
        for heard in self.ear.heard:
            url = f"{CALLBACK_URL}?{heard.path.partition('?')[2]}".rstrip("?")
            told = self.provider.read(CallBack(url, heard.headers, heard.body, datetime.now(UTC)))
            found += await told if inspect.isawaitable(told) else told
        return found


def configured(fake: HttpFake) -> dict[str, Any]:
    said = fake.credentials
    common = {"name": NAME, "url": fake.url}
    mail: dict[str, Any] = {
        name: Secret.given(said[name]) for name in ("key", "callback_key") if name in said
    }
    if fake.kind == "postmark":
        mail["callback_key"] = Secret.given(f"{said['callback_user']}:{said['callback_password']}")
    amazon = {
        "region": said.get("region"),
        "access_key": Secret.given(said.get("access_key", "-")),
        "secret_key": Secret.given(said.get("secret_key", "-")),
        "topics": (said.get("topic"),),
        "sns_url": fake.url,
    }
    texting = {"sender": said.get("sender", "+15550100001"), "configuration_set": "orderwake"}
    receiver = {"url": f"{fake.url}/hook", "key": Secret.given(said.get("key", "-"))}
    own: dict[str, dict[str, Any]] = {
        "mailgun": {**mail, "domain": said.get("domain")},
        "ses": {**amazon, "configuration_set": "orderwake"},
        "sns": {**amazon, **texting, "kind": "aws_sms", "service": "sns", "configuration_set": None},
        "eum": {**amazon, **texting, "kind": "aws_sms", "service": "eum"},
        "twilio": {
            "account": said.get("account"),
            "token": Secret.given(said.get("token", "-")),
            "sender": said.get("sender"),
        },
        "vonage": {
            "account": said.get("key"),
            "secret": Secret.given(said.get("secret", "-")),
            "callback_key": mail.get("callback_key"),
            "sender": said.get("sender"),
        },
        "push": {
            "key": Secret.given(VAPID),
            "contact": "mailto:push@shop.example.com",
            "private_addresses": True,
        },
        "webhook": {"receivers": {"skincare": receiver}, "private_addresses": True},
    }
    config = {"kind": fake.kind, **common, **own.get(fake.kind, mail)}
    if fake.kind in ("push", "webhook"):
        del config["url"]
    return config


@asynccontextmanager
async def meeting(
    kind: str, folder: Path, fates: Fates | None = None, patience: float = 5.0
) -> AsyncIterator[Pair]:
    async with AsyncExitStack() as stack:
        ear = await stack.enter_async_context(listening())
        fake = class_of(kind)(
            folder, callback_url=f"{ear.url}/callbacks/{NAME}", public_url=CALLBACK_URL, fates=fates
        )
        await fake.start()
        stack.push_async_callback(fake.stop)
        config: AnyConfig = TypeAdapter(AnyConfig).validate_python(
            {**configured(fake), "timeout_seconds": patience}
        )
        provider = make(config, Surroundings(PUBLIC, "offers@shop.example.com"))
        await provider.start()
        stack.push_async_callback(provider.close)
        yield Pair(fake, provider, ear)


@pytest.mark.parametrize("kind", KINDS)
async def test_what_a_provider_hands_over_breaks_nothing_and_carries_its_id(
    kind: str, tmp_path: Path
) -> None:
    async with meeting(kind, tmp_path) as pair:
        parcels = [pair.parcel() for _ in range(3)]
        for parcel in parcels:
            assert (await pair.provider.send(parcel)).result is Result.ACCEPTED
        assert pair.fake.violations == []
        taken = [entry["k"] for entry in pair.fake.received()]
        assert taken == [str(parcel.message_id) for parcel in parcels]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("fault", ["timeout_after", "drop_after", "drop_before", "timeout_before"])
async def test_a_hand_over_without_an_answer_is_unknown(kind: str, fault: str, tmp_path: Path) -> None:
    async with meeting(kind, tmp_path, patience=0.3) as pair:
        pair.fake.faults.script.append(fault)
        assert (await pair.provider.send(pair.parcel())).result is Result.UNKNOWN


@pytest.mark.parametrize("kind", KINDS)
async def test_every_refusal_has_a_meaning_and_429_means_not_taken(kind: str, tmp_path: Path) -> None:
    async with meeting(kind, tmp_path) as pair:
        for fault in class_of(kind).refusals:
            pair.fake.faults.script.append(fault)
            answer = await pair.provider.send(pair.parcel())
            assert answer.fault is not None, fault
            assert answer.result is not Result.ACCEPTED, fault
            assert fault != "429" or answer.result is Result.NOT_TAKEN
        assert pair.fake.received() == []
        assert pair.fake.violations == []


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind in ("resend", "webhook")])
async def test_a_second_hand_over_of_one_message_doubles_nothing(kind: str, tmp_path: Path) -> None:
    async with meeting(kind, tmp_path) as pair:
        assert pair.provider.once
        parcel = pair.parcel()
        pair.fake.faults.script.append("drop_after")
        assert (await pair.provider.send(parcel)).result is Result.UNKNOWN
        assert (await pair.provider.send(parcel)).result is Result.ACCEPTED
        assert len(pair.fake.received()) == 1


@pytest.mark.parametrize("kind", CALLING)
async def test_every_call_back_is_believed_and_names_its_message(kind: str, tmp_path: Path) -> None:
    left_out = (
        {"stopped", "dropped"} if kind == "postmark" else {"stopped"}
    )  # Postmark refuses and drops nothing
    fates = [name for name in (*FATES, *class_of(kind).codes) if name not in left_out]
    async with meeting(kind, tmp_path, Fates(script=fates)) as pair:
        sent: set[UUID | None] = set()
        for fate in fates:
            parcel = pair.parcel()
            assert (await pair.provider.send(parcel)).result is Result.ACCEPTED
            sent |= {parcel.message_id} if fate != "silent" else set()
            await pair.fake.settle()
            pair.fake.dead.clear()
        found = await pair.read()
        ids = {report.report_id for report in found}
        assert {report.message_id for report in found if report.message_id} == sent
        assert len(ids) == len(found) == len({(report.message_id, report.report_id) for report in found})
        assert {Said.DELIVERED, Said.UNDELIVERED} <= {report.said for report in found}


@pytest.mark.parametrize("kind", CALLING)
async def test_a_call_back_that_was_altered_by_a_byte_is_not_believed(kind: str, tmp_path: Path) -> None:
    async with meeting(kind, tmp_path) as pair:
        assert (await pair.provider.send(pair.parcel())).result is Result.ACCEPTED
        await pair.fake.settle()
        heard = pair.ear.heard[0]
        altered = spoilt(kind, heard.body)
        headers = heard.headers
        if kind == "postmark":
            headers = {**headers, "authorization": headers["authorization"][:-4] + "AAA="}
        pair.ear.heard[:] = [replace(heard, body=altered, headers=headers)]
        with pytest.raises(Forged):
            await pair.read()


def spoilt(kind: str, body: bytes) -> bytes:
    """The body with one byte changed, in what is signed: of Mailgun's body that is the token."""
    if kind == "mailgun":
        at = body.index(b'"token": "') + 10
    elif kind in ("ses", "eum"):
        at = body.index(b'Type\\": \\"') + 12
    elif kind == "twilio":
        at = body.index(b"MessageStatus=") + 14
    else:
        at = len(body) // 2
        while not chr(body[at]).isalpha():
            at += 1
    return body[:at] + (b"a" if body[at : at + 1] != b"a" else b"b") + body[at + 1 :]


@pytest.mark.parametrize("kind", ["eum", "twilio", "vonage"])
async def test_a_stop_reaches_us_and_the_next_text_is_refused_for_it(kind: str, tmp_path: Path) -> None:
    async with meeting(kind, tmp_path) as pair:
        pair.fake.inbound(PHONE, "STOP")
        await pair.fake.settle()
        (report,) = await pair.read()
        assert report.said is Said.STOPPED
        assert (report.address or "").lstrip("+") == PHONE.lstrip("+")
        assert (await pair.provider.send(pair.parcel())).result is Result.REJECTED


@pytest.mark.parametrize("kind", ["mailgun", "postmark", "twilio"])
async def test_a_provider_that_can_be_asked_finds_what_was_taken_without_an_answer(
    kind: str, tmp_path: Path
) -> None:
    async with meeting(kind, tmp_path) as pair:
        assert isinstance(pair.provider, Finds)
        before = datetime.now(UTC)
        parcel = pair.parcel()
        pair.fake.faults.script.append("drop_after")
        assert (await pair.provider.send(parcel)).result is Result.UNKNOWN
        await pair.fake.settle()
        body = parcel.content.body if isinstance(parcel.content, SmsContent) else None
        answer = await pair.provider.find(Sought(parcel.message_id, before, parcel.recipient, body))
        assert answer is not None
        assert answer.result is Result.ACCEPTED
        assert answer.reference == pair.fake.received()[0]["reference"]
        assert pair.fake.violations == []
