"""Amazon SES: requests against botocore's model, every error and bounce of its tables, and its published events."""

import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import orjson
import pytest
from pydantic import ValidationError

from services.dispatcher.providers.base import (
    CallBack,
    EmailContent,
    Fault,
    Finds,
    Parcel,
    Report,
    Reports,
    Result,
    Said,
    SmsContent,
)
from services.dispatcher.providers.config import Surroundings
from services.dispatcher.providers.http import Reply
from services.dispatcher.providers.ses import SesConfig, SesProvider, reports
from services.dispatcher.providers.ses_codes import BOUNCES, CODES, EVENTS
from services.dispatcher.providers.sns_envelope import Notice
from shared.secrets import Secret
from tests.fakes.aws_signing import ACCESS_KEY, REGION, SECRET_KEY
from tests.fakes.fates import Fates
from tests.fakes.ses import FakeSes
from tests.fakes.sns_envelope import TOPIC
from tests.fakes.specification import CONTRACTS
from tests.support.asking_fakes import Ear, listening

NOW = datetime(2026, 3, 2, 9, tzinfo=UTC)
PUBLIC = "https://go.example.com"
SAMPLES = CONTRACTS / "samples" / "ses"
PRESENT = pytest.mark.skipif(not SAMPLES.exists(), reason="../shared with Amazon's samples is not here")
UNSUBSCRIBE = "https://go.example.com/u/" + "x" * 120


def provider(**changes: Any) -> SesProvider:  # noqa: ANN401  any field
    config: dict[str, Any] = {
        "name": "mail-2",
        "region": REGION,
        "access_key": Secret.given(ACCESS_KEY),
        "secret_key": Secret.given(SECRET_KEY),
        "configuration_set": "orderwake",
        "topics": (TOPIC,),
    }
    return SesProvider(SesConfig(**(config | changes)), Surroundings(PUBLIC, "offers@shop.example.com"))


def parcel(recipient: str = "someone@example.com") -> Parcel:
    content = EmailContent(
        sender_name="Dewy & Co, \u00c5re",
        subject="Your cleanser pairs perfectly with cr\u00e8me",
        text="H\u00e4llo",
        html="<p>H\u00e4llo</p>",
        unsubscribe_url=UNSUBSCRIBE,
        written_at=NOW,
    )
    return Parcel(uuid4(), recipient, content, 3600)


@asynccontextmanager
async def far_end(
    folder: Path,
    fates: Fates | None = None,
    **changes: Any,  # noqa: ANN401  any field
) -> AsyncIterator[tuple[FakeSes, SesProvider, Ear]]:
    async with AsyncExitStack() as stack:
        ear = await stack.enter_async_context(listening())
        fake = FakeSes(folder, callback_url=ear.url, fates=fates)
        await fake.start()
        stack.push_async_callback(fake.stop)
        made = provider(**{"url": fake.url, "sns_url": fake.url, "timeout_seconds": 1.0, **changes})
        await made.start()
        stack.push_async_callback(made.close)
        yield fake, made, ear


async def heard(made: SesProvider, ear: Ear) -> list[Report]:
    at = datetime.now(UTC)
    return [
        report
        for each in ear.heard
        for report in await made.read(CallBack(PUBLIC, each.headers, each.body, at))
    ]


async def test_a_request_is_signed_and_passes_amazons_own_model(tmp_path: Path) -> None:
    async with far_end(tmp_path) as (fake, made, _):
        sent = parcel()
        answer = await made.send(sent)
        (entry,) = fake.received()
        assert (answer.result, answer.reference) == (Result.ACCEPTED, entry["reference"])
        assert (fake.checked, fake.violations) == (True, [])
        assert (entry["k"], entry["to"], entry["configuration_set"]) == (
            str(sent.message_id),
            "someone@example.com",
            "orderwake",
        )


