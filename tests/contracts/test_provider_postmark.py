"""Postmark: what we ask, what its answers mean, how a hand-over is found again, and which call-backs are believed."""

import base64
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest

from services.dispatcher.providers.base import (
    Answer,
    CallBack,
    Fault,
    Finds,
    Forged,
    Report,
    Reports,
    Result,
    Said,
    Unreadable,
)
from services.dispatcher.providers.http import Reply
from services.dispatcher.providers.postmark import PostmarkProvider, judge
from services.dispatcher.providers.postmark_codes import BOUNCES, CODES, RECORDS, STATUSES, SUPPRESSIONS
from tests.fakes.postmark import CALLBACK_PASSWORD, CALLBACK_USER, KEY, FakePostmark
from tests.support.mailing import (
    LONG_LINK,
    NOW,
    answer,
    as_told,
    call_back,
    configured,
    found,
    needs_samples,
    parcel,
    samples,
    started,
)

_ID = UUID("9f0c3f4e-6c1b-4f0e-9b1e-0d5b7d1c2a3b")
_INACTIVE = (
    "You tried to send to recipient(s) that have been marked as inactive. Found inactive addresses: "
    "someone@example.com. Inactive recipients are ones that have generated a hard bounce, a spam complaint, "
    "or a manual suppression."
)


@pytest.fixture
async def fake(tmp_path: Path) -> AsyncIterator[FakePostmark]:
    made = FakePostmark(tmp_path, clock=lambda: NOW)
    async with started(made):
        yield made


@pytest.fixture
def provider(tmp_path: Path) -> PostmarkProvider:
    (tmp_path / "verify").write_text(f"ours:now\n{CALLBACK_USER}:{CALLBACK_PASSWORD}\n")
    return _provider(tmp_path, callback_key={"file": tmp_path / "verify"})


def _provider(folder: Path, **fields: object) -> PostmarkProvider:
    (folder / "key").write_text(KEY)
    made = configured(kind="postmark", key={"file": folder / "key"}, **fields)
    assert isinstance(made, PostmarkProvider)
    return made


def _basic(pair: str) -> dict[str, str]:
    return {"Authorization": f"Basic {base64.b64encode(pair.encode()).decode()}"}


def _told(body: bytes, pair: str = "ours:now") -> CallBack:
    return call_back(body, _basic(pair))


def _event(kind: str, **more: object) -> dict[str, Any]:
    return {
        "RecordType": kind,
        "MessageID": "883953f4-6105-42a2-a16a-77a8eac79483",
        "Recipient": "someone@example.com",
        "ReceivedAt": "2026-03-02T04:00:00.1234567-05:00",
        "Metadata": {"orderwake": str(_ID)},
        **more,
    }


def _only(provider: PostmarkProvider, event: dict[str, Any]) -> Report:
    (report,) = provider.read(_told(json.dumps(event).encode()))
    return report


async def test_a_message_passes_the_checks_of_the_fake_and_carries_what_it_must(
    fake: FakePostmark, tmp_path: Path
) -> None:
    handed = parcel(sender="hi@lumen.example")
    told = await answer(_provider(tmp_path, url=fake.url), handed)
    (entry,) = fake.received()
    assert (fake.requests, fake.violations) == (1, [])
    assert (told.reference, entry["k"]) == (entry["reference"], str(handed.message_id))
    assert entry["from"] == r'"Dewy & \"Co\", Åre" <hi@lumen.example>'
    assert entry["stream"] == "broadcast"
    assert entry["headers"] == {
        "List-Unsubscribe": f"<{LONG_LINK}>",
        "List-Unsubscribe-Post": "List-Unsubscribe=One-Click",
    }


def test_postmark_tracks_nothing_and_both_parts_go(provider: PostmarkProvider) -> None:
    message = json.loads(provider.request(parcel()).body)
    assert (message["TrackOpens"], message["TrackLinks"]) == (False, "None")
    assert (message["TextBody"], message["HtmlBody"]) == ("Hällo\n", "<p>Hällo</p>")
    assert message["From"].endswith("<offers@shop.example.com>")


