"""SendGrid: what we ask as it is published, what its answers mean, and which call-backs are believed."""

import base64
import json
import os
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from services.dispatcher.providers.base import (
    CallBack,
    Fault,
    Forged,
    Parcel,
    Report,
    Reports,
    Result,
    Said,
    SmsContent,
    Unreadable,
)
from services.dispatcher.providers.http import Reply
from services.dispatcher.providers.sendgrid import SendGridProvider, judge
from services.dispatcher.providers.sendgrid_codes import BOUNCES, DROPPED, EVENTS, STATUSES
from shared.errors import SettingsError
from tests.fakes.sendgrid import CALLBACK_KEY, KEY, FakeSendGrid
from tests.support.mailing import (
    LONG_LINK,
    NOW,
    SAMPLES,
    altered,
    answer,
    as_told,
    call_back,
    configured,
    needs_samples,
    parcel,
    samples,
    started,
)

_PAIR = ec.derive_private_key(0x0EDE, ec.SECP256R1())
_ID = UUID("9f0c3f4e-6c1b-4f0e-9b1e-0d5b7d1c2a3b")


@pytest.fixture
async def fake(tmp_path: Path) -> AsyncIterator[FakeSendGrid]:
    made = FakeSendGrid(tmp_path, clock=lambda: NOW)
    async with started(made):
        yield made


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    """Verification keys: ours, then a former one, which is the fake's."""
    path = tmp_path / "verify"
    path.write_text(f"{_public(_PAIR)}\n{CALLBACK_KEY}\n")
    return path


@pytest.fixture
def provider(tmp_path: Path, keys: Path) -> SendGridProvider:
    return _provider(tmp_path, callback_key={"file": keys})


def _provider(folder: Path, **fields: object) -> SendGridProvider:
    (folder / "key").write_text(KEY)
    made = configured(kind="sendgrid", key={"file": folder / "key"}, **fields)
    assert isinstance(made, SendGridProvider)
    return made


def _public(pair: ec.EllipticCurvePrivateKey) -> str:
    key = pair.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return base64.b64encode(key).decode()


def _signed(body: bytes, at: datetime = NOW) -> CallBack:
    timestamp = str(int(at.timestamp()))
    signature = _PAIR.sign(timestamp.encode() + body, ec.ECDSA(hashes.SHA256()))
    headers = {
        "X-Twilio-Email-Event-Webhook-Signature": base64.b64encode(signature).decode(),
        "X-Twilio-Email-Event-Webhook-Timestamp": timestamp,
    }
    return call_back(body, headers)


def _event(kind: str, **more: object) -> dict[str, Any]:
    return {
        "event": kind,
        "email": "someone@example.com",
        "timestamp": 1772442000,
        "sg_event_id": f"id-{kind}",
        "sg_message_id": "LRzXl_NHStOGhQ4kofSm_A.filterdrecv-p3mdw1-5F5FC76C-9.0",
        "orderwake": str(_ID),
        **more,
    }


def _only(provider: SendGridProvider, event: dict[str, Any]) -> Report:
    (report,) = provider.read(_signed(json.dumps([event]).encode()))
    return report


async def test_a_request_passes_the_published_specification(fake: FakeSendGrid, tmp_path: Path) -> None:
    if not fake.checked:
        pytest.skip("../shared with SendGrid's specification is not here")
    assert (await answer(_provider(tmp_path, url=fake.url), parcel())).result is Result.ACCEPTED
    assert (fake.requests, fake.violations) == (1, [])


async def test_a_message_carries_its_id_its_parts_and_a_whole_unsubscribe_link(
    fake: FakeSendGrid, tmp_path: Path
) -> None:
    handed = parcel()
    told = await answer(_provider(tmp_path, url=fake.url), handed)
    (entry,) = fake.received()
    assert (told.reference, entry["k"]) == (entry["reference"], str(handed.message_id))
    assert entry["from"] == "offers@shop.example.com"
    assert entry["content"] == ["text/plain", "text/html"]
    assert len(LONG_LINK) >= 120
    assert entry["headers"] == {
        "List-Unsubscribe": f"<{LONG_LINK}>",
        "List-Unsubscribe-Post": "List-Unsubscribe=One-Click",
    }


