"""Twilio beyond the hand-over: who signed a call-back, what it says, and what the list of messages proves."""

import json
from base64 import b64encode
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlencode
from uuid import UUID, uuid4

import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st

from services.dispatcher.providers.base import (
    Answer,
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
    Sought,
)
from services.dispatcher.providers.config import Surroundings
from services.dispatcher.providers.twilio import CERTAIN_AFTER, TwilioConfig, TwilioProvider, became
from services.dispatcher.providers.twilio_codes import CODES
from services.dispatcher.providers.twilio_signature import is_signed, signature
from shared.clock import ManualClock
from shared.secrets import Secret
from tests.fakes.fates import Fates
from tests.fakes.specification import CONTRACTS
from tests.fakes.twilio import ACCOUNT, SENDER, TOKEN, FakeTwilio
from tests.support.asking_fakes import Ear, listening

NOW = datetime(2026, 3, 2, 9, tzinfo=UTC)
PUBLIC = "https://go.example.com"
SAMPLES = CONTRACTS / "samples" / "twilio"
PRESENT = pytest.mark.skipif(not SAMPLES.exists(), reason="../shared with Twilio's samples is not here")
RECIPIENT, BODY = (
    "+15550100007",
    "Lumen: 10% off ends tonight https://go.example.com/s/abc Reply STOP to opt out",
)


def provider(
    url: str = "https://api.twilio.com",
    clock: ManualClock | None = None,
    **changes: Any,  # noqa: ANN401  any field
) -> TwilioProvider:
    """A provider whose clock stands."""
    config: dict[str, Any] = {
        "name": "sms-1",
        "account": ACCOUNT,
        "token": Secret.given(TOKEN),
        "sender": SENDER,
    }
    here = Surroundings(PUBLIC, "offers@shop.example.com")
    return TwilioProvider(TwilioConfig(**(config | {"url": url} | changes)), here, clock or ManualClock(NOW))


def called(form: Mapping[str, str], message_id: UUID | None = None, token: str = TOKEN) -> CallBack:
    """A call-back that Twilio signed."""
    url = f"{PUBLIC}/callbacks/sms-1" + (f"?k={message_id}" if message_id else "")
    signed = signature(token, url, list(form.items()))
    return CallBack(url, {"x-twilio-signature": signed}, urlencode(form).encode(), NOW)


def read(call_back: CallBack, reader: TwilioProvider | None = None) -> list[Report]:
    return list((reader or provider()).read(call_back))


def status(name: str, **more: str) -> dict[str, str]:
    return {"MessageSid": "SM1", "MessageStatus": name, "To": RECIPIENT, "From": SENDER, **more}


@PRESENT
def test_the_published_vectors_are_signed_as_twilio_signs_them() -> None:
    told = json.loads((SAMPLES / "signature_vectors.json").read_text())
    token, url, fields = told["auth_token"], told["url"], list(told["params"].items())
    assert signature(token, url, fields) == told["X-Twilio-Signature"]
    assert signature(token, url, [(name, value) for name, value in told["dup_params"]]) == told["dup_sig"]
    with_port = url.replace(".com", ".com:443")
    for address in (url, with_port):
        for name in ("X-Twilio-Signature", "sig_https_with_port_443"):
            assert is_signed([token], address, fields, b"", told[name])
    plain = url.replace("https", "http")
    for address in (plain, plain.replace(".com", ".com:80")):
        assert is_signed([token], address, fields, b"", told["sig_http_port_80"])
    hashed = f"{url}&bodySHA256={told['bodySHA256']}"
    body = told["json_body"].encode()
    assert is_signed([token], hashed, [], body, told["sig_with_body_sha"])
    assert not is_signed([token], hashed, [], body + b" ", told["sig_with_body_sha"])


@given(data=st.data())
def test_a_call_back_altered_by_one_byte_is_refused(data: st.DataObject) -> None:
    good = called(status("delivered"), UUID(int=7))
    place = data.draw(st.integers(0, len(good.body) - 1))
    byte = data.draw(st.integers(0, 255).filter(lambda value: value != good.body[place]))
    body = good.body[:place] + bytes([byte]) + good.body[place + 1 :]
    same = parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True) == parse_qsl(
        good.body.decode(), keep_blank_values=True
    )
    if not same:  # `+` and `%20` are one character
        with pytest.raises(Forged):
            read(CallBack(good.url, good.headers, body, NOW))