async def test_a_long_signed_unsubscribe_link_survives_the_api(tmp_path: Path) -> None:
    async with far_end(tmp_path) as (fake, made, _):
        await made.send(parcel())
        headers = fake.received()[0]["headers"]
        assert headers["List-Unsubscribe"] == f"<{UNSUBSCRIBE}>"
        assert headers["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"


async def test_the_shops_own_address_sends(tmp_path: Path) -> None:
    async with far_end(tmp_path) as (fake, made, _):
        sent = parcel()
        await made.send(
            Parcel(sent.message_id, sent.recipient, sent.content, 60, sender="hello@lumen.example.com")
        )
        assert fake.received()[0]["from"].endswith("<hello@lumen.example.com>")


async def test_what_no_header_can_carry_never_leaves() -> None:
    answer = await provider(url="http://127.0.0.1:1").send(parcel("a@example.com\r\nBcc: b@c.de"))
    assert (answer.result, answer.reason) == (Result.REJECTED, "ses_unwritable")
    with pytest.raises(TypeError):
        await provider().send(Parcel(uuid4(), "someone@example.com", SmsContent("no"), 60))


EXPECTED = {
    "429": Fault.BUSY,
    "quota": Fault.QUOTA,
    "LimitExceededException": Fault.BUSY,
    "AccountSuspendedException": Fault.SENDER,
    "SendingPausedException": Fault.SENDER,
    "MessageRejected": Fault.CONTENT,
    "MailFromDomainNotVerifiedException": Fault.SENDER,
    "NotFoundException": Fault.SENDER,
    "BadRequestException": Fault.PERMANENT,
    "AccessDeniedException": Fault.SENDER,
    "ExpiredTokenException": Fault.SENDER,
    "500": Fault.OPEN,
    "503": Fault.OPEN,
    "timeout_before": Fault.OPEN,
    "timeout_after": Fault.OPEN,
    "drop_after": Fault.OPEN,
}


@pytest.mark.parametrize("fault", sorted({*EXPECTED, *FakeSes.refusals}))
async def test_every_refusal_of_the_fake_leads_to_its_class(tmp_path: Path, fault: str) -> None:
    async with far_end(tmp_path, timeout_seconds=0.3) as (fake, made, _):
        fake.faults.script.append(fault)
        answer = await made.send(parcel())
        assert answer.fault is EXPECTED[fault]
        assert len(fake.received()) == (fault in ("timeout_after", "drop_after"))


@pytest.mark.parametrize("code", sorted(CODES))
def test_every_error_of_the_table_leads_to_its_class(code: str) -> None:
    answer = provider()._line.read(Reply(400, {"x-amzn-ErrorType": code}, b'{"message": "no"}'))  # noqa: SLF001  pure
    assert (answer.reason, answer.fault) == (f"ses_{code}", CODES[code])


def test_an_identity_that_is_not_verified_is_ours_to_mend() -> None:
    body = orjson.dumps(
        {"message": "Email address is not verified. The following identities failed the check: x"}
    )
    answer = provider()._line.read(Reply(400, {"x-amzn-ErrorType": "MessageRejected"}, body))  # noqa: SLF001  pure
    assert answer.fault is Fault.SENDER


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"<html>", b'{"MessageId": 7}', b'{"message": 7}', b"null", b"7"]
)
def test_an_answer_that_is_not_amazons_is_judged_by_its_status(body: bytes) -> None:
    read = provider()._line.read  # noqa: SLF001  pure
    results = {status: read(Reply(status, {}, body)).result for status in (200, 302, 400, 403, 429, 502)}
    assert results == {
        200: Result.UNKNOWN,
        302: Result.UNKNOWN,
        400: Result.REJECTED,
        403: Result.NOT_TAKEN,
        429: Result.NOT_TAKEN,
        502: Result.UNKNOWN,
    }


async def test_wrong_keys_leave_the_message_for_later(tmp_path: Path) -> None:
    async with far_end(tmp_path, secret_key=Secret.given("wrong")) as (fake, made, _):
        answer = await made.send(parcel())
        assert (answer.result, answer.our_fault, fake.received()) == (Result.NOT_TAKEN, True, [])


async def test_keys_are_read_again_when_they_change(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_text("wrong")
    async with far_end(tmp_path, secret_key=Secret(file=file)) as (_, made, _ear):
        assert (await made.send(parcel())).our_fault
        file.write_text(SECRET_KEY)
        assert (await made.send(parcel())).result is Result.ACCEPTED


async def test_without_keys_amazons_own_chain_is_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("HOME", str(tmp_path))
    async with far_end(tmp_path, access_key=None, secret_key=None) as (_, made, _ear):
        answer = await made.send(parcel())
        assert (answer.result, answer.reason) == (Result.NOT_TAKEN, "ses_no_credentials")
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", ACCESS_KEY)
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET_KEY)
        assert (await made.send(parcel())).result is Result.ACCEPTED


@pytest.mark.parametrize(
    "changes",
    [{"secret_key": None}, {"region": "nowhere"}, {"topics": ("orderwake-events",)}, {"topic": TOPIC}],
)
def test_a_configuration_that_cannot_work_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        provider(**changes)


@pytest.mark.parametrize(
    ("region", "host"),
    [("eu-west-1", "email.eu-west-1.amazonaws.com"), ("us-gov-west-1", "email.us-gov-west-1.amazonaws.com")],
)
def test_the_address_is_the_regions(region: str, host: str) -> None:
    assert provider(region=region)._line._url == f"https://{host}"  # noqa: SLF001  where it would go


def said(event: dict[str, Any], number: str = "n-1") -> list[Report]:
    return reports(Notice(number, event, NOW))