def test_the_shops_own_sender_is_used_and_sendgrid_tracks_nothing(provider: SendGridProvider) -> None:
    message = json.loads(provider.request(parcel(sender="hi@lumen.example")).body)
    assert message["from"] == {"email": "hi@lumen.example", "name": 'Dewy & "Co", Åre'}
    settings = message["tracking_settings"] | message["mail_settings"]
    assert set(settings) >= {"click_tracking", "open_tracking", "subscription_tracking", "sandbox_mode"}
    assert not any(setting["enable"] for setting in settings.values())


def test_it_carries_nothing_but_email(provider: SendGridProvider) -> None:
    with pytest.raises(TypeError):
        provider.request(Parcel(uuid4(), "+15550100007", SmsContent("Hi"), 60))


def test_a_key_that_was_replaced_is_used_at_once(provider: SendGridProvider, tmp_path: Path) -> None:
    (tmp_path / "new").write_text("SG.next\nSG.former\n")
    os.replace(tmp_path / "new", tmp_path / "key")  # noqa: PTH105  as a mounted secret is replaced
    assert provider.request(parcel()).headers["Authorization"] == "Bearer SG.next"


@pytest.mark.parametrize(
    ("fault", "result", "kind", "kept"),
    [
        ("429", Result.NOT_TAKEN, Fault.BUSY, 0),
        ("400", Result.REJECTED, Fault.PERMANENT, 0),
        ("401", Result.NOT_TAKEN, Fault.SENDER, 0),
        ("403", Result.NOT_TAKEN, Fault.SENDER, 0),
        ("404", Result.NOT_TAKEN, Fault.SENDER, 0),
        ("405", Result.NOT_TAKEN, Fault.SENDER, 0),
        ("413", Result.REJECTED, Fault.CONTENT, 0),
        ("500", Result.UNKNOWN, Fault.OPEN, 0),
        ("503", Result.UNKNOWN, Fault.OPEN, 0),
        ("drop_before", Result.UNKNOWN, Fault.OPEN, 0),
        ("timeout_before", Result.UNKNOWN, Fault.OPEN, 0),
        ("timeout_after", Result.UNKNOWN, Fault.OPEN, 1),
        ("drop_after", Result.UNKNOWN, Fault.OPEN, 1),
    ],
)
async def test_only_what_certainly_was_not_taken_may_go_again(  # noqa: PLR0913, PLR0917  a table's columns
    fake: FakeSendGrid, tmp_path: Path, fault: str, result: Result, kind: Fault, kept: int
) -> None:
    fake.faults.script.append(fault)
    told = await answer(_provider(tmp_path, url=fake.url, timeout_seconds=0.3), parcel())
    assert (told.result, told.fault, len(fake.received())) == (result, kind, kept)


async def test_nobody_listening_means_not_taken(tmp_path: Path) -> None:
    told = await answer(_provider(tmp_path, url="http://127.0.0.1:1"), parcel())
    assert (told.result, told.reason) == (Result.NOT_TAKEN, "sendgrid_unreachable")


def test_a_rate_limit_is_waited_for_by_sendgrids_own_clock() -> None:
    headers = {"X-RateLimit-Reset": "1772442042", "Date": "Mon, 02 Mar 2026 09:00:00 GMT"}
    assert judge(Reply(429, headers, b"")).retry_after == 42
    assert judge(Reply(429, headers | {"Retry-After": "7"}, b"")).retry_after == 7
    assert judge(Reply(429, {"X-RateLimit-Reset": "1772442042"}, b"")).retry_after == 1
    assert judge(Reply(429, {"X-RateLimit-Reset": "9999999999"} | headers, b"")).retry_after == 42