@pytest.mark.parametrize(
    ("fault", "result", "kind", "kept"),
    [
        ("429", Result.NOT_TAKEN, Fault.BUSY, 0),
        ("10", Result.NOT_TAKEN, Fault.SENDER, 0),
        ("100", Result.NOT_TAKEN, Fault.PASSING, 0),
        ("300", Result.REJECTED, Fault.DEAD, 0),
        ("400", Result.NOT_TAKEN, Fault.SENDER, 0),
        ("401", Result.NOT_TAKEN, Fault.SENDER, 0),
        ("402", Result.REJECTED, Fault.PERMANENT, 0),
        ("403", Result.REJECTED, Fault.PERMANENT, 0),
        ("405", Result.NOT_TAKEN, Fault.SENDER, 0),
        ("406", Result.REJECTED, Fault.DEAD, 0),
        ("409", Result.REJECTED, Fault.PERMANENT, 0),
        ("411", Result.REJECTED, Fault.CONTENT, 0),
        ("412", Result.NOT_TAKEN, Fault.SENDER, 0),
        ("413", Result.NOT_TAKEN, Fault.SENDER, 0),
        ("500", Result.UNKNOWN, Fault.OPEN, 0),
        ("503", Result.UNKNOWN, Fault.OPEN, 0),
        ("drop_before", Result.UNKNOWN, Fault.OPEN, 0),
        ("timeout_before", Result.UNKNOWN, Fault.OPEN, 0),
        ("timeout_after", Result.UNKNOWN, Fault.OPEN, 1),
        ("drop_after", Result.UNKNOWN, Fault.OPEN, 1),
    ],
)
async def test_only_what_certainly_was_not_taken_may_go_again(  # noqa: PLR0913, PLR0917  a table's columns
    fake: FakePostmark, tmp_path: Path, fault: str, result: Result, kind: Fault, kept: int
) -> None:
    fake.faults.script.append(fault)
    told = await answer(_provider(tmp_path, url=fake.url, timeout_seconds=0.3), parcel())
    assert (told.result, told.fault, len(fake.received())) == (result, kind, kept)


async def test_nobody_listening_means_not_taken(tmp_path: Path) -> None:
    told = await answer(_provider(tmp_path, url="http://127.0.0.1:1"), parcel())
    assert (told.result, told.reason) == (Result.NOT_TAKEN, "postmark_unreachable")


def _refusal(code: int, message: str = "no", status: int = 422) -> Answer:
    return judge(Reply(status, {}, json.dumps({"ErrorCode": code, "Message": message}).encode()))


@pytest.mark.parametrize("code", sorted(CODES))
def test_every_code_of_the_table_leads_to_its_class(code: int) -> None:
    told = _refusal(code)
    assert (told.fault, told.reason) == (CODES[code], f"postmark_{code}")


@pytest.mark.parametrize(
    ("code", "message", "fault"),
    [
        (300, "Error parsing 'To': Illegal email domain 'x' in address 'y@x'.", Fault.DEAD),
        (300, "Invalid 'From' address: 'x'.", Fault.SENDER),
        (300, "Provide either email TextBody or HtmlBody or both.", Fault.PERMANENT),
        (406, _INACTIVE, Fault.DEAD),
        (406, "The recipient has unsubscribed. " + _INACTIVE, Fault.STOPPED),
        (406, "The recipient made a spam complaint.", Fault.STOPPED),
        (9999, "something new", Fault.PERMANENT),
    ],
)
def test_the_message_tells_whom_a_refusal_is_about(code: int, message: str, fault: Fault) -> None:
    assert _refusal(code, message).fault is fault


@pytest.mark.parametrize("status", sorted(STATUSES))
def test_what_a_layer_before_postmark_refuses_is_judged_by_its_status(status: int) -> None:
    told = judge(Reply(status, {"Retry-After": "70"}, b"<html>Forbidden</html>"))
    assert (told.fault, told.reason) == (STATUSES[status], f"postmark_http_{status}")


@pytest.mark.parametrize("body", [b"", b"[]", b"<html>", b'{"ErrorCode": "x"}'])
def test_an_answer_that_cannot_be_read_is_judged_by_its_status(body: bytes) -> None:
    results = {status: judge(Reply(status, {}, body)).result for status in (200, 302, 422, 503)}
    assert results == {
        200: Result.UNKNOWN,
        302: Result.UNKNOWN,
        422: Result.REJECTED,
        503: Result.UNKNOWN,
    }


async def test_a_message_whose_answer_was_lost_is_found_again(fake: FakePostmark, tmp_path: Path) -> None:
    provider, handed = _provider(tmp_path, url=fake.url), parcel()
    assert isinstance(provider, Finds)
    await answer(provider, parcel())
    fake.faults.script.append("drop_after")
    assert (await answer(provider, handed)).result is Result.UNKNOWN
    answered = await found(provider, handed.message_id)
    assert answered == Answer.accepted(fake.received()[1]["reference"])
    assert await found(provider, uuid4()) is None


async def test_a_search_that_fails_or_finds_anothers_message_says_nothing(
    fake: FakePostmark, tmp_path: Path
) -> None:
    await answer(_provider(tmp_path, url=fake.url), parcel())
    assert await found(_provider(tmp_path, url="http://127.0.0.1:1"), _ID) is None
    stranger = _provider(tmp_path, url=fake.url)
    (tmp_path / "key").write_text("another token")
    assert await found(stranger, _ID) is None


@pytest.mark.parametrize("kind", sorted(RECORDS))
def test_every_record_says_what_happened_to_which_message(provider: PostmarkProvider, kind: str) -> None:
    assert isinstance(provider, Reports)
    report = _only(provider, _event(kind))
    assert (report.said, report.message_id, report.address) == (RECORDS[kind], _ID, "someone@example.com")
    assert report.reference == "883953f4-6105-42a2-a16a-77a8eac79483"
    assert report.occurred_at == datetime(2026, 3, 2, 9, 0, 0, 123456, UTC)


