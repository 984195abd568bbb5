"""Vonage: requests against its published document, every number of its tables, and who signed a call-back."""

import hashlib
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlencode
from uuid import UUID, uuid4

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.dispatcher.providers.base import (
    CallBack,
    Fault,
    Finds,
    Forged,
    Parcel,
    Report,
    Reports,
    Result,
    Said,
    SmsContent,
    Unreadable,
)
from services.dispatcher.providers.config import Surroundings
from services.dispatcher.providers.http import Reply
from services.dispatcher.providers.vonage import OLDEST, VonageConfig, VonageProvider, judge
from services.dispatcher.providers.vonage_codes import RECEIPTS, STATUSES
from services.dispatcher.providers.vonage_signature import Method, signature
from shared.secrets import Secret
from tests.fakes import vonage
from tests.fakes.fates import Fates
from tests.fakes.specification import CONTRACTS
from tests.fakes.vonage import CALLBACK_KEY, KEY, SECRET, SENDER, FakeVonage
from tests.support.asking_fakes import Ear, listening

NOW = datetime(2026, 3, 2, 9, tzinfo=UTC)
PUBLIC = "https://go.example.com"
RECIPIENT = "+15550100007"
PRESENT = pytest.mark.skipif(not CONTRACTS.exists(), reason="../shared with Vonage's document is not here")


def provider(**changes: Any) -> VonageProvider:  # noqa: ANN401  any field
    config: dict[str, Any] = {
        "name": "sms-2",
        "account": KEY,
        "secret": Secret.given(SECRET),
        "callback_key": Secret.given(CALLBACK_KEY),
        "sender": f"+{SENDER}",
    }
    return VonageProvider(VonageConfig(**(config | changes)), Surroundings(PUBLIC, "offers@shop.example.com"))


def parcel(body: str = "Lumen: 10% off, \u20ac5 more & free = yes. Reply STOP", **changes: Any) -> Parcel:  # noqa: ANN401  any field
    return Parcel(
        **{
            "message_id": uuid4(),
            "recipient": RECIPIENT,
            "content": SmsContent(body),
            "valid_for": 3600,
            **changes,
        }
    )


def signed(
    fields: Mapping[str, str], method: Method = "sha256", at: datetime = NOW, key: str = CALLBACK_KEY
) -> dict[str, str]:
    told = {**fields, "nonce": "n-1", "timestamp": str(int(at.timestamp()))}
    return told | {"sig": signature(key, method, told).upper()}


def as_json(fields: Mapping[str, Any]) -> CallBack:
    url = f"{PUBLIC}/callbacks/sms-2"
    return CallBack(url, {"content-type": "application/json"}, json.dumps(fields).encode(), NOW)


def as_form(fields: Mapping[str, str]) -> CallBack:
    url = f"{PUBLIC}/callbacks/sms-2"
    return CallBack(
        url, {"content-type": "application/x-www-form-urlencoded"}, urlencode(fields).encode(), NOW
    )


def receipt(status: str, code: str = "0", message_id: UUID | None = None) -> dict[str, str]:
    told = {
        "msisdn": RECIPIENT[1:],
        "to": "Lumen & Co = we",
        "messageId": "0A1",
        "status": status,
        "err-code": code,
    }
    return told | ({"client-ref": str(message_id)} if message_id else {})


def read(call_back: CallBack, **changes: Any) -> list[Report]:  # noqa: ANN401  any field
    return list(provider(**changes).read(call_back))


@asynccontextmanager
async def far_end(
    folder: Path,
    fates: Fates | None = None,
    **changes: Any,  # noqa: ANN401  any field
) -> AsyncIterator[tuple[FakeVonage, VonageProvider, Ear]]:
    async with AsyncExitStack() as stack:
        ear = await stack.enter_async_context(listening())
        fake = FakeVonage(folder, callback_url=ear.url, fates=fates)
        await fake.start()
        stack.push_async_callback(fake.stop)
        made = provider(**{"url": fake.url, "timeout_seconds": 1.0, **changes})
        await made.start()
        stack.push_async_callback(made.close)
        yield fake, made, ear


@PRESENT
@pytest.mark.parametrize(
    "body", ["Plain GSM-7: \u20ac5 [now]", "\u0421\u043a\u0438\u0434\u043a\u0430 10% \U0001f381"]
)
async def test_a_request_passes_vonages_published_document(tmp_path: Path, body: str) -> None:
    async with far_end(tmp_path) as (fake, made, _):
        assert (await made.send(parcel(body))).result is Result.ACCEPTED
        assert (fake.checked, fake.violations) == (True, [])
        assert fake.received()[0]["body"] == body


@pytest.mark.parametrize(("valid_for", "ttl"), [(3600, "3600000"), (1, "20000"), (10**9, "604800000")])
async def test_an_sms_carries_its_id_and_a_validity_within_the_limits(
    tmp_path: Path, valid_for: float, ttl: str
) -> None:
    async with far_end(tmp_path) as (fake, made, _):
        sent = parcel(valid_for=valid_for)
        answer = await made.send(sent)
        (entry,) = fake.received()
        assert (entry["k"], entry["ttl"], entry["to"]) == (str(sent.message_id), ttl, RECIPIENT[1:])
        assert (entry["callback"], entry["from"]) == (f"{PUBLIC}/callbacks/sms-2", SENDER)
        assert answer.reference == entry["reference"]


