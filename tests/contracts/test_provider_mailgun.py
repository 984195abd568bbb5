"""Mailgun: what we ask, what its answers mean, how a hand-over is found again, and how far call-backs are believed."""

import hmac
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import HTTP
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
from services.dispatcher.providers.mail import Request
from services.dispatcher.providers.mailgun import MailgunProvider, Tokens, judge
from services.dispatcher.providers.mailgun_codes import CODES, EVENTS, REASONS, STATUSES
from tests.fakes.mailgun import CALLBACK_KEY, DOMAIN, KEY, FakeMailgun
from tests.support.mailing import (
    LONG_LINK,
    NOW,
    altered,
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

_TOKEN = "651869375b9df3c98fc15c4889b102119add1235c38fc92824"
_ID = UUID("9f0c3f4e-6c1b-4f0e-9b1e-0d5b7d1c2a3b")


@pytest.fixture
async def fake(tmp_path: Path) -> AsyncIterator[FakeMailgun]:
    made = FakeMailgun(tmp_path, clock=lambda: NOW)
    async with started(made):
        yield made


@pytest.fixture
def provider(tmp_path: Path) -> MailgunProvider:
    (tmp_path / "verify").write_text(f"our-signing-key\n{CALLBACK_KEY}\n")
    return _provider(tmp_path, callback_key={"file": tmp_path / "verify"})


def _provider(folder: Path, **fields: object) -> MailgunProvider:
    (folder / "key").write_text(KEY)
    made = configured(kind="mailgun", domain=DOMAIN, key={"file": folder / "key"}, **fields)
    assert isinstance(made, MailgunProvider)
    return made


def _signed(event: object, at: datetime = NOW, token: str = _TOKEN) -> CallBack:
    timestamp = str(int(at.timestamp()))
    signature = hmac.digest(b"our-signing-key", (timestamp + token).encode(), "sha256").hex()
    signed = {"timestamp": timestamp, "token": token, "signature": signature}
    return call_back(json.dumps({"signature": signed, "event-data": event}).encode(), {})


def _event(kind: str, **more: object) -> dict[str, Any]:
    return {
        "event": kind,
        "id": "ncV2XwymRUKbPek_MIM-Gw",
        "timestamp": 1772442000.5,
        "recipient": "someone@example.com",
        "user-variables": {"orderwake": str(_ID)},
        "message": {"headers": {"message-id": f"{_ID}@{DOMAIN}"}},
        **more,
    }


def _only(provider: MailgunProvider, event: dict[str, Any]) -> Report:
    (report,) = provider.read(_signed(event, token=str(uuid4())))
    return report


async def test_a_message_passes_the_checks_of_the_fake_and_carries_what_it_must(
    fake: FakeMailgun, tmp_path: Path
) -> None:
    handed = parcel(sender="hi@lumen.example")
    told = await answer(_provider(tmp_path, url=fake.url), handed)
    (entry,) = fake.received()
    assert (fake.requests, fake.violations) == (1, [])
    assert told.reference == entry["reference"] == f"{handed.message_id}@{DOMAIN}"
    assert entry["variables"] == {"orderwake": str(handed.message_id)}
    assert entry["from"] == r'"Dewy & \"Co\", Åre" <hi@lumen.example>'
    assert entry["headers"] == {
        "Message-Id": f"<{handed.message_id}@{DOMAIN}>",
        "List-Unsubscribe": f"<{LONG_LINK}>",
        "List-Unsubscribe-Post": "List-Unsubscribe=One-Click",
    }


def test_mailgun_tracks_nothing_delivers_for_real_and_both_parts_go(provider: MailgunProvider) -> None:
    form = _form(provider.request(parcel()))
    options = {name: value for name, value in form.items() if name.startswith("o:")}
    assert set(options) == {"o:tracking", "o:tracking-clicks", "o:tracking-opens"}
    assert set(options.values()) == {"no"}
    assert (form["text"], form["html"]) == ("Hällo\n", "<p>Hällo</p>")
    assert form["subject"] == "For your skin, crème"
    assert form["from"].endswith("<offers@shop.example.com>")


def _form(asked: Request) -> dict[str, str]:
    """The form, as another reader of multipart sees it."""
    head = f"Content-Type: {asked.headers['Content-Type']}\r\n\r\n".encode()
    form = {}
    for part in message_from_bytes(head + asked.body, _class=EmailMessage, policy=HTTP).iter_parts():
        value = part.get_payload(decode=True)
        assert isinstance(value, bytes)
        form[str(part["Content-Disposition"].params["name"])] = value.decode()
    return form


@pytest.mark.parametrize(
    ("fault", "result", "kind", "kept"),
    [
        ("429", Result.NOT_TAKEN, Fault.BUSY, 0),
        ("400", Result.REJECTED, Fault.DEAD, 0),
        ("401", Result.NOT_TAKEN, Fault.SENDER, 0),
        ("402", Result.NOT_TAKEN, Fault.SENDER, 0),
        ("403", Result.NOT_TAKEN, Fault.SENDER, 0),
        ("404", Result.NOT_TAKEN, Fault.SENDER, 0),
        ("413", Result.REJECTED, Fault.CONTENT, 0),
        ("500", Result.UNKNOWN, Fault.OPEN, 0),
        ("502", Result.UNKNOWN, Fault.OPEN, 0),
        ("503", Result.UNKNOWN, Fault.OPEN, 0),
        ("drop_before", Result.UNKNOWN, Fault.OPEN, 0),
        ("timeout_before", Result.UNKNOWN, Fault.OPEN, 0),
        ("timeout_after", Result.UNKNOWN, Fault.OPEN, 1),
        ("drop_after", Result.UNKNOWN, Fault.OPEN, 1),
    ],
)
async def test_only_what_certainly_was_not_taken_may_go_again(  # noqa: PLR0913, PLR0917  a table's columns
    fake: FakeMailgun, tmp_path: Path, fault: str, result: Result, kind: Fault, kept: int
) -> None:
    fake.faults.script.append(fault)
    told = await answer(_provider(tmp_path, url=fake.url, timeout_seconds=0.3), parcel())
    assert (told.result, told.fault, len(fake.received())) == (result, kind, kept)


async def test_nobody_listening_means_not_taken(tmp_path: Path) -> None:
    told = await answer(_provider(tmp_path, url="http://127.0.0.1:1"), parcel())
    assert (told.result, told.reason) == (Result.NOT_TAKEN, "mailgun_unreachable")


@pytest.mark.parametrize(
    ("status", "message", "fault"),
    [
        (400, "'to' parameter is not a valid address. please check documentation", Fault.DEAD),
        (400, "'from' parameter is not a valid address. please check documentation", Fault.SENDER),
        (400, "from parameter is missing", Fault.SENDER),
        (400, "Need at least one of 'text' or 'html' parameters specified", Fault.PERMANENT),
        (400, "Message is too large", Fault.CONTENT),
        (403, "Domain x is not allowed to send: recipient limit exceeded, try again after 30m", Fault.BUSY),
        (403, "Domain x is not allowed to send: daily messages limit reached", Fault.QUOTA),
        (429, "Too many requests: monthly limit", Fault.QUOTA),
        (418, "no", Fault.PERMANENT),
        *((status, "no", fault) for status, fault in STATUSES.items()),
    ],
)
def test_every_refusal_leads_to_its_class(status: int, message: str, fault: Fault) -> None:
    told = judge(Reply(status, {"Retry-After": "7"}, json.dumps({"message": message}).encode()))
    assert (told.fault, told.reason) == (fault, f"mailgun_{status}")
    if fault is Fault.BUSY:
        assert told.retry_after == 7


@pytest.mark.parametrize("body", [b"", b"[]", b"Forbidden", b'{"id": null}'])
def test_an_answer_that_cannot_be_read_is_judged_by_its_status(body: bytes) -> None:
    results = {status: judge(Reply(status, {}, body)).result for status in (200, 302, 400, 502)}
    assert results == {
        200: Result.UNKNOWN,
        302: Result.UNKNOWN,
        400: Result.REJECTED,
        502: Result.UNKNOWN,
    }


async def test_a_message_whose_answer_was_lost_is_found_again(fake: FakeMailgun, tmp_path: Path) -> None:
    provider, handed = _provider(tmp_path, url=fake.url), parcel()
    assert isinstance(provider, Finds)
    fake.faults.script.append("drop_after")
    assert (await answer(provider, handed)).result is Result.UNKNOWN
    await fake.settle()
    assert await found(provider, handed.message_id) == Answer.accepted(f"{handed.message_id}@{DOMAIN}")
    assert await found(provider, uuid4()) is None


async def test_a_message_that_mailgun_turned_down_later_is_found_so(
    fake: FakeMailgun, tmp_path: Path
) -> None:
    provider, handed = _provider(tmp_path, url=fake.url), parcel()
    await answer(provider, handed)
    await fake.settle()
    (entry,) = fake.entries.values()
    entry["events"].append({**entry["events"][0], "event": "rejected"})
    answered = await found(provider, handed.message_id)
    assert answered is not None
    assert (answered.result, answered.reason) == (Result.REJECTED, "mailgun_rejected")


async def test_a_search_that_fails_says_nothing(fake: FakeMailgun, tmp_path: Path) -> None:
    assert await found(_provider(tmp_path, url="http://127.0.0.1:1"), _ID) is None
    stranger = _provider(tmp_path, url=fake.url)
    (tmp_path / "key").write_text("another key")
    assert await found(stranger, _ID) is None


@pytest.mark.parametrize("kind", sorted(EVENTS))
def test_every_event_says_what_happened_to_which_message(provider: MailgunProvider, kind: str) -> None:
    assert isinstance(provider, Reports)
    report = _only(provider, _event(kind))
    assert (report.said, report.message_id) == (EVENTS[kind], _ID)
    assert report.reference == f"{_ID}@{DOMAIN}"
    assert report.occurred_at == datetime(2026, 3, 2, 9, 0, 0, 500_000, UTC)


def test_nothing_is_believed_of_an_address_as_no_signature_covers_it(provider: MailgunProvider) -> None:
    for kind in ("complained", "unsubscribed", "failed"):
        assert _only(provider, _event(kind)).address is None


def test_what_mailgun_tries_again_is_only_put_off(provider: MailgunProvider) -> None:
    report = _only(provider, _event("failed", severity="temporary", reason="generic"))
    assert (report.said, report.fault) == (Said.DEFERRED, None)


def _failure(code: int, message: str, reason: str = "bounce") -> dict[str, Any]:
    status = {"code": code, "message": message}
    return _event("failed", severity="permanent", reason=reason, **{"delivery-status": status})


@pytest.mark.parametrize(
    ("event", "fault"),
    [
        (_failure(550, "5.1.1 The account does not exist"), Fault.DEAD),
        (_failure(550, "mailbox disabled"), Fault.DEAD),
        (_failure(550, "5.7.1 Message rejected as spam"), Fault.CONTENT),
        (_failure(552, "5.2.2 The mailbox is over quota"), Fault.SOFT),
        (_failure(452, "4.2.2 The mailbox is over quota", "generic"), Fault.SOFT),
        (_failure(550, "no such user here", "generic"), Fault.DEAD),
        (_failure(498, "No MX for nomx.example.com", "generic"), Fault.SOFT),
        *((_failure(code, "no", "generic"), fault) for code, fault in CODES.items()),
        *((_failure(550, "no", reason), fault) for reason, fault in REASONS.items()),
    ],
)
def test_a_failure_is_hard_or_soft(provider: MailgunProvider, event: dict[str, Any], fault: Fault) -> None:
    report = _only(provider, event)
    assert (report.said, report.fault) == (Said.UNDELIVERED, fault)
    assert report.reason == f"mailgun_{event['reason']}"


def test_unknown_events_and_other_senders_mail_move_nothing(provider: MailgunProvider) -> None:
    assert provider.read(_signed(_event("list_member_uploaded"))) == []
    others = {"user-variables": {}, "message": {"headers": {"message-id": f"{_ID}@else.example"}}}
    assert _only(provider, _event("delivered", **others)).message_id is None


def test_an_event_without_our_variable_is_known_by_its_message_id(provider: MailgunProvider) -> None:
    assert _only(provider, _event("delivered", **{"user-variables": {}})).message_id == _ID


def test_one_byte_altered_is_refused_once_the_token_is_known(provider: MailgunProvider) -> None:
    good = _signed(_event("delivered"))
    first = provider.read(good)
    assert provider.read(good) == first
    with pytest.raises(Forged):
        provider.read(CallBack(good.url, {}, altered(good.body), NOW))


@pytest.mark.parametrize("part", ["timestamp", "token", "signature"])
def test_a_signature_altered_or_lacking_is_refused(provider: MailgunProvider, part: str) -> None:
    told = json.loads(_signed(_event("delivered")).body)
    wrongs: list[object] = [str(int(NOW.timestamp()) + 1), "", None, [], "ä"]
    for wrong in wrongs:
        told["signature"][part] = wrong
        with pytest.raises(Forged):
            provider.read(call_back(json.dumps(told).encode(), {}))


@pytest.mark.parametrize("age", [timedelta(hours=8, minutes=1), -timedelta(hours=9)])
def test_an_old_or_early_signature_is_refused(provider: MailgunProvider, age: timedelta) -> None:
    with pytest.raises(Forged):
        provider.read(_signed(_event("delivered"), NOW - age))


def test_a_retry_hours_later_is_believed(provider: MailgunProvider) -> None:
    told = _signed(_event("delivered"))
    assert provider.read(told) == provider.read(
        CallBack(told.url, {}, told.body, NOW + timedelta(hours=7, minutes=30))
    )


def test_only_so_many_tokens_are_remembered() -> None:
    tokens = Tokens(2)
    for number in range(3):
        tokens.use(f"token-{number}", b"one")
    tokens.use("token-0", b"two")
    with pytest.raises(Forged):
        tokens.use("token-2", b"two")


def test_without_a_key_nothing_is_believed(tmp_path: Path) -> None:
    with pytest.raises(Forged):
        _provider(tmp_path).read(_signed(_event("delivered")))


@pytest.mark.parametrize("body", [b"", b"no json", b"[]", b"[1]"])
def test_what_cannot_be_read_is_said_to_be_so(provider: MailgunProvider, body: bytes) -> None:
    with pytest.raises(Unreadable):
        provider.read(call_back(body, {}))


@pytest.mark.parametrize("event", [None, [], {}, {"event": ["delivered"]}])
def test_a_signed_call_back_without_an_event_moves_nothing(provider: MailgunProvider, event: object) -> None:
    assert provider.read(_signed(event)) == []


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
        ("stopped", Said.STOPPED, None),
        ("opened", Said.OPENED, None),
        ("clicked", Said.CLICKED, None),
    ],
)
async def test_what_the_fake_signs_with_a_former_key_is_believed(  # noqa: PLR0913, PLR0917  a table's columns
    fake: FakeMailgun, tmp_path: Path, provider: MailgunProvider, event: str, said: Said, fault: Fault | None
) -> None:
    handed = parcel()
    sent = await answer(_provider(tmp_path, url=fake.url), handed)
    (entry,) = fake.received()
    payload = fake.report(entry, event, "")
    (report,) = provider.read(as_told(fake.sign(entry, payload)))
    assert (report.message_id, report.reference) == (handed.message_id, sent.reference)
    assert (report.said, report.fault) == (said, fault)
    assert provider.read(as_told(fake.sign(entry, payload))) == [report]


@needs_samples
@pytest.mark.parametrize("path", samples("mailgun"), ids=lambda path: path.stem)
def test_every_published_event_is_read(provider: MailgunProvider, path: Path) -> None:
    event = json.loads(path.read_bytes())["event-data"]
    report = _only(provider, event)
    temporary = event.get("severity") == "temporary"
    assert report.said is (Said.DEFERRED if temporary else EVENTS[event["event"]])
    assert report.reference == event["message"]["headers"]["message-id"]
    if path.stem == "failed_permanent_event":
        assert report.fault is Fault.DEAD
