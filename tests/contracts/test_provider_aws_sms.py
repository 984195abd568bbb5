"""Amazon's two ways to send SMS: requests against botocore's models, every row of their tables, what topics tell."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import orjson
import pytest
from botocore.session import Session

from services.dispatcher.providers.aws_sms import AwsSmsConfig, AwsSmsProvider, reports
from services.dispatcher.providers.aws_sms_codes import EUM_CODES, EUM_REASONS, EVENTS, SNS_CODES
from services.dispatcher.providers.base import (
    CallBack,
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
from services.dispatcher.providers.sns_envelope import Notice
from shared.secrets import Secret
from tests.fakes.aws_signing import ACCESS_KEY, REGION, SECRET_KEY
from tests.fakes.eum import SENDER, FakeEum
from tests.fakes.fates import Fates
from tests.fakes.sns import FakeSns
from tests.fakes.sns_envelope import TOPIC
from tests.support.asking_fakes import Ear, listening

NOW = datetime(2026, 3, 2, 9, tzinfo=UTC)
PUBLIC = "https://go.example.com"
RECIPIENT = "+15550100007"
BODY = "Lumen: 10% off, \u20ac5 more & free = yes. Reply STOP"
FAKES: dict[str, type[FakeEum] | type[FakeSns]] = {"eum": FakeEum, "sns": FakeSns}


def provider(**changes: Any) -> AwsSmsProvider:  # noqa: ANN401  any field
    config: dict[str, Any] = {
        "name": "sms-3",
        "region": REGION,
        "access_key": Secret.given(ACCESS_KEY),
        "secret_key": Secret.given(SECRET_KEY),
        "sender": SENDER,
        "configuration_set": "orderwake",
        "topics": (TOPIC,),
    }
    return AwsSmsProvider(AwsSmsConfig(**(config | changes)), Surroundings(PUBLIC, "offers@shop.example.com"))


def parcel(**changes: Any) -> Parcel:  # noqa: ANN401  any field
    given: dict[str, Any] = {
        "message_id": uuid4(),
        "recipient": RECIPIENT,
        "content": SmsContent(BODY),
        "valid_for": 3600.0,
    }
    return Parcel(**(given | changes))


@asynccontextmanager
async def far_end(
    folder: Path,
    service: str,
    fates: Fates | None = None,
    **changes: Any,  # noqa: ANN401  any field
) -> AsyncIterator[tuple[FakeEum | FakeSns, AwsSmsProvider, Ear]]:
    async with AsyncExitStack() as stack:
        ear = await stack.enter_async_context(listening())
        fake = FAKES[service](folder, callback_url=ear.url, fates=fates)
        await fake.start()
        stack.push_async_callback(fake.stop)
        given = {"service": service, "url": fake.url, "sns_url": fake.url, "timeout_seconds": 1.0}
        made = provider(**(given | changes))
        await made.start()
        stack.push_async_callback(made.close)
        yield fake, made, ear


async def heard(made: AwsSmsProvider, ear: Ear) -> list[Report]:
    at = datetime.now(UTC)
    return [
        report
        for each in ear.heard
        for report in await made.read(CallBack(PUBLIC, each.headers, each.body, at))
    ]


@pytest.mark.parametrize("service", ["eum", "sns"])
@pytest.mark.parametrize("sender", ["", "+15550100009", "LUMEN"])
async def test_a_request_is_signed_and_passes_amazons_own_model(
    tmp_path: Path, service: str, sender: str
) -> None:
    async with far_end(tmp_path, service) as (fake, made, _):
        sent = parcel(sender=sender)
        answer = await made.send(sent)
        (entry,) = fake.received()
        assert (answer.result, answer.reference) == (Result.ACCEPTED, entry["reference"])
        assert (fake.checked, fake.violations) == (True, [])
        assert (entry["k"], entry["to"], entry["body"]) == (str(sent.message_id), RECIPIENT, BODY)


@pytest.mark.parametrize(("valid_for", "ttl"), [(3600.0, 3600), (1.0, 5), (1e9, 259_200)])
async def test_an_sms_is_bounded_in_time_and_an_offer_unless_said_otherwise(
    tmp_path: Path, valid_for: float, ttl: int
) -> None:
    async with far_end(tmp_path, "eum") as (fake, made, _):
        await made.send(parcel(valid_for=valid_for))
        (entry,) = fake.received()
        assert (entry["ttl"], entry["type"], entry["configuration_set"]) == (ttl, "PROMOTIONAL", "orderwake")


@pytest.mark.parametrize(
    ("sender", "attribute"), [(SENDER, "AWS.MM.SMS.OriginationNumber"), ("LUMEN", "AWS.SNS.SMS.SenderID")]
)
async def test_sns_is_told_who_sends_by_number_or_by_name(
    tmp_path: Path, sender: str, attribute: str
) -> None:
    async with far_end(tmp_path, "sns", sender=sender) as (fake, made, _):
        await made.send(parcel())
        attributes = fake.received()[0]["attributes"]
        assert (attributes[attribute], attributes["AWS.SNS.SMS.SMSType"]) == (sender, "Promotional")


@pytest.mark.parametrize(
    "number", ["", "15550100007", "+0155501000", "someone@example.com", "+1555010000712345"]
)
async def test_what_is_no_number_never_leaves(number: str) -> None:
    answer = await provider(url="http://127.0.0.1:1").send(parcel(recipient=number))
    assert (answer.result, answer.fault, answer.reason) == (Result.REJECTED, Fault.DEAD, "eum_no_number")


async def test_what_the_model_refuses_never_leaves() -> None:
    answer = await provider(url="http://127.0.0.1:1").send(parcel(content=SmsContent("")))
    assert (answer.result, answer.reason) == (Result.REJECTED, "eum_invalid")


EXPECTED = {
    "eum": {
        "429": Fault.BUSY,
        "quota": Fault.QUOTA,
        "AccessDeniedException": Fault.SENDER,
        "ResourceNotFoundException": Fault.SENDER,
        "ValidationException": Fault.PERMANENT,
        "ConflictException": Fault.PERMANENT,
        "opted_out": Fault.STOPPED,
        "500": Fault.OPEN,
        "503": Fault.OPEN,
    },
    "sns": {
        "429": Fault.BUSY,
        "Throttled": Fault.BUSY,
        "InvalidParameter": Fault.DEAD,
        "ParameterValueInvalid": Fault.PERMANENT,
        "AuthorizationError": Fault.SENDER,
        "EndpointDisabled": Fault.SENDER,
        "500": Fault.OPEN,
        "503": Fault.OPEN,
    },
}
WIRE = {"timeout_before": 0, "timeout_after": 1, "drop_after": 1}


@pytest.mark.parametrize(
    ("service", "fault"), [(service, fault) for service, fake in FAKES.items() for fault in fake.refusals]
)
async def test_every_refusal_of_the_fakes_leads_to_its_class(
    tmp_path: Path, service: str, fault: str
) -> None:
    async with far_end(tmp_path, service) as (fake, made, _):
        fake.faults.script.append(fault)
        assert (await made.send(parcel())).fault is EXPECTED[service][fault]
        assert fake.received() == []


@pytest.mark.parametrize("service", ["eum", "sns"])
@pytest.mark.parametrize("fault", sorted(WIRE))
async def test_what_may_have_left_is_unknown(tmp_path: Path, service: str, fault: str) -> None:
    async with far_end(tmp_path, service, timeout_seconds=0.3) as (fake, made, _):
        fake.faults.script.append(fault)
        assert (await made.send(parcel())).result is Result.UNKNOWN
        assert len(fake.received()) == WIRE[fault]


def eum_error(code: str, reason: str = "") -> Reply:
    told = {"__type": f"com.amazonaws#{code}", "Message": "no"} | ({"Reason": reason} if reason else {})
    return Reply(500 if code == "InternalServerException" else 400, {}, orjson.dumps(told))


@pytest.mark.parametrize("code", sorted(EUM_CODES))
def test_every_error_of_end_user_messaging_leads_to_its_class(code: str) -> None:
    answer = provider()._line.read(eum_error(code))  # noqa: SLF001  pure
    assert (answer.reason, answer.fault) == (f"eum_{code}", EUM_CODES[code])


def shapes() -> dict[str, list[str]]:
    """The reasons of each error, as botocore's model has them."""
    errors = (
        Session().get_service_model("pinpoint-sms-voice-v2").operation_model("SendTextMessage").error_shapes
    )
    return {error.name: list(error.members["Reason"].enum) for error in errors if "Reason" in error.members}