@pytest.mark.parametrize(
    ("status", "field", "message", "fault"),
    [
        (400, "personalizations.0.to.0.email", "Does not contain a valid address.", Fault.DEAD),
        (400, "from.email", "Does not contain a valid address.", Fault.SENDER),
        (400, "content.0.value", "The content value must be a string", Fault.CONTENT),
        (400, "custom_args", "too long", Fault.PERMANENT),
        (400, None, "Bad Request", Fault.PERMANENT),
        (401, None, "Maximum credits exceeded", Fault.QUOTA),
        (406, None, "Not acceptable", Fault.PERMANENT),
        *((status, None, "no", fault) for status, fault in STATUSES.items()),
    ],
)
def test_every_refusal_leads_to_its_class(status: int, field: str | None, message: str, fault: Fault) -> None:
    body = json.dumps({"errors": [{"field": field, "message": message, "help": None}]}).encode()
    told = judge(Reply(status, {}, body))
    assert (told.fault, told.reason) == (fault, f"sendgrid_{status}")


@pytest.mark.parametrize("body", [b"", b"[]", b"<html>", b'{"errors": "x"}', b'{"errors": [1]}'])
def test_an_answer_that_cannot_be_read_is_judged_by_its_status(body: bytes) -> None:
    results = {status: judge(Reply(status, {}, body)).result for status in (200, 202, 302, 400, 502)}
    assert results == {
        200: Result.UNKNOWN,
        202: Result.ACCEPTED,
        302: Result.UNKNOWN,
        400: Result.REJECTED,
        502: Result.UNKNOWN,
    }


@pytest.mark.parametrize("kind", sorted(EVENTS))
def test_every_event_says_what_happened_to_which_message(provider: SendGridProvider, kind: str) -> None:
    assert isinstance(provider, Reports)
    report = _only(provider, _event(kind))
    assert (report.said, report.message_id, report.report_id) == (EVENTS[kind], _ID, f"id-{kind}")
    assert (report.reference, report.address) == ("LRzXl_NHStOGhQ4kofSm_A", "someone@example.com")
    assert report.occurred_at == datetime(2026, 3, 2, 9, tzinfo=UTC)


@pytest.mark.parametrize("reason", [*DROPPED, "something new"])
def test_every_reason_of_a_drop_has_its_class(provider: SendGridProvider, reason: str) -> None:
    report = _only(provider, _event("dropped", reason=reason.title()))
    assert (report.said, report.fault) == (Said.UNDELIVERED, DROPPED.get(reason, Fault.PERMANENT))
    assert report.reason == "sendgrid_dropped"


@pytest.mark.parametrize(
    ("more", "fault"),
    [
        ({"type": "bounce", "status": "5.1.1"}, Fault.DEAD),
        ({"type": "bounce", "status": "4.2.2"}, Fault.SOFT),
        ({"type": "blocked", "status": "5.7.1"}, Fault.SOFT),
        ({"type": "bounce", "bounce_classification": "Unclassified"}, Fault.DEAD),
        *(
            ({"type": "bounce", "bounce_classification": name.title()}, each)
            for name, each in BOUNCES.items()
        ),
    ],
)
def test_a_bounce_is_hard_or_soft(provider: SendGridProvider, more: dict[str, Any], fault: Fault) -> None:
    assert _only(provider, _event("bounce", **more)).fault is fault


def test_unknown_events_machines_that_open_and_other_senders_mail_move_nothing(
    provider: SendGridProvider,
) -> None:
    events = [
        _event("group_resubscribe"),
        _event("account_status_change"),
        _event("open", sg_machine_open=True),
        _event("delivered", orderwake="someone-elses"),
    ]
    (report,) = provider.read(_signed(json.dumps(events).encode()))
    assert report.message_id is None


def test_an_event_without_an_id_has_the_same_one_each_time(provider: SendGridProvider) -> None:
    event = _event("delivered")
    del event["sg_event_id"]
    assert _only(provider, event).report_id == _only(provider, event).report_id != ""
    assert _only(provider, event | {"timestamp": 1}).report_id != _only(provider, event).report_id


