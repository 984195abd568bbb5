"""What we hand to providers, as they publish it: bytes on the wire, requests against the specification."""

from base64 import b64encode
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from pathlib import Path
from uuid import uuid4

import pytest

from services.dispatcher.providers.base import (
    Answer,
    EmailContent,
    Fault,
    Parcel,
    Provider,
    Result,
    SmsContent,
)
from services.dispatcher.providers.http import Reply
from services.dispatcher.providers.smtp import is_address
from services.dispatcher.providers.twilio import judge
from services.dispatcher.providers.twilio_codes import CODES
from shared.events import Channel
from shared.links import Clicked, Links
from shared.settings import Settings
from tests.fakes.smtp import FakeSmtp
from tests.fakes.specification import CONTRACTS
from tests.fakes.twilio import ACCOUNT, SENDER, TOKEN, FakeTwilio
from tests.support.dispatching import provider_of

LINKS = Links("https://offers.example.com", "secret")
CLICKED = Clicked("unsubscribe", "skincare", "customer-0815", Channel.EMAIL, str(uuid4()))


@pytest.fixture
async def smtp(tmp_path: Path) -> AsyncIterator[FakeSmtp]:
    fake = FakeSmtp(tmp_path)
    await fake.start()
    yield fake
    await fake.stop()


@pytest.fixture
async def twilio(tmp_path: Path) -> AsyncIterator[FakeTwilio]:
    fake = FakeTwilio(tmp_path)
    await fake.start()
    yield fake
    await fake.stop()


def _email(subject: str = "Your cleanser pairs perfectly with crème") -> Parcel:
    content = EmailContent(
        sender_name="Dewy & Co, Åre",
        subject=subject,
        text="Hällo\n" + "x" * 1200 + "\n.\n",
        html="<p>Hällo</p>",
        unsubscribe_url=LINKS.url(CLICKED),
        written_at=datetime(2026, 3, 2, 9, tzinfo=UTC),
    )
    return Parcel(uuid4(), "someone@example.com", content, 3600)


def _sms(body: str = "Dewy & Co: 10% off ends tonight, €5 more. Reply STOP to opt out") -> Parcel:
    return Parcel(uuid4(), "+15550100007", SmsContent(body), 90_000)


async def _sent(smtp: FakeSmtp, parcel: Parcel) -> bytes:
    provider = provider_of(Settings(smtp_port=smtp.port), "smtp")
    assert (await provider.send(parcel)).result is Result.ACCEPTED
    await provider.close()
    return (smtp.folder / str(smtp.received()[-1]["file"])).read_bytes()


async def test_a_long_signed_unsubscribe_link_survives_smtp_on_one_line(smtp: FakeSmtp) -> None:
    raw = await _sent(smtp, _email())
    url = LINKS.url(CLICKED)
    assert len(url) >= 120
    assert f"\r\nList-Unsubscribe: <{url}>\r\n".encode() in raw
    assert b"\r\nList-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n" in raw


async def test_the_message_says_whose_it_is_and_carries_text_and_html(smtp: FakeSmtp) -> None:
    parcel = _email()
    mail = message_from_bytes(await _sent(smtp, parcel), policy=default)
    assert isinstance(mail, EmailMessage)
    assert mail["Message-ID"] == f"<{parcel.message_id}@shop.example.com>"
    assert mail["X-Orderwake-Message-Id"] == str(parcel.message_id)
    assert mail["Subject"] == "Your cleanser pairs perfectly with crème"
    assert mail["From"] == '"Dewy & Co, Åre" <offers@shop.example.com>'
    assert mail["Date"].datetime == datetime(2026, 3, 2, 9, tzinfo=UTC)
    assert [part.get_content_type() for part in mail.iter_parts()] == ["text/plain", "text/html"]
    text = mail.get_body(("plain",))
    assert text is not None
    assert text.get_content().splitlines() == ["Hällo", "x" * 1200, "."]