@pytest.mark.parametrize(
    "alter",
    [
        lambda good: CallBack(good.url[:-1] + "8", good.headers, good.body, NOW),
        lambda good: CallBack(good.url, {}, good.body, NOW),
        lambda good: CallBack(
            good.url, {"x-twilio-signature": "AAAA" + good.headers["x-twilio-signature"][4:]}, good.body, NOW
        ),
        lambda good: CallBack(good.url, {"x-twilio-signature": "\u00e4"}, good.body, NOW),
        lambda good: CallBack(good.url.replace("go.", "no."), good.headers, good.body, NOW),
    ],
    ids=["query", "unsigned", "signature", "strange", "host"],
)
def test_what_twilio_did_not_sign_is_refused(alter: Any) -> None:  # noqa: ANN401  a lambda
    with pytest.raises(Forged):
        read(alter(called(status("delivered"), UUID(int=7))))


def test_a_former_token_is_believed_while_it_stands_in_the_file(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("new\nold\n")
    rotating = provider(token=Secret(file=file))
    for token in ("new", "old"):
        assert read(called(status("sent"), token=token), rotating)
    file.write_text("new\n")
    with pytest.raises(Forged):
        read(called(status("sent"), token="old"), rotating)


@PRESENT
def test_the_published_sample_of_a_status_is_read() -> None:
    form = dict(parse_qsl((SAMPLES / "status_callback_sent.form").read_text().strip()))
    (report,) = read(called(form, UUID(int=7)))
    assert (report.said, report.message_id, report.reference) == (Said.TAKEN, UUID(int=7), form["MessageSid"])


@pytest.mark.parametrize(
    ("name", "said"),
    [
        *((name, Said.TAKEN) for name in ("accepted", "scheduled", "queued", "sending", "sent")),
        ("delivered", Said.DELIVERED),
        ("read", Said.OPENED),
        *((name, Said.UNDELIVERED) for name in ("undelivered", "failed", "canceled")),
    ],
)
def test_every_status_is_known_and_told_again_is_the_same_report(name: str, said: Said) -> None:
    message_id = uuid4()
    (first,) = read(called(status(name), message_id))
    (again,) = read(called(status(name, Unheard="of"), message_id))
    assert (first.said, first.message_id, first.report_id) == (said, message_id, f"SM1:{name}")
    assert first == again


def test_what_twilio_may_add_one_day_says_nothing() -> None:
    assert read(called(status("teleported"), uuid4())) == []


@pytest.mark.parametrize("code", sorted(CODES))
def test_every_code_of_the_table_is_told_with_its_class(code: int) -> None:
    (report,) = read(called(status("undelivered", ErrorCode=str(code)), uuid4()))
    assert (report.fault, report.reason, report.address) == (CODES[code], f"twilio_{code}", RECIPIENT)


def test_a_failure_without_a_code_tells_nothing_against_the_address() -> None:
    faults = {name: read(called(status(name)))[0].fault for name in ("undelivered", "failed")}
    assert faults == {"undelivered": Fault.SOFT, "failed": Fault.PERMANENT}


@pytest.mark.parametrize(
    ("form", "said"),
    [
        ({"Body": "STOP"}, Said.STOPPED),
        ({"Body": "please stop texting me"}, Said.STOPPED),
        ({"Body": "STOP", "OptOutType": "STOP"}, Said.STOPPED),
        ({"Body": "arreter", "OptOutType": "STOP"}, Said.STOPPED),
        ({"Body": "START"}, Said.STARTED),
        ({"Body": "yes", "OptOutType": "START"}, Said.STARTED),
        ({"Body": "help", "OptOutType": "HELP"}, None),
        ({"Body": "can you stop by"}, None),
        ({"Body": ""}, None),
    ],
)
def test_a_persons_wish_is_told_with_their_number(form: dict[str, str], said: Said | None) -> None:
    inbound = {"MessageSid": "SM9", "SmsStatus": "received", "From": RECIPIENT, "To": SENDER, **form}
    reports = read(called(inbound))
    assert [(each.said, each.address, each.report_id) for each in reports] == (
        [(said, RECIPIENT, "SM9:inbound")] if said else []
    )


def test_a_person_is_never_answered_twice() -> None:
    kind, body = provider().reply
    assert kind == "text/xml"
    assert b"<Response/>" in body
    assert b"Message" not in body


@asynccontextmanager
async def far_end(
    folder: Path,
    fates: Fates | None = None,
    **changes: Any,  # noqa: ANN401  any field
) -> AsyncIterator[tuple[FakeTwilio, TwilioProvider, Ear]]:
    async with AsyncExitStack() as stack:
        ear = await stack.enter_async_context(listening())
        fake = FakeTwilio(folder, callback_url=ear.url, fates=fates)
        await fake.start()
        stack.push_async_callback(fake.stop)
        made = provider(fake.url, ManualClock(datetime.now(UTC)), **{"timeout_seconds": 1.0, **changes})
        await made.start()
        stack.push_async_callback(made.close)
        yield fake, made, ear


def parcel(body: str = BODY) -> Parcel:
    return Parcel(uuid4(), RECIPIENT, SmsContent(body), 3600)


@pytest.mark.parametrize("disorder", [0.0, 1.0])
async def test_what_the_fake_calls_back_is_believed_in_any_order_and_twice(
    tmp_path: Path, disorder: float
) -> None:
    fates = Fates({"delivered": 1.0}, duplicate=1.0, disorder=disorder)
    async with far_end(tmp_path, fates) as (fake, made, ear):
        sent = parcel()
        assert (await made.send(sent)).result is Result.ACCEPTED
        await fake.settle()
        told = [
            report
            for heard in ear.heard
            for report in made.read(CallBack(PUBLIC + heard.path, heard.headers, heard.body, NOW))
        ]
        assert {report.message_id for report in told} == {sent.message_id}
        assert {report.said for report in told} == {Said.TAKEN, Said.DELIVERED}
        assert (len(told), len({report.report_id for report in told})) == (4, 2)
        assert fake.violations == []


async def test_a_messaging_service_may_stand_for_a_number(tmp_path: Path) -> None:
    service = "MG" + "0" * 32
    async with far_end(tmp_path, sender=service) as (fake, made, _):
        assert (await made.send(parcel())).result is Result.ACCEPTED
        assert fake.last is not None
        assert fake.last.form["MessagingServiceSid"] == service
        assert "From" not in fake.last.form
        assert fake.violations == []


def sought(sent: Parcel, at: datetime, **changes: Any) -> Sought:  # noqa: ANN401  any field
    return Sought(
        **{
            "message_id": sent.message_id,
            "handed_over_at": at,
            "recipient": RECIPIENT,
            "body": BODY,
            **changes,
        }
    )


async def test_a_hand_over_that_timed_out_after_acceptance_is_found(tmp_path: Path) -> None:
    async with far_end(tmp_path, timeout_seconds=0.2) as (fake, made, _):
        fake.faults.script.append("timeout_after")
        sent = parcel()
        assert (await made.send(sent)).result is Result.UNKNOWN
        answer = await made.find(sought(sent, datetime.now(UTC)))
        assert answer is not None
        assert (answer.result, answer.reference) == (Result.ACCEPTED, fake.received()[0]["sid"])
        assert fake.violations == []


async def test_what_failed_is_found_with_its_code(tmp_path: Path) -> None:
    async with far_end(tmp_path, Fates(script=["30005"])) as (fake, made, _):
        sent = parcel()
        reference = (await made.send(sent)).reference
        await fake.settle()
        for asked in (
            sought(sent, datetime.now(UTC)),
            sought(sent, datetime.now(UTC), body=None, reference=reference),
        ):
            answer = await made.find(asked)
            assert answer is not None
            assert (answer.result, answer.fault, answer.reason) == (
                Result.REJECTED,
                Fault.DEAD,
                "twilio_30005",
            )


async def test_what_is_not_in_the_list_was_not_taken_only_an_hour_later(tmp_path: Path) -> None:
    async with far_end(tmp_path, timeout_seconds=0.2) as (fake, made, _):
        fake.faults.script.append("timeout_before")
        sent, at = parcel(), datetime.now(UTC)
        await made.send(sent)
        assert await made.find(sought(sent, at)) is None
        answer = await made.find(sought(sent, at - CERTAIN_AFTER - timedelta(minutes=1)))
        assert answer is not None
        assert (answer.result, answer.reason) == (Result.NOT_TAKEN, "twilio_not_found")


async def test_two_that_look_alike_tell_nothing(tmp_path: Path) -> None:
    async with far_end(tmp_path) as (_, made, _ear):
        first, second = parcel(), parcel()
        await made.send(first)
        await made.send(second)
        assert await made.find(sought(first, datetime.now(UTC))) is None


async def test_another_text_to_the_same_number_is_not_taken_for_it(tmp_path: Path) -> None:
    async with far_end(tmp_path) as (_, made, _ear):
        sent = parcel("Lumen: something else. Reply STOP to opt out")
        await made.send(sent)
        assert await made.find(sought(sent, datetime.now(UTC))) is None


@pytest.mark.parametrize("missing", [{"recipient": None}, {"body": None}])
async def test_without_number_or_text_nothing_can_be_sought(missing: dict[str, None]) -> None:
    assert await provider().find(sought(parcel(), NOW, **missing)) is None


class Pages:
    """A list of messages in pages of one, of which some cannot be read."""

    def __init__(self, *messages: dict[str, str], broken: int = -1) -> None:
        self.messages, self.broken, self.asked = messages, broken, 0

    async def serve(self, request: web.Request) -> web.Response:
        page = int(request.query.get("Page", 0))
        self.asked += 1
        if page == self.broken:
            return web.Response(status=503)
        following = f"{request.path}?Page={page + 1}" if page + 1 < len(self.messages) else None
        return web.json_response({"messages": self.messages[page : page + 1], "next_page_uri": following})

    async def find(self, asked: Sought, now: datetime) -> Any:  # noqa: ANN401  an answer or nothing
        app = web.Application()
        app.router.add_get("/{path:.*}", self.serve)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        made = provider(f"http://127.0.0.1:{runner.addresses[0][1]}", ManualClock(now))
        await made.start()
        try:
            return await made.find(asked)
        finally:
            await made.close()
            await runner.cleanup()


def listed(body: str, made_at: datetime) -> dict[str, str]:
    return {"sid": "SM1", "status": "sent", "body": body, "date_created": format_datetime(made_at)}


LATER = NOW + CERTAIN_AFTER + timedelta(minutes=1)


async def test_every_page_is_read_before_anything_is_certain() -> None:
    other, wanted = listed("other", NOW - timedelta(days=1)), listed(BODY, NOW)
    found = await Pages(other, other, wanted).find(sought(parcel(), NOW), LATER)
    assert found.result is Result.ACCEPTED
    whole = Pages(other, other, other)
    assert (await whole.find(sought(parcel(), NOW), LATER)).result is Result.NOT_TAKEN
    assert whole.asked == 3
    assert await Pages(other, other, other, broken=2).find(sought(parcel(), NOW), LATER) is None


async def test_an_endless_list_proves_nothing() -> None:
    endless = Pages(*(listed("other", NOW) for _ in range(50)))
    assert await endless.find(sought(parcel(), NOW), LATER) is None


@pytest.mark.parametrize("body", ["", "Lumen: another text"])
async def test_a_text_that_is_redacted_or_reads_differently_may_have_been_ours(body: str) -> None:
    assert await Pages(listed(body, NOW)).find(sought(parcel(), NOW), LATER) is None


async def test_the_same_text_of_another_day_is_another_message() -> None:
    earlier = Pages(listed(BODY, NOW - timedelta(days=1)))
    assert (await earlier.find(sought(parcel(), NOW), LATER)).result is Result.NOT_TAKEN


@pytest.mark.parametrize("code", sorted(CODES))
def test_only_what_never_left_twilio_may_go_again(code: int) -> None:
    failed, undelivered = (
        became({"sid": "SM1", "status": name, "error_code": code}) for name in ("failed", "undelivered")
    )
    assert failed == Answer.of(CODES[code], f"twilio_{code}", reference="SM1")
    assert undelivered.result is Result.REJECTED
    assert undelivered.reason == f"twilio_{code}"


@pytest.mark.parametrize("status", ["queued", "sent", "delivered", "read", "teleported"])
def test_whatever_is_on_its_way_was_taken(status: str) -> None:
    assert became({"sid": "SM1", "status": status, "error_code": None}) == Answer.accepted("SM1")


def test_it_finds_and_reports() -> None:
    assert isinstance(provider(), Finds)
    assert isinstance(provider(), Reports)


def test_the_token_travels_in_no_message() -> None:
    assert TOKEN not in repr(provider()._config)  # noqa: SLF001  what a log would show
    assert b64encode(TOKEN.encode()).decode() not in repr(provider()._config)  # noqa: SLF001  as above
