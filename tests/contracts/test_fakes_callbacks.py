"""What the fakes tell afterwards: signed as the provider signs, verified here by other means than made."""

import base64
import hashlib
import hmac
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl
from uuid import uuid4

import aiohttp
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.serialization import load_der_public_key
from standardwebhooks.webhooks import Webhook

from tests.fakes import mailgun, postmark, resend, sendgrid, twilio, vonage
from tests.fakes.aws import AwsFake
from tests.fakes.core import HttpFake
from tests.fakes.fates import FATES, Fates
from tests.fakes.http import KINDS, class_of
from tests.fakes.sns_envelope import Envelope
from tests.fakes.specification import CONTRACTS
from tests.support.asking_fakes import EMAIL, PHONE, Ear, Heard, ask, basic, good, listening

SAMPLES = CONTRACTS / "samples"
CALLING = tuple(kind for kind in KINDS if kind not in ("push", "sns", "webhook"))
ABSENT = pytest.mark.skipif(not SAMPLES.exists(), reason="../shared with the providers' samples is not here")


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


@pytest.fixture
async def ear() -> AsyncIterator[Ear]:
    async with listening() as made:
        yield made


@asynccontextmanager
async def calling(kind: str, folder: Path, ear: Ear, fates: Fates) -> AsyncIterator[HttpFake]:
    fake = class_of(kind)(folder, callback_url=f"{ear.url}/callbacks/it", fates=fates)
    await fake.start()
    try:
        yield fake
    finally:
        await fake.stop()


async def told(kind: str, folder: Path, ear: Ear, *fates: str) -> list[Heard]:
    """The call-backs about one message for each fate."""
    async with calling(kind, folder, ear, Fates(script=fates)) as fake, aiohttp.ClientSession() as http:
        for _ in fates:
            assert (await ask(http, fake, good(fake)))[0] < 300
            await fake.settle()
    return ear.heard


def event(kind: str, heard: Heard) -> str:
    """What a call-back says happened, in the provider's word."""
    if kind == "twilio":
        return dict(parse_qsl(heard.body.decode())).get("MessageStatus", "inbound")
    body = json.loads(heard.body)
    if kind in ("ses", "eum"):
        body = json.loads(body["Message"])
    if kind == "sendgrid":
        return str(body[0]["event"])
    if kind == "mailgun":
        return str(body["event-data"]["event"])
    words = {"postmark": "RecordType", "resend": "type", "ses": "eventType", "eum": "eventType"}
    return str(body.get(words.get(kind, "status"), "inbound"))


@pytest.mark.parametrize(
    ("kind", "fate", "said"),
    [
        ("sendgrid", "complained", ["processed", "delivered", "spamreport"]),
        ("sendgrid", "soft", ["processed", "deferred", "bounce"]),
        ("sendgrid", "read", ["processed", "delivered", "open", "click"]),
        ("sendgrid", "dropped", ["dropped"]),
        ("resend", "bounced", ["email.sent", "email.bounced"]),
        ("resend", "soft", ["email.sent", "email.delivery_delayed", "email.bounced"]),
        ("mailgun", "bounced", ["accepted", "failed"]),
        ("mailgun", "stopped", ["accepted", "delivered", "unsubscribed"]),
        ("postmark", "complained", ["Delivery", "SpamComplaint"]),
        ("postmark", "soft", ["Bounce", "Bounce"]),
        ("ses", "delivered", ["Send", "Delivery"]),
        ("ses", "reject", ["Send", "Reject"]),
        ("twilio", "delivered", ["sent", "delivered"]),
        ("twilio", "30003", ["sent", "undelivered"]),
        ("twilio", "stopped", ["sent", "delivered", "inbound"]),
        ("vonage", "dlr-6", ["accepted", "failed"]),
        ("vonage", "stopped", ["accepted", "delivered", "inbound"]),
        ("eum", "TEXT_CARRIER_BLOCKED", ["TEXT_SUCCESSFUL", "TEXT_CARRIER_BLOCKED"]),
        ("eum", "stopped", ["TEXT_SUCCESSFUL", "TEXT_DELIVERED", "inbound"]),
        *((kind, "silent", []) for kind in CALLING),
    ],
)
async def test_a_fate_is_told_in_the_providers_words(
    kind: str, fate: str, said: list[str], tmp_path: Path, ear: Ear
) -> None:
    assert [event(kind, heard) for heard in await told(kind, tmp_path, ear, fate)] == said