@pytest.mark.parametrize("kind", sorted(BOUNCES))
def test_every_type_of_bounce_has_its_class(provider: PostmarkProvider, kind: str) -> None:
    report = _only(provider, _event("Bounce", Type=kind, ID=7, Email="someone@example.com"))
    assert (report.said, report.fault) == BOUNCES[kind]
    assert report.reason == (f"postmark_{kind}" if report.fault else None)


@pytest.mark.parametrize("reason", sorted(SUPPRESSIONS))
def test_a_suppression_is_told_by_its_reason(provider: PostmarkProvider, reason: str) -> None:
    event = _event("SubscriptionChange", SuppressSending=True, SuppressionReason=reason)
    report = _only(provider, event)
    assert (report.said, report.fault) == SUPPRESSIONS[reason]


@pytest.mark.parametrize(
    "event",
    [
        _event("Inbound"),
        _event("Bounce", Type="AutoResponder"),
        _event("Bounce", Type="Subscribe"),
        _event("SubscriptionChange", SuppressSending=False, SuppressionReason=None),
        {},
    ],
)
def test_what_says_nothing_of_a_message_moves_nothing(
    provider: PostmarkProvider, event: dict[str, Any]
) -> None:
    assert provider.read(_told(json.dumps(event).encode())) == []


def test_told_again_it_has_the_same_id_and_another_time_another(provider: PostmarkProvider) -> None:
    first = _only(provider, _event("Open"))
    assert _only(provider, _event("Open")).report_id == first.report_id
    assert _only(provider, _event("Open", ReceivedAt="2026-03-03T00:00:00Z")).report_id != first.report_id
    assert "someone" not in first.report_id


@pytest.mark.parametrize("pair", ["ours:noW", "ours:", "", "somebody:now", "ours:now:more"])
def test_other_credentials_are_refused(provider: PostmarkProvider, pair: str) -> None:
    with pytest.raises(Forged):
        provider.read(_told(b"{}", pair))


@pytest.mark.parametrize("header", [{}, {"Authorization": "Bearer x"}, {"Authorization": "Basic \udcff"}])
def test_no_credentials_are_refused(provider: PostmarkProvider, header: dict[str, str]) -> None:
    with pytest.raises(Forged):
        provider.read(call_back(b"{}", header))


def test_without_credentials_of_ours_nothing_is_believed(tmp_path: Path) -> None:
    for pair in ("", ":", "ours:now"):
        with pytest.raises(Forged):
            _provider(tmp_path).read(_told(b"{}", pair))


@pytest.mark.parametrize("body", [b"", b"no json", b"[]", b"[1]", b"[{}, {}]"])
def test_what_cannot_be_read_is_said_to_be_so(provider: PostmarkProvider, body: bytes) -> None:
    with pytest.raises(Unreadable):
        provider.read(_told(body))


@pytest.mark.parametrize(
    ("event", "said", "fault"),
    [
        ("delivered", Said.DELIVERED, None),
        ("deferred", Said.DEFERRED, None),
        ("bounced", Said.UNDELIVERED, Fault.DEAD),
        ("soft", Said.UNDELIVERED, Fault.SOFT),
        ("complained", Said.COMPLAINED, None),
        ("stopped", Said.STOPPED, None),
        ("opened", Said.OPENED, None),
        ("clicked", Said.CLICKED, None),
    ],
)
async def test_what_the_fake_tells_with_former_credentials_is_believed(  # noqa: PLR0913, PLR0917  a table's columns
    fake: FakePostmark,
    tmp_path: Path,
    provider: PostmarkProvider,
    event: str,
    said: Said,
    fault: Fault | None,
) -> None:
    handed = parcel()
    sent = await answer(_provider(tmp_path, url=fake.url), handed)
    (entry,) = fake.received()
    (report,) = provider.read(as_told(fake.sign(entry, fake.report(entry, event, ""))))
    assert (report.message_id, report.reference) == (handed.message_id, sent.reference)
    assert (report.said, report.fault, report.address) == (said, fault, handed.recipient)


@needs_samples
@pytest.mark.parametrize("path", samples("postmark"), ids=lambda path: path.stem)
def test_every_published_event_is_read(provider: PostmarkProvider, path: Path) -> None:
    (report,) = provider.read(_told(path.read_bytes()))
    said = {
        "bounce_event": Said.UNDELIVERED,
        "click_event": Said.CLICKED,
        "delivered_event": Said.DELIVERED,
        "open_event": Said.OPENED,
        "spam_event": Said.COMPLAINED,
        "unsubscribe": Said.STOPPED,
    }
    assert report.said is said[path.stem.removesuffix("__raw_event")]
    assert report.reference == json.loads(path.read_bytes())["MessageID"]
    assert report.occurred_at.year < 2026