def bounce(main: str, sub: str) -> dict[str, Any]:
    return {
        "eventType": "Bounce",
        "bounce": {
            "bounceType": main,
            "bounceSubType": sub,
            "bouncedRecipients": [{"emailAddress": "jane@example.com"}],
            "timestamp": "2026-03-02T08:59:44.101Z",
        },
        "mail": {
            "messageId": "0100",
            "destination": ["jane@example.com"],
            "tags": {"orderwake": [str(UUID(int=7))]},
        },
    }


@pytest.mark.parametrize(("main", "sub"), sorted(BOUNCES))
def test_every_bounce_of_the_table_is_told_with_its_class(main: str, sub: str) -> None:
    (report,) = said(bounce(main, sub))
    assert (report.said, report.fault) == BOUNCES[main, sub]
    assert (report.message_id, report.reference, report.address) == (UUID(int=7), "0100", "jane@example.com")
    assert report.occurred_at == datetime(2026, 3, 2, 8, 59, 44, 101_000, UTC)


def test_a_bounce_of_a_new_kind_is_judged_by_what_is_known_of_it() -> None:
    assert said(bounce("Permanent", "Brandnew"))[0].fault is Fault.DEAD
    assert said(bounce("Brandnew", "Brandnew"))[0].fault is Fault.SOFT


@pytest.mark.parametrize("kind", sorted(EVENTS))
def test_every_event_of_the_table_is_told(kind: str) -> None:
    event = {"eventType": kind, "mail": {"messageId": "0100", "destination": ["jane@example.com"]}}
    event |= {"subscription": {"newTopicPreferences": {"unsubscribeAll": True}}}
    (report,) = said(event)
    assert (report.said, report.fault, report.address) == (*EVENTS[kind], "jane@example.com")
    assert report.report_id == "n-1:0"


def test_other_preferences_of_a_contact_list_are_no_stop() -> None:
    mail = {"messageId": "0100", "destination": ["jane@example.com"]}
    preferences = {"newTopicPreferences": {"unsubscribeAll": False}}
    assert said({"eventType": "Subscription", "mail": mail, "subscription": preferences}) == []


@pytest.mark.parametrize(
    "event", [{}, {"eventType": "Rumour"}, {"eventType": 7, "mail": 7}, {"eventType": "Send", "mail": []}]
)
def test_what_is_not_known_or_of_another_shape_breaks_nothing(event: dict[str, Any]) -> None:
    assert all(report.message_id is None for report in said(event))


@PRESENT
@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("bounce", [(Said.UNDELIVERED, Fault.DEAD, "jane@example.com")]),
        ("click", [(Said.CLICKED, None, "recipient@example.com")]),
        ("complaint", [(Said.COMPLAINED, None, "richard@example.com")]),
        ("delivery", [(Said.DELIVERED, None, "jane@example.com")]),
        ("open", [(Said.OPENED, None, "recipient@example.com")]),
        ("reject", [(Said.UNDELIVERED, Fault.CONTENT, "recipient@example.com")]),
        ("send", [(Said.TAKEN, None, "recipient@example.com")]),
    ],
)
def test_every_published_event_is_read(name: str, expected: list[tuple[Said, Fault | None, str]]) -> None:
    event = json.loads((SAMPLES / f"{name}_event__raw_ses_event.json").read_text())
    told = said(event)
    assert [(report.said, report.fault, report.address) for report in told] == expected
    assert [report.reference for report in told] == [event["mail"]["messageId"]]


@pytest.mark.parametrize("configured", ["orderwake", None])
@pytest.mark.parametrize(
    ("fate", "expected"),
    [
        ("delivered", {Said.DELIVERED}),
        ("bounced", {Said.UNDELIVERED}),
        ("complained", {Said.DELIVERED, Said.COMPLAINED}),
    ],
)
async def test_what_the_fake_calls_back_is_believed_in_any_order_and_twice(
    tmp_path: Path, configured: str | None, fate: str, expected: set[Said]
) -> None:
    fates = Fates({fate: 1.0}, duplicate=1.0, disorder=1.0)
    async with far_end(tmp_path, fates, configuration_set=configured) as (fake, made, ear):
        sent = parcel()
        assert (await made.send(sent)).result is Result.ACCEPTED
        await fake.settle()
        told = await heard(made, ear)
        assert {report.said for report in told} - {Said.TAKEN} == expected
        assert {report.message_id for report in told} == {sent.message_id}
        assert len(told) == 2 * len({report.report_id for report in told})


async def test_a_subscription_is_confirmed(tmp_path: Path) -> None:
    async with far_end(tmp_path) as (fake, made, ear):
        fake.subscribe()
        await fake.settle()
        assert await heard(made, ear) == []
        assert fake.confirmed


def test_it_reports_and_cannot_be_asked() -> None:
    assert isinstance(provider(), Reports)
    assert not isinstance(provider(), Finds)