@pytest.mark.parametrize("kind", CALLING)
async def test_every_fate_can_be_told(kind: str, tmp_path: Path, ear: Ear) -> None:
    names = [*FATES, *class_of(kind).codes]
    async with calling(kind, tmp_path, ear, Fates()) as fake, aiohttp.ClientSession() as http:
        for name in names:
            fake.fates.script.append(name)
            assert (await ask(http, fake, good(fake)))[0] < 300
            await fake.settle()
            fake.dead.clear()
            fake.stopped.clear()
        assert len(fake.received()) == len(names)
        assert {entry["status"] for entry in fake.called_back()} == {204}


async def test_nothing_is_told_twice_as_another_event(tmp_path: Path, ear: Ear) -> None:
    async with (
        calling("sendgrid", tmp_path, ear, Fates(duplicate=1.0)) as fake,
        aiohttp.ClientSession() as http,
    ):
        await ask(http, fake, good(fake))
        await fake.settle()
    ids = [json.loads(heard.body)[0]["sg_event_id"] for heard in ear.heard]
    assert len(ids) == 4
    assert ids[0] == ids[1] != ids[2] == ids[3]


@pytest.mark.parametrize("kind", CALLING)
async def test_events_can_come_in_the_wrong_order(kind: str, tmp_path: Path, ear: Ear) -> None:
    async with calling(kind, tmp_path, ear, Fates(disorder=1.0)) as fake, aiohttp.ClientSession() as http:
        await ask(http, fake, good(fake))
        await fake.settle()
        order = [entry["event"] for entry in fake.called_back()]
    assert order in (["delivered", "taken"], ["delivered"])


@pytest.mark.parametrize("kind", [kind for kind in CALLING if kind not in ("ses", "eum")])
async def test_what_is_not_taken_is_told_again_until_it_is(kind: str, tmp_path: Path, ear: Ear) -> None:
    ear.answers = [503, 500]
    async with calling(kind, tmp_path, ear, Fates()) as fake, aiohttp.ClientSession() as http:
        await ask(http, fake, good(fake))
        await fake.settle()
        statuses = sorted(entry["status"] for entry in fake.called_back())
        assert statuses[-2:] == [500, 503]
        assert set(statuses[:-2]) == {204}
        assert fake.status()["call_backs_refused"] == 0


@pytest.mark.parametrize(("kind", "status"), [("mailgun", 406), ("postmark", 403), ("ses", 404)])
async def test_some_answers_end_a_call_back(kind: str, status: int, tmp_path: Path, ear: Ear) -> None:
    ear.answers = [status]
    async with calling(kind, tmp_path, ear, Fates()) as fake, aiohttp.ClientSession() as http:
        await ask(http, fake, good(fake))
        await fake.settle()
        assert fake.call_backs.refused == 1
        assert [entry["status"] for entry in fake.called_back()][:1] == [status]


async def test_sendgrids_signature_verifies_over_time_and_body(tmp_path: Path, ear: Ear) -> None:
    (heard, *_) = await told("sendgrid", tmp_path, ear, "delivered")
    assert_ecdsa(sendgrid.CALLBACK_KEY, heard.headers, heard.body)


@ABSENT
def test_the_check_of_sendgrids_signature_agrees_with_a_known_vector() -> None:
    vector = json.loads((SAMPLES / "sendgrid" / "event_dropped.signed.vector.json").read_text())
    headers = {name.lower(): str(value) for name, value in vector.items()}
    assert_ecdsa(vector["public_key"], headers, (SAMPLES / "sendgrid" / vector["body_file"]).read_bytes())


def assert_ecdsa(public_key: str, headers: dict[str, str], body: bytes) -> None:
    key = load_der_public_key(base64.b64decode(public_key))
    assert isinstance(key, ec.EllipticCurvePublicKey)
    signature = base64.b64decode(headers["x-twilio-email-event-webhook-signature"])
    signed = headers["x-twilio-email-event-webhook-timestamp"].encode() + body
    key.verify(signature, signed, ec.ECDSA(hashes.SHA256()))


async def test_resends_signature_verifies_by_the_library(tmp_path: Path, ear: Ear) -> None:
    for heard in await told("resend", tmp_path, ear, "bounced"):
        names = {name: heard.headers[f"svix-{name}"] for name in ("id", "timestamp", "signature")}
        Webhook(resend.CALLBACK_KEY).verify(
            heard.body, {f"webhook-{name}": value for name, value in names.items()}
        )


