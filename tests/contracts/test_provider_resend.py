"""Resend: one message per key whatever happens, what its answers mean, and which call-backs are believed."""

import base64
import hmac
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest

from services.dispatcher.providers.base import (
    CallBack,
    Fault,
    Forged,
    Report,
    Reports,
    Result,
    Said,
    Unreadable,
)
from services.dispatcher.providers.http import Reply
from services.dispatcher.providers.resend import ResendProvider, judge
from services.dispatcher.providers.resend_codes import BOUNCES, EVENTS, NAMES, STATUSES, SUPPRESSED
from shared.errors import SettingsError
from tests.fakes.resend import CALLBACK_KEY, KEY, FakeResend
from tests.support.mailing import (
    LONG_LINK,
    NOW,
    altered,
    answer,
    as_told,
    call_back,
    configured,
    parcel,
    started,
)

_SIGNING = b"our signing key of thirty-two by"
_ID = UUID("9f0c3f4e-6c1b-4f0e-9b1e-0d5b7d1c2a3b")


@pytest.fixture
async def fake(tmp_path: Path) -> AsyncIterator[FakeResend]:
    made = FakeResend(tmp_path, check=False, clock=lambda: NOW)
    async with started(made):
        yield made


@pytest.fixture
def provider(tmp_path: Path) -> ResendProvider:
    ours = "whsec_" + base64.b64encode(_SIGNING).decode()
    (tmp_path / "verify").write_text(f"{ours}\n{CALLBACK_KEY}\n")
    return _provider(tmp_path, callback_key={"file": tmp_path / "verify"})


def _provider(folder: Path, **fields: object) -> ResendProvider:
    (folder / "key").write_text(KEY)
    made = configured(kind="resend", key={"file": folder / "key"}, **fields)
    assert isinstance(made, ResendProvider)
    return made


def _signed(body: bytes, at: datetime = NOW, more: str = "") -> CallBack:
    timestamp = str(int(at.timestamp()))
    signature = base64.b64encode(hmac.digest(_SIGNING, f"msg_1.{timestamp}.".encode() + body, "sha256"))
    headers = {
        "svix-id": "msg_1",
        "svix-timestamp": timestamp,
        "svix-signature": f"{more}v1,{signature.decode()}",
    }
    return call_back(body, headers)


def _event(kind: str, **more: object) -> dict[str, Any]:
    return {
        "type": kind,
        "created_at": "2026-03-02T09:00:00.000Z",
        "data": {
            "email_id": "ae2014de-c168-4c61-8267-70d2662a1ce1",
            "from": "Dewy <offers@shop.example.com>",
            "to": ["someone@example.com"],
            "tags": {"orderwake": str(_ID)},
            **more,
        },
    }


def _only(provider: ResendProvider, event: dict[str, Any]) -> Report:
    (report,) = provider.read(_signed(json.dumps(event).encode()))
    return report


async def test_a_request_passes_the_published_specification(tmp_path: Path) -> None:
    async with started(FakeResend(tmp_path)) as fake:
        if not fake.checked:
            pytest.skip("../shared with Resend's specification is not here")
        assert (await answer(_provider(tmp_path, url=fake.url), parcel())).result is Result.ACCEPTED
        assert (fake.requests, fake.violations) == (1, [])


async def test_a_message_carries_its_id_and_a_whole_unsubscribe_link(
    fake: FakeResend, tmp_path: Path
) -> None:
    handed = parcel(sender="hi@lumen.example")
    told = await answer(_provider(tmp_path, url=fake.url), handed)
    (entry,) = fake.received()
    assert (told.reference, entry["k"]) == (entry["reference"], str(handed.message_id))
    assert entry["key"] == entry["tags"]["orderwake"] == str(handed.message_id)
    assert entry["from"] == r'"Dewy & \"Co\", Åre" <hi@lumen.example>'
    assert entry["headers"] == {
        "List-Unsubscribe": f"<{LONG_LINK}>",
        "List-Unsubscribe-Post": "List-Unsubscribe=One-Click",
    }


def test_the_same_parcel_makes_the_same_bytes(provider: ResendProvider, tmp_path: Path) -> None:
    message_id = uuid4()
    first = provider.request(parcel(message_id))
    assert provider.request(parcel(message_id)) == first
    assert _provider(tmp_path).request(parcel(message_id)) == first
    assert set(json.loads(first.body)) == {"from", "to", "subject", "text", "html", "headers", "tags"}


@pytest.mark.parametrize("fault", ["timeout_after", "drop_after", "drop_before", "timeout_before", "500"])
async def test_a_second_hand_over_settles_the_first_and_doubles_nothing(
    fake: FakeResend, tmp_path: Path, fault: str
) -> None:
    fake.faults.script.append(fault)
    provider, handed = _provider(tmp_path, url=fake.url, timeout_seconds=0.3), parcel()
    assert provider.once
    assert (await answer(provider, handed)).result is Result.UNKNOWN
    again = await answer(provider, handed)
    (entry,) = fake.received()
    assert (again.result, again.reference) == (Result.ACCEPTED, entry["reference"])