def test_one_byte_altered_is_refused(provider: SendGridProvider) -> None:
    good = _signed(json.dumps([_event("delivered")]).encode())
    assert len(provider.read(good)) == 1
    with pytest.raises(Forged):
        provider.read(CallBack(good.url, good.headers, altered(good.body), good.received_at))


@pytest.mark.parametrize("age", [timedelta(minutes=11), -timedelta(minutes=11)])
def test_an_old_or_early_signature_is_refused(provider: SendGridProvider, age: timedelta) -> None:
    with pytest.raises(Forged):
        provider.read(_signed(b"[]", NOW - age))


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"x-twilio-email-event-webhook-timestamp": str(int(NOW.timestamp()))},
        {
            "x-twilio-email-event-webhook-timestamp": str(int(NOW.timestamp())),
            "x-twilio-email-event-webhook-signature": "not base64!",
        },
        {
            "x-twilio-email-event-webhook-timestamp": str(int(NOW.timestamp())),
            "x-twilio-email-event-webhook-signature": base64.b64encode(b"no signature").decode(),
        },
        {"x-twilio-email-event-webhook-timestamp": "yesterday"},
    ],
)
def test_what_is_not_signed_is_refused(provider: SendGridProvider, headers: dict[str, str]) -> None:
    with pytest.raises(Forged):
        provider.read(call_back(b"[]", headers))


def test_without_a_key_nothing_is_believed(tmp_path: Path) -> None:
    with pytest.raises(Forged):
        _provider(tmp_path).read(_signed(b"[]"))


async def test_a_key_that_is_none_says_at_the_start_where_to_find_it(tmp_path: Path) -> None:
    (tmp_path / "bad").write_text("SG.not-a-public-key")
    with pytest.raises(SettingsError, match="Event Webhook"):
        await _provider(tmp_path, callback_key={"file": tmp_path / "bad"}).start()


@pytest.mark.parametrize("body", [b"", b"no json", b"[1]", b'"text"'])
def test_what_is_signed_but_cannot_be_read_is_said_to_be_so(provider: SendGridProvider, body: bytes) -> None:
    with pytest.raises(Unreadable):
        provider.read(_signed(body))


async def test_what_the_fake_signs_with_a_former_key_is_believed(
    fake: FakeSendGrid, tmp_path: Path, provider: SendGridProvider
) -> None:
    handed = parcel()
    sent = await answer(_provider(tmp_path, url=fake.url), handed)
    (entry,) = fake.received()
    (report,) = provider.read(as_told(fake.sign(entry, fake.report(entry, "bounced", ""))))
    assert (report.message_id, report.reference) == (handed.message_id, sent.reference)
    assert (report.said, report.fault) == (Said.UNDELIVERED, Fault.DEAD)


@needs_samples
def test_the_published_vector_is_believed_with_its_line_end_only(tmp_path: Path) -> None:
    vector = json.loads((SAMPLES / "sendgrid" / "event_dropped.signed.vector.json").read_text())
    body = (SAMPLES / "sendgrid" / vector["body_file"]).read_bytes()
    (tmp_path / "vector").write_text(vector["public_key"])
    provider = _provider(tmp_path, callback_key={"file": tmp_path / "vector"})
    signed_at = datetime.fromtimestamp(int(vector["X-Twilio-Email-Event-Webhook-Timestamp"]), UTC)
    (report,) = provider.read(call_back(body, vector, signed_at))
    assert (report.said, report.fault) == (Said.UNDELIVERED, Fault.DEAD)
    with pytest.raises(Forged):
        provider.read(call_back(body.rstrip(), vector, signed_at))
    with pytest.raises(Forged):
        provider.read(call_back(body, vector, signed_at + timedelta(minutes=11)))


@needs_samples
@pytest.mark.parametrize("path", samples("sendgrid"), ids=lambda path: path.stem)
def test_every_published_event_is_read(provider: SendGridProvider, path: Path) -> None:
    (report,) = provider.read(_signed(path.read_bytes()))
    (event,) = json.loads(path.read_bytes())
    assert (report.said, report.report_id) == (EVENTS[event["event"]], event["sg_event_id"])