async def test_twilios_signature_is_over_the_public_address_and_every_field(tmp_path: Path, ear: Ear) -> None:
    message_id = uuid4()
    async with calling("twilio", tmp_path, ear, Fates()) as fake, aiohttp.ClientSession() as http:
        await ask(http, fake, good(fake, message_id))
        await fake.settle()
    for heard in ear.heard:
        fields = sorted(parse_qsl(heard.body.decode(), keep_blank_values=True))
        url = f"https://go.example.com{heard.path}"
        assert heard.path == f"/callbacks/sms-1?k={message_id}"
        signed = url + "".join(name + value for name, value in fields)
        expected = hmac.new(twilio.TOKEN.encode(), signed.encode(), hashlib.sha1).digest()
        assert base64.b64decode(heard.headers["x-twilio-signature"]) == expected


@ABSENT
def test_twilios_signature_agrees_with_a_known_vector() -> None:
    vector = json.loads((SAMPLES / "twilio" / "signature_vectors.json").read_text())
    made = twilio.signature(vector["auth_token"], vector["url"], vector["params"])
    assert made == vector["X-Twilio-Signature"]


async def test_mailguns_signature_is_over_time_and_token_and_each_token_is_new(
    tmp_path: Path, ear: Ear
) -> None:
    signatures = [
        json.loads(heard.body)["signature"] for heard in await told("mailgun", tmp_path, ear, "delivered")
    ]
    for each in signatures:
        signed = (each["timestamp"] + each["token"]).encode()
        expected = hmac.new(mailgun.CALLBACK_KEY.encode(), signed, hashlib.sha256).hexdigest()
        assert each["signature"] == expected
    assert len({each["token"] for each in signatures}) == len(signatures)


async def test_postmark_brings_the_credentials_of_its_address(tmp_path: Path, ear: Ear) -> None:
    (heard,) = await told("postmark", tmp_path, ear, "delivered")
    expected = basic(postmark.CALLBACK_USER, postmark.CALLBACK_PASSWORD)
    assert heard.headers["authorization"] == expected


async def test_vonages_signature_is_over_every_member_but_itself(tmp_path: Path, ear: Ear) -> None:
    for heard in await told("vonage", tmp_path, ear, "delivered"):
        fields: dict[str, str] = json.loads(heard.body)
        signature = fields.pop("sig")
        text = "".join(f"&{name}={value}" for name, value in sorted(fields.items()))
        expected = hmac.new(vonage.CALLBACK_KEY.encode(), text.encode(), hashlib.sha256).hexdigest()
        assert signature == expected.upper()
        assert heard.path == "/callbacks/sms-1"


def test_vonages_signature_takes_separators_in_values_for_underscores() -> None:
    assert vonage.signature("s", {"a": "1&b=2"}) == vonage.signature("s", {"a": "1_b_2"})