async def test_no_line_is_longer_than_smtp_allows(smtp: FakeSmtp) -> None:
    raw = await _sent(smtp, _email("Lang " * 60))
    assert max(len(line) for line in raw.split(b"\r\n")) <= 998


@pytest.mark.parametrize(
    "recipient",
    ["", "someone", "some one@example.com", "a@b@c", "ä@example.com", "a@example.com\r\nBcc: b@c.de"],
)
def test_what_no_header_can_carry_is_no_address(recipient: str) -> None:
    assert not is_address(recipient)


async def test_a_connection_is_kept_and_a_closed_one_is_made_anew(smtp: FakeSmtp) -> None:
    provider = provider_of(Settings(smtp_port=smtp.port, smtp_connections=1), "smtp")
    assert (await provider.send(_email())).result is Result.ACCEPTED
    smtp.hang_up()
    assert (await provider.send(_email())).result is Result.ACCEPTED
    await provider.close()


async def _refused(smtp: FakeSmtp) -> Answer:
    provider = provider_of(Settings(smtp_port=smtp.port), "smtp")
    answer = await provider.send(_email())
    await provider.close()
    return answer


@pytest.mark.parametrize("reply", ["530 5.7.0 must log in", "550 5.1.8 not you", "553 sender rejected"])
async def test_a_sender_that_is_refused_loses_no_message(smtp: FakeSmtp, reply: str) -> None:
    smtp.sender_refusal = reply
    answer = await _refused(smtp)
    assert (answer.result, answer.reason, answer.our_fault) == (Result.NOT_TAKEN, f"smtp_{reply[:3]}", True)
    assert (answer.retry_after or 0) >= 60


async def test_a_sender_that_is_refused_in_the_recipients_turn_loses_no_message(smtp: FakeSmtp) -> None:
    smtp.faults.script.append("5xx_us")
    answer = await _refused(smtp)
    assert (answer.result, answer.our_fault) == (Result.NOT_TAKEN, True)


async def test_a_sender_that_is_asked_to_wait_is_not_at_fault(smtp: FakeSmtp) -> None:
    smtp.sender_refusal = "451 4.7.1 greylisted"
    answer = await _refused(smtp)
    assert (answer.result, answer.our_fault, answer.retry_after) == (Result.NOT_TAKEN, False, None)


def test_a_providers_words_are_kept_as_short_plain_ascii() -> None:
    answer = Answer(Result.ACCEPTED, reason="caf\udce9", reference="2.0.0 Ok\nqueu\x00ed ä" + "x" * 500)
    assert answer.reason == "caf?"
    assert answer.reference is not None
    assert answer.reference.startswith("2.0.0 Ok queu ed ?x")
    assert len(answer.reference) == 200


async def test_no_server_means_not_taken() -> None:
    provider = provider_of(Settings(smtp_port=1), "smtp")
    assert (await provider.send(_email())).result is Result.NOT_TAKEN


def _twilio(fake: FakeTwilio, **changes: str | float) -> Provider:
    settings = Settings.model_validate(
        {
            "twilio_url": f"http://127.0.0.1:{fake.port}",
            "twilio_account_sid": ACCOUNT,
            "twilio_auth_token": TOKEN,
            "twilio_from": SENDER,
            "provider_timeout_seconds": 0.3,
            "public_url": "https://go.example.com",
            **changes,
        }
    )
    return provider_of(settings, "twilio")


async def _answer(provider: Provider, parcel: Parcel) -> Answer:
    await provider.start()
    try:
        return await provider.send(parcel)
    finally:
        await provider.close()


@pytest.mark.skipif(not CONTRACTS.exists(), reason="../shared with Twilio's specification is not here")
async def test_a_request_passes_twilios_published_specification(twilio: FakeTwilio) -> None:
    answer = await _answer(_twilio(twilio), _sms())
    assert answer.result is Result.ACCEPTED
    assert twilio.violations == []