@pytest.mark.parametrize("reason", sorted(EUM_REASONS))
def test_every_reason_of_the_table_is_one_of_the_model_and_says_more_than_its_code(reason: str) -> None:
    (code,) = [code for code, reasons in shapes().items() if reason in reasons]
    answer = provider()._line.read(eum_error(code, reason))  # noqa: SLF001  pure
    assert (answer.reason, answer.fault) == (f"eum_{reason}", EUM_REASONS[reason])


def test_every_error_of_the_model_is_in_the_table() -> None:
    session = Session()
    eum = session.get_service_model("pinpoint-sms-voice-v2").operation_model("SendTextMessage").error_shapes
    sns = session.get_service_model("sns").operation_model("Publish").error_shapes
    assert {error.name for error in eum} == set(EUM_CODES)
    assert {error.metadata["error"]["code"] for error in sns} <= set(SNS_CODES)


@pytest.mark.parametrize("code", sorted(SNS_CODES))
def test_every_error_of_sns_leads_to_its_class(code: str) -> None:
    body = f"<ErrorResponse><Error><Code>{code}</Code><Message>no</Message></Error></ErrorResponse>".encode()
    status = 500 if code == "InternalError" else 400
    answer = provider(service="sns")._line.read(Reply(status, {}, body))  # noqa: SLF001  pure
    assert (answer.reason, answer.fault) == (f"sns_{code}", SNS_CODES[code])