@pytest.mark.parametrize("kind", ["ses", "eum"])
@pytest.mark.parametrize("version", ["1", "2"])
async def test_an_envelope_of_sns_verifies_under_the_certificate_that_is_served(
    kind: str, version: str, tmp_path: Path, ear: Ear, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tests.fakes.aws.AwsFake.envelope", Envelope(version=version))
    async with calling(kind, tmp_path, ear, Fates()) as fake, aiohttp.ClientSession() as http:
        await ask(http, fake, good(fake))
        await fake.settle()
        body = json.loads(ear.heard[0].body)
        path = body["SigningCertURL"].removeprefix("https://sns.us-east-1.amazonaws.com")
        async with http.get(fake.url + path) as answer:
            certificate = x509.load_pem_x509_certificate(await answer.read())
    key = certificate.public_key()
    assert isinstance(key, rsa.RSAPublicKey)
    names = ("Message", "MessageId", "Timestamp", "TopicArn", "Type")
    signed = "".join(f"{name}\n{body[name]}\n" for name in names).encode()
    digest = hashes.SHA1() if version == "1" else hashes.SHA256()  # noqa: S303  SNS's version 1 is SHA-1
    key.verify(base64.b64decode(body["Signature"]), signed, padding.PKCS1v15(), digest)
    assert ear.heard[0].headers["content-type"].startswith("text/plain")


async def test_a_subscription_is_asked_for_and_confirmed(tmp_path: Path, ear: Ear) -> None:
    async with calling("ses", tmp_path, ear, Fates()) as fake, aiohttp.ClientSession() as http:
        assert isinstance(fake, AwsFake)
        fake.subscribe()
        await fake.settle()
        body = json.loads(ear.heard[0].body)
        assert body["Type"] == "SubscriptionConfirmation"
        path = body["SubscribeURL"].removeprefix("https://sns.us-east-1.amazonaws.com")
        async with http.get(fake.url + path) as answer:
            assert answer.status == 200
        assert fake.confirmed


async def test_the_correlation_value_comes_back_with_every_report(tmp_path: Path, ear: Ear) -> None:
    for kind in CALLING:
        message_id = uuid4()
        ear.heard.clear()
        async with calling(kind, tmp_path / kind, ear, Fates()) as fake, aiohttp.ClientSession() as http:
            await ask(http, fake, good(fake, message_id))
            await fake.settle()
        assert ear.heard
        for heard in ear.heard:
            assert str(message_id) in heard.body.decode() + heard.path, kind


@pytest.mark.parametrize(
    ("fate", "number", "sample"),
    [
        ("delivered", 1, "sendgrid/delivered_event__raw_events.json"),
        ("bounced", 1, "sendgrid/bounce_event__raw_events.json"),
        ("soft", 1, "sendgrid/deferred_event__raw_events.json"),
        ("dropped", 0, "sendgrid/dropped_bounced__raw_events.json"),
        ("bounced", 1, "mailgun/failed_permanent_event.json"),
        ("soft", 1, "mailgun/failed_temporary_event.json"),
        ("complained", 2, "mailgun/complained_event.json"),
        ("stopped", 2, "mailgun/unsubscribed_event.json"),
        ("delivered", 0, "postmark/delivered_event__raw_event.json"),
        ("complained", 1, "postmark/spam_event__raw_event.json"),
        ("stopped", 1, "postmark/unsubscribe__raw_event.json"),
        ("delivered", 0, "ses/send_event__raw_ses_event.json"),
        ("reject", 1, "ses/reject_event__raw_ses_event.json"),
    ],
)
@ABSENT
async def test_a_report_has_the_members_of_the_providers_sample(
    fate: str, number: int, sample: str, tmp_path: Path, ear: Ear
) -> None:
    kind = sample.partition("/")[0]
    wanted = json.loads((SAMPLES / sample).read_text())
    body = json.loads((await told(kind, tmp_path, ear, fate))[number].body)
    if kind == "ses":
        body = json.loads(body["Message"])
    if kind == "sendgrid":
        (body,), (wanted,) = body, wanted
    missing = set(paths(wanted)) - set(paths(body)) - UNUSED
    assert not missing


UNUSED = {
    *(
        "ip",
        "anymail_id",
        "session-seconds",
        "DumpAvailable",
        "Subject",
        "ServerId",
        "Description",
        "Content",
    ),
    *("ses:source-ip", "ses:from-domain", "ses:caller-identity", "myCustomTag1", "myCustomTag2"),
    *("mx-host", "certificate-verified", "description", "retry-seconds", "example", "example_2"),
    *("cohort", "userid", "category"),
}
"""Members of the samples that no reader can count on, or that are the sample's own tags."""


def paths(told: Any) -> list[str]:  # noqa: ANN401  any JSON
    """The names of all members."""
    if isinstance(told, dict):
        return [*told, *(name for each in told.values() for name in paths(each))]
    return [name for each in told for name in paths(each)] if isinstance(told, list) else []


@pytest.mark.parametrize("kind", ["twilio", "vonage", "eum"])
async def test_a_stop_is_told_and_heeded_until_start(
    kind: str, tmp_path: Path, ear: Ear, http: aiohttp.ClientSession
) -> None:
    async with calling(kind, tmp_path, ear, Fates(rates={"silent": 1.0})) as fake:
        fake.inbound(PHONE, "STOP")
        await fake.settle()
        assert b"STOP" in ear.heard[0].body
        await ask(http, fake, good(fake))
        assert fake.received() == []
        fake.inbound(PHONE, "START")
        await ask(http, fake, good(fake))
        assert len(fake.received()) == 1


@pytest.mark.parametrize("kind", ["sendgrid", "mailgun", "resend", "ses"])
async def test_a_dead_address_is_taken_and_dropped(kind: str, tmp_path: Path, ear: Ear) -> None:
    async with (
        calling(kind, tmp_path, ear, Fates(script=["bounced"])) as fake,
        aiohttp.ClientSession() as http,
    ):
        for _ in range(2):
            assert (await ask(http, fake, good(fake)))[0] < 300
            await fake.settle()
        assert fake.dead == {EMAIL}
        assert [entry["event"] for entry in fake.called_back()][-1] == "dropped"


async def test_a_clock_that_was_moved_moves_what_is_signed(tmp_path: Path, ear: Ear) -> None:
    at = datetime(2026, 3, 2, 9, tzinfo=UTC)
    fake = class_of("resend")(tmp_path, callback_url=ear.url, clock=lambda: at)
    await fake.start()
    async with aiohttp.ClientSession() as http:
        await ask(http, fake, good(fake))
    await fake.settle()
    assert ear.heard[0].headers["svix-timestamp"] == str(int(at.timestamp()))
    await fake.stop()