async def test_an_sms_carries_its_id_and_a_validity_within_the_limit(twilio: FakeTwilio) -> None:
    parcel = _sms()
    answer = await _answer(_twilio(twilio), parcel)
    assert [answer.reference] == [entry["sid"] for entry in twilio.received()]
    (entry,) = twilio.received()
    assert (entry["k"], entry["validity"], entry["to"]) == (str(parcel.message_id), "36000", parcel.recipient)


async def test_nobody_is_asked_to_call_back_an_address_that_was_never_set(twilio: FakeTwilio) -> None:
    example = Settings().public_url
    await _answer(_twilio(twilio, public_url=example), _sms())
    assert [entry["callback"] for entry in twilio.received()] == [""]


async def test_wrong_credentials_leave_the_message_for_later(twilio: FakeTwilio) -> None:
    answer = await _answer(_twilio(twilio, twilio_auth_token="wrong"), _sms())
    assert (answer.result, answer.reason, answer.our_fault) == (Result.NOT_TAKEN, "twilio_20003", True)
    assert (answer.retry_after or 0) >= 60


@pytest.mark.parametrize(
    ("fault", "result", "kept"),
    [
        ("429", Result.NOT_TAKEN, 0),
        ("500", Result.UNKNOWN, 0),
        ("503", Result.UNKNOWN, 0),
        ("timeout_before", Result.UNKNOWN, 0),
        ("timeout_after", Result.UNKNOWN, 1),
        ("drop_after", Result.UNKNOWN, 1),
        ("21610", Result.REJECTED, 0),
        ("30007", Result.REJECTED, 0),
    ],
)
async def test_only_what_certainly_was_not_taken_may_go_again(
    twilio: FakeTwilio, fault: str, result: Result, kept: int
) -> None:
    twilio.faults.script.append(fault)
    assert (await _answer(_twilio(twilio), _sms())).result is result
    assert len(twilio.received()) == kept


async def test_no_twilio_means_not_taken(twilio: FakeTwilio) -> None:
    provider = _twilio(twilio, twilio_url="http://127.0.0.1:1")
    assert (await _answer(provider, _sms())).result is Result.NOT_TAKEN


@pytest.mark.parametrize("code", sorted(CODES))
def test_every_code_of_the_table_leads_to_its_class(code: int) -> None:
    answer = judge(Reply(400, {"Retry-After": "7"}, f'{{"code": {code}, "message": "no"}}'.encode()))
    assert (answer.reason, answer.fault) == (f"twilio_{code}", CODES[code])
    waits = answer.fault in (Fault.BUSY, Fault.QUOTA, Fault.SENDER)
    assert (answer.result is Result.NOT_TAKEN) is waits
    assert (answer.retry_after or 0) >= {Fault.BUSY: 7, Fault.QUOTA: 3600, Fault.SENDER: 60}.get(
        CODES[code], 0
    )


@pytest.mark.parametrize("body", [b"", b"[]", b"<html>", b'{"code": "x"}'])
def test_an_answer_that_is_not_twilios_is_judged_by_its_status(body: bytes) -> None:
    results = {status: judge(Reply(status, {}, body)).result for status in (201, 400, 502, 429)}
    assert results == {
        201: Result.ACCEPTED,
        400: Result.REJECTED,
        502: Result.UNKNOWN,
        429: Result.NOT_TAKEN,
    }


async def test_credentials_travel_in_the_header_only(twilio: FakeTwilio) -> None:
    await _answer(_twilio(twilio), _sms())
    expected = b64encode(f"{ACCOUNT}:{TOKEN}".encode()).decode()
    assert twilio.last is not None
    assert twilio.last.header("Authorization") == f"Basic {expected}"
    assert TOKEN not in str(twilio.received())


def test_a_signed_link_says_what_was_signed_and_nothing_else() -> None:
    token = LINKS.url(CLICKED).rpartition("/")[2]
    assert LINKS.read(token) == CLICKED
    assert LINKS.read(("A" if token[0] != "A" else "B") + token[1:]) is None
    assert Links("https://offers.example.com", "other").read(token) is None