@pytest.mark.parametrize("service", ["eum", "sns"])
@pytest.mark.parametrize(
    "body", [b"", b"[]", b"<html>", b"<html></html>", b'{"MessageId": 7}', b"null", b"\xff"]
)
def test_an_answer_that_is_not_amazons_is_judged_by_its_status(service: str, body: bytes) -> None:
    read = provider(service=service)._line.read  # noqa: SLF001  pure
    results = {status: read(Reply(status, {}, body)).result for status in (200, 302, 400, 403, 429, 502)}
    assert results == {
        200: Result.UNKNOWN,
        302: Result.UNKNOWN,
        400: Result.REJECTED,
        403: Result.NOT_TAKEN,
        429: Result.NOT_TAKEN,
        502: Result.UNKNOWN,
    }


def test_a_code_that_is_no_word_is_not_passed_on() -> None:
    answer = provider()._line.read(eum_error("Jane Doe, +15550100007"))  # noqa: SLF001  pure
    assert answer.reason == "eum_http_400"


def event(kind: str, **changes: Any) -> list[Report]:  # noqa: ANN401  any field
    told = {
        "eventType": kind,
        "eventTimestamp": 1_772_442_000_500,
        "destinationPhoneNumber": RECIPIENT,
        "messageId": "m-1",
        "context": {"orderwake": str(UUID(int=7))},
    }
    return reports(Notice("n-1", told | changes, NOW))


@pytest.mark.parametrize("kind", sorted(EVENTS))
def test_every_event_of_the_table_is_told_with_its_class(kind: str) -> None:
    (report,) = event(kind)
    assert (report.said, report.fault) == EVENTS[kind]
    assert (report.message_id, report.reference, report.address) == (UUID(int=7), "m-1", RECIPIENT)
    assert report.occurred_at == datetime(2026, 3, 2, 9, 0, 0, 500_000, UTC)
    assert (report.reason is None) == (report.fault is None)


def test_every_event_of_a_text_in_the_model_is_in_the_table() -> None:
    known = Session().get_service_model("pinpoint-sms-voice-v2").shape_for("EventType").enum
    assert {name for name in known if name.startswith("TEXT_")} - {"TEXT_ALL"} == set(EVENTS)


@pytest.mark.parametrize(
    "changes",
    [{"context": 7}, {"context": {"orderwake": 7}}, {"eventTimestamp": "soon"}, {"messageId": None}],
)
def test_an_event_of_another_shape_breaks_nothing(changes: dict[str, Any]) -> None:
    assert event("TEXT_DELIVERED", **changes)[0].said is Said.DELIVERED


def test_what_is_not_known_says_nothing() -> None:
    assert event("TEXT_TELEPORTED") == event("VOICE_COMPLETED") == []


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("STOP", Said.STOPPED),
        ("please stop texting me", Said.STOPPED),
        ("can you stop by", None),
        ("start", Said.STARTED),
    ],
)
def test_a_persons_wish_is_told_with_their_number(text: str, wanted: Said | None) -> None:
    told = {"originationNumber": RECIPIENT, "messageBody": text, "inboundMessageId": "i-1"}
    found = reports(Notice("n-1", told, NOW))
    assert [(each.said, each.address, each.report_id) for each in found] == (
        [(wanted, RECIPIENT, "i-1:inbound")] if wanted else []
    )


async def test_what_the_fake_calls_back_is_believed_in_any_order_and_twice(tmp_path: Path) -> None:
    fates = Fates(script=["TEXT_CARRIER_BLOCKED"], rates={"stopped": 1.0}, duplicate=1.0, disorder=1.0)
    async with far_end(tmp_path, "eum", fates) as (fake, made, ear):
        first, second = parcel(), parcel()
        for sent in (first, second):
            assert (await made.send(sent)).result is Result.ACCEPTED
        await fake.settle()
        told = await heard(made, ear)
        by_message = {
            message_id: {report.said for report in told if report.message_id == message_id}
            for message_id in (first.message_id, second.message_id, None)
        }
        assert by_message == {
            first.message_id: {Said.TAKEN, Said.UNDELIVERED},
            second.message_id: {Said.TAKEN, Said.DELIVERED},
            None: {Said.STOPPED},
        }
        assert len({report.report_id for report in told}) == 5
        assert (await made.send(parcel())).fault is Fault.STOPPED


async def test_a_subscription_is_confirmed(tmp_path: Path) -> None:
    async with far_end(tmp_path, "eum") as (fake, made, ear):
        fake.subscribe()
        await fake.settle()
        assert await heard(made, ear) == []
        assert fake.confirmed


def test_it_reports_and_cannot_be_asked() -> None:
    assert isinstance(provider(), Reports)
    assert not isinstance(provider(), Finds)