async def test_the_same_key_with_another_body_says_that_the_first_was_taken(
    fake: FakeResend, tmp_path: Path
) -> None:
    message_id, provider = uuid4(), _provider(tmp_path, url=fake.url)
    await answer(provider, parcel(message_id))
    told = await answer(provider, parcel(message_id, subject="Rendered anew"))
    assert (told.result, told.reference, len(fake.received())) == (Result.ACCEPTED, None, 1)


@pytest.mark.parametrize(
    ("fault", "result", "kind"),
    [
        ("429", Result.NOT_TAKEN, Fault.BUSY),
        ("quota", Result.NOT_TAKEN, Fault.QUOTA),
        ("quota_month", Result.NOT_TAKEN, Fault.QUOTA),
        ("400", Result.REJECTED, Fault.PERMANENT),
        ("401", Result.NOT_TAKEN, Fault.SENDER),
        ("401_restricted", Result.NOT_TAKEN, Fault.SENDER),
        ("403", Result.NOT_TAKEN, Fault.SENDER),
        ("403_domain", Result.NOT_TAKEN, Fault.SENDER),
        ("404", Result.NOT_TAKEN, Fault.SENDER),
        ("405", Result.NOT_TAKEN, Fault.SENDER),
        ("409", Result.NOT_TAKEN, Fault.BUSY),
        ("422", Result.REJECTED, Fault.DEAD),
        ("422_from", Result.NOT_TAKEN, Fault.SENDER),
        ("451", Result.REJECTED, Fault.CONTENT),
        ("500", Result.UNKNOWN, Fault.OPEN),
        ("503", Result.UNKNOWN, Fault.OPEN),
    ],
)
async def test_only_what_certainly_was_not_taken_may_go_elsewhere(
    fake: FakeResend, tmp_path: Path, fault: str, result: Result, kind: Fault
) -> None:
    fake.faults.script.append(fault)
    told = await answer(_provider(tmp_path, url=fake.url), parcel())
    assert (told.result, told.fault, fake.received()) == (result, kind, [])


async def test_nobody_listening_means_not_taken(tmp_path: Path) -> None:
    told = await answer(_provider(tmp_path, url="http://127.0.0.1:1"), parcel())
    assert (told.result, told.reason) == (Result.NOT_TAKEN, "resend_unreachable")


@pytest.mark.parametrize("name", sorted(NAMES))
def test_every_name_of_an_error_leads_to_its_class(name: str) -> None:
    body = json.dumps({"statusCode": 400, "name": name, "message": "no"}).encode()
    told = judge(Reply(400, {"Retry-After": "7"}, body))
    assert (told.fault, told.reason) == (NAMES[name], f"resend_{name}")
    if told.fault is Fault.BUSY:
        assert told.retry_after == 7


@pytest.mark.parametrize("status", sorted(STATUSES))
def test_a_name_that_is_not_known_is_judged_by_its_status(status: int) -> None:
    told = judge(Reply(status, {}, b'{"name": "something_new"}'))
    assert (told.fault, told.reason) == (STATUSES[status], "resend_something_new")


@pytest.mark.parametrize("body", [b"", b"[]", b"<html>", b'{"name": 3}'])
def test_an_answer_that_cannot_be_read_is_judged_by_its_status(body: bytes) -> None:
    results = {status: judge(Reply(status, {}, body)).result for status in (200, 204, 302, 418, 502)}
    assert results == {
        200: Result.UNKNOWN,
        204: Result.UNKNOWN,
        302: Result.UNKNOWN,
        418: Result.REJECTED,
        502: Result.UNKNOWN,
    }


@pytest.mark.parametrize("kind", sorted(EVENTS))
def test_every_event_says_what_happened_to_which_message(provider: ResendProvider, kind: str) -> None:
    assert isinstance(provider, Reports)
    report = _only(provider, _event(kind))
    assert (report.said, report.message_id, report.report_id) == (EVENTS[kind], _ID, "msg_1")
    assert (report.reference, report.address) == (
        "ae2014de-c168-4c61-8267-70d2662a1ce1",
        "someone@example.com",
    )
    assert report.occurred_at == datetime(2026, 3, 2, 9, tzinfo=UTC)


@pytest.mark.parametrize(
    ("told", "fault"),
    [
        (("Permanent", "General"), Fault.DEAD),
        (("Permanent", "NoEmail"), Fault.DEAD),
        (("Transient", "General"), Fault.SOFT),
        (("Undetermined", "Undetermined"), Fault.SOFT),
        *BOUNCES.items(),
    ],
)
def test_a_bounce_is_hard_or_soft(provider: ResendProvider, told: tuple[str, str], fault: Fault) -> None:
    event = _event("email.bounced", bounce={"type": told[0], "subType": told[1], "message": "a@b.c"})
    report = _only(provider, event)
    assert (report.said, report.fault, report.reason) == (Said.UNDELIVERED, fault, "resend_bounced")