async def test_call_backs_are_asked_for_only_where_they_can_be_believed(tmp_path: Path) -> None:
    async with far_end(tmp_path, callback_key=None) as (fake, made, _):
        await made.send(parcel())
        assert fake.received()[0]["callback"] == ""
    with pytest.raises(Forged):
        read(as_json(signed(receipt("delivered"))), callback_key=None)


@pytest.mark.parametrize(
    "number", ["", "555", "+0155501000", "+1 555 0100007", "someone@example.com", "+1555010000712345"]
)
async def test_what_is_no_number_never_leaves(number: str) -> None:
    answer = await provider(url="http://127.0.0.1:1").send(parcel(recipient=number))
    assert (answer.result, answer.fault) == (Result.REJECTED, Fault.DEAD)


@pytest.mark.parametrize(
    ("fault", "result", "kept"),
    [
        ("429", Result.NOT_TAKEN, 0),
        ("500", Result.UNKNOWN, 0),
        ("503", Result.UNKNOWN, 0),
        ("timeout_before", Result.UNKNOWN, 0),
        ("timeout_after", Result.UNKNOWN, 1),
        ("drop_after", Result.UNKNOWN, 1),
    ],
)
async def test_only_what_certainly_was_not_taken_may_go_again(
    tmp_path: Path, fault: str, result: Result, kept: int
) -> None:
    async with far_end(tmp_path, timeout_seconds=0.2) as (fake, made, _):
        fake.faults.script.append(fault)
        assert (await made.send(parcel())).result is result
        assert len(fake.received()) == kept


@pytest.mark.parametrize("status", sorted(STATUSES))
def test_every_status_of_the_table_leads_to_its_class(status: int) -> None:
    body = orjson.dumps({"message-count": "1", "messages": [{"status": str(status), "error-text": "no"}]})
    answer = judge(Reply(200, {}, body))
    assert (answer.reason, answer.fault) == (f"vonage_{status}", STATUSES[status])


@pytest.mark.parametrize("status", sorted(int(known) for known in FakeVonage.refusals if int(known) < 100))
async def test_every_refusal_of_the_fake_is_in_the_table(tmp_path: Path, status: int) -> None:
    async with far_end(tmp_path) as (fake, made, _):
        fake.faults.script.append(str(status))
        assert (await made.send(parcel())).fault is STATUSES[status]


@pytest.mark.parametrize(
    ("statuses", "result"),
    [
        (["0", "0"], Result.ACCEPTED),
        (["1", "0"], Result.ACCEPTED),
        (["1", "1"], Result.NOT_TAKEN),
        (["77"], Result.REJECTED),
    ],
)
def test_a_text_in_parts_is_taken_if_one_part_was(statuses: list[str], result: Result) -> None:
    parts = [{"status": status, "message-id": "0A1"} for status in statuses]
    assert judge(Reply(200, {}, orjson.dumps({"messages": parts}))).result is result


@pytest.mark.parametrize(
    "body",
    [b"", b"[]", b"<html>", b'{"messages": 7}', b'{"messages": [{"status": "x"}]}', b'{"messages": []}'],
)
def test_an_answer_that_is_not_vonages_is_judged_by_its_status(body: bytes) -> None:
    results = {status: judge(Reply(status, {}, body)).result for status in (200, 302, 400, 401, 429, 502)}
    assert results == {
        200: Result.UNKNOWN,
        302: Result.UNKNOWN,
        400: Result.REJECTED,
        401: Result.NOT_TAKEN,
        429: Result.NOT_TAKEN,
        502: Result.UNKNOWN,
    }


@pytest.mark.parametrize("method", ["md5hash", "md5", "sha1", "sha256", "sha512"])
@pytest.mark.parametrize("wrap", [as_json, as_form])
def test_each_method_and_form_of_a_signed_call_back_is_read(method: Method, wrap: Any) -> None:  # noqa: ANN401  either
    message_id = uuid4()
    call_back = wrap(signed(receipt("delivered", message_id=message_id), method))
    (report,) = read(call_back, callback_method=method)
    assert (report.said, report.message_id, report.reference) == (Said.DELIVERED, message_id, "0A1")
    assert (report.occurred_at, report.report_id) == (NOW, "0A1:delivered")


def test_vonages_own_example_of_an_md5_hash() -> None:
    """The string to sign of Vonage's documentation: values with `&` and `=` made harmless."""
    told = {"to": "447700900123", "from": "Acme & = Inc", "timestamp": "1461605396", "api_key": "abcd1234"}
    written = "&api_key=abcd1234&from=Acme _ _ Inc&timestamp=1461605396&to=447700900123"
    assert signature("s3cret", "md5hash", told) == hashlib.md5((written + "s3cret").encode()).hexdigest()  # noqa: S324  theirs


@given(data=st.data())
def test_a_call_back_altered_by_one_byte_is_refused(data: st.DataObject) -> None:
    good = as_json(signed(receipt("delivered", message_id=UUID(int=7))))
    place = data.draw(st.integers(0, len(good.body) - 1))
    byte = data.draw(st.integers(0, 255).filter(lambda value: value != good.body[place]))
    body = good.body[:place] + bytes([byte]) + good.body[place + 1 :]
    if _meaning(body) != _meaning(good.body):  # a space, or the case of a hexadecimal digit, changes nothing
        with pytest.raises((Forged, Unreadable)):
            read(CallBack(good.url, good.headers, body, NOW))


def _meaning(body: bytes) -> Any:  # noqa: ANN401  JSON as it is signed, where & and = are _, or nothing
    try:
        told = orjson.loads(body.replace(b"&", b"_").replace(b"=", b"_"))
    except orjson.JSONDecodeError:
        return None
    return told | {"sig": str(told.get("sig")).lower()} if isinstance(told, dict) else told


@pytest.mark.parametrize(
    ("age", "believed"),
    [
        (timedelta(0), True),
        (timedelta(hours=24), True),
        (OLDEST + timedelta(seconds=1), False),
        (timedelta(minutes=-6), False),
    ],
)
def test_a_signature_counts_for_as_long_as_vonage_tries(age: timedelta, believed: bool) -> None:  # noqa: FBT001  a row of the table
    call_back = as_json(signed(receipt("delivered"), at=NOW - age))
    if believed:
        assert read(call_back)
    else:
        with pytest.raises(Forged):
            read(call_back)


def test_without_a_signed_time_nothing_is_believed() -> None:
    told = receipt("delivered")
    with pytest.raises(Forged):
        read(as_json(told | {"sig": signature(CALLBACK_KEY, "sha256", told)}))
    with pytest.raises(Forged):
        read(as_json(told))


@pytest.mark.parametrize("body", [b"", b"no", b"[]", b"7"])
def test_what_is_no_json_object_is_unreadable(body: bytes) -> None:
    with pytest.raises(Unreadable):
        read(CallBack(PUBLIC, {"content-type": "application/json"}, body, NOW))


@pytest.mark.parametrize("code", sorted(RECEIPTS))
def test_every_code_of_a_receipt_is_told_with_its_class(code: int) -> None:
    (report,) = read(as_json(signed(receipt("failed", str(code)))))
    assert (report.said, report.fault, report.reason) == (
        Said.UNDELIVERED,
        RECEIPTS[code],
        f"vonage_receipt_{code}",
    )
    assert report.address == RECIPIENT


@pytest.mark.parametrize(
    ("status", "said"),
    [
        ("accepted", Said.TAKEN),
        ("buffered", Said.DEFERRED),
        ("delivered", Said.DELIVERED),
        *((name, Said.UNDELIVERED) for name in ("failed", "rejected", "expired", "deleted")),
        ("unknown", None),
    ],
)
def test_every_status_of_a_receipt_is_known(status: str, said: Said | None) -> None:
    reports = read(as_json(signed(receipt(status))))
    assert [report.said for report in reports] == ([said] if said else [])
    assert read(as_json(signed(receipt(status)))) == reports


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("STOP", Said.STOPPED),
        ("please stop texting me", Said.STOPPED),
        ("can you stop by", None),
        ("start", Said.STARTED),
    ],
)
def test_a_persons_wish_is_told_with_their_number(text: str, said: Said | None) -> None:
    told = {
        "api-key": KEY,
        "msisdn": RECIPIENT[1:],
        "to": SENDER,
        "messageId": "0B2",
        "text": text,
        "type": "text",
    }
    reports = read(as_json(signed(told)))
    assert [(each.said, each.address, each.report_id) for each in reports] == (
        [(said, RECIPIENT, "0B2:inbound")] if said else []
    )


async def test_what_the_fake_calls_back_is_believed_in_any_order_and_twice(tmp_path: Path) -> None:
    fates = Fates({"delivered": 1.0}, duplicate=1.0, disorder=1.0)
    async with far_end(tmp_path, fates) as (fake, made, ear):
        sent = parcel()
        await made.send(sent)
        fake.inbound(RECIPIENT, "STOP")
        await fake.settle()
        at = datetime.now(UTC)
        told = [
            report
            for heard in ear.heard
            for report in made.read(CallBack(PUBLIC + heard.path, heard.headers, heard.body, at))
        ]
        assert {report.said for report in told} == {Said.TAKEN, Said.DELIVERED, Said.STOPPED}
        assert {report.message_id for report in told if report.said is not Said.STOPPED} == {sent.message_id}
        assert len({report.report_id for report in told}) == 3
        assert (await made.send(parcel())).fault is Fault.STOPPED


@given(fields=st.dictionaries(st.sampled_from(["text", "to", "msisdn", "a", "b"]), st.text(max_size=20)))
def test_the_fake_signs_as_we_read(fields: dict[str, str]) -> None:
    assert vonage.signature(CALLBACK_KEY, fields) == signature(CALLBACK_KEY, "sha256", fields).upper()


def test_it_reports_and_cannot_be_asked() -> None:
    assert isinstance(provider(), Reports)
    assert not isinstance(provider(), Finds)