@pytest.mark.parametrize("reason", [*SUPPRESSED, "something new"])
def test_every_reason_of_a_suppression_has_its_class(provider: ResendProvider, reason: str) -> None:
    report = _only(provider, _event("email.suppressed", suppressed={"reason": reason}))
    assert report.fault is SUPPRESSED.get(reason, Fault.PERMANENT)


def test_unknown_events_and_other_senders_mail_move_nothing(provider: ResendProvider) -> None:
    assert provider.read(_signed(json.dumps(_event("contact.updated")).encode())) == []
    assert _only(provider, _event("email.delivered", tags={"orderwake": "x"})).message_id is None
    assert _only(provider, _event("email.delivered", tags=[])).message_id is None


def test_one_byte_altered_is_refused(provider: ResendProvider) -> None:
    good = _signed(json.dumps(_event("email.delivered")).encode())
    assert len(provider.read(good)) == 1
    with pytest.raises(Forged):
        provider.read(CallBack(good.url, good.headers, altered(good.body), good.received_at))
    with pytest.raises(Forged):
        provider.read(CallBack(good.url, {**good.headers, "svix-id": "msg_2"}, good.body, good.received_at))


def test_one_of_several_signatures_is_enough(provider: ResendProvider) -> None:
    body = json.dumps(_event("email.delivered")).encode()
    assert len(provider.read(_signed(body, more="v1a,xyz v1,AAAA "))) == 1


@pytest.mark.parametrize("age", [timedelta(minutes=6), -timedelta(minutes=6)])
def test_an_old_or_early_signature_is_refused(provider: ResendProvider, age: timedelta) -> None:
    with pytest.raises(Forged):
        provider.read(_signed(b"{}", NOW - age))


@pytest.mark.parametrize("lacking", ["svix-id", "svix-timestamp", "svix-signature"])
def test_what_is_not_signed_is_refused(provider: ResendProvider, lacking: str) -> None:
    good = _signed(json.dumps(_event("email.delivered")).encode())
    headers = {name: value for name, value in good.headers.items() if name != lacking}
    with pytest.raises(Forged):
        provider.read(CallBack(good.url, headers, good.body, good.received_at))


@pytest.mark.parametrize("signature", ["v1", "v1,\udcff", "v2,AAAA", "  "])
def test_a_signature_that_is_none_is_refused(provider: ResendProvider, signature: str) -> None:
    good = _signed(b"{}")
    with pytest.raises(Forged):
        provider.read(
            CallBack(good.url, {**good.headers, "svix-signature": signature}, good.body, good.received_at)
        )


def test_bytes_that_are_no_text_are_refused(provider: ResendProvider) -> None:
    with pytest.raises(Forged):
        provider.read(_signed(b"\xff\xfe"))


def test_without_a_key_nothing_is_believed(tmp_path: Path) -> None:
    with pytest.raises(Forged):
        _provider(tmp_path).read(_signed(b"{}"))


async def test_a_key_that_is_none_says_at_the_start_where_to_find_it(tmp_path: Path) -> None:
    (tmp_path / "bad").write_text("whsec_ä")
    with pytest.raises(SettingsError, match="signing secret"):
        await _provider(tmp_path, callback_key={"file": tmp_path / "bad"}).start()


@pytest.mark.parametrize("body", [b"", b"no json", b"[]", b"[{}, {}]", b'{"type": "email.sent"}'])
def test_what_is_signed_but_cannot_be_read_is_said_to_be_so(provider: ResendProvider, body: bytes) -> None:
    with pytest.raises(Unreadable):
        provider.read(_signed(body))


@pytest.mark.parametrize(
    ("event", "said", "fault"),
    [
        ("taken", Said.TAKEN, None),
        ("delivered", Said.DELIVERED, None),
        ("deferred", Said.DEFERRED, None),
        ("bounced", Said.UNDELIVERED, Fault.DEAD),
        ("soft", Said.UNDELIVERED, Fault.SOFT),
        ("dropped", Said.UNDELIVERED, Fault.DEAD),
        ("complained", Said.COMPLAINED, None),
        ("opened", Said.OPENED, None),
        ("clicked", Said.CLICKED, None),
    ],
)
async def test_what_the_fake_signs_with_a_former_key_is_believed(  # noqa: PLR0913, PLR0917  a table's columns
    fake: FakeResend, tmp_path: Path, provider: ResendProvider, event: str, said: Said, fault: Fault | None
) -> None:
    handed = parcel()
    sent = await answer(_provider(tmp_path, url=fake.url), handed)
    (entry,) = fake.received()
    first = fake.sign(entry, fake.report(entry, event, ""))
    (report,) = provider.read(as_told(first))
    assert (report.message_id, report.reference) == (handed.message_id, sent.reference)
    assert (report.said, report.fault) == (said, fault)
    assert provider.read(as_told(fake.sign(entry, fake.report(entry, event, "")))) == [report]
