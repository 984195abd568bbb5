"""Envelopes of Amazon SNS: whose certificate is believed, what is signed, and what a subscription needs."""

import asyncio
import base64
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.dispatcher.providers.base import Answer, CallBack, Fault, Forged, Unreadable, Unverifiable
from services.dispatcher.providers.http import HttpLine, Reply
from services.dispatcher.providers.sns_envelope import OLDEST, Envelopes, Notice
from tests.fakes.sns_envelope import AMAZON, CERTIFICATE_PATH, TOPIC, Envelope, certificate
from tests.fakes.specification import CONTRACTS

NOW = datetime(2026, 11, 2, 9, tzinfo=UTC)
SAMPLES = CONTRACTS / "samples" / "ses"
CONFIRM = f"{AMAZON}/?Action=ConfirmSubscription&TopicArn={TOPIC}&Token=t-1"


class FakeLine(HttpLine):
    """What lies at SNS's address; `asked` is every address that was asked for."""

    def __init__(self, reply: Reply | Answer | None = None) -> None:
        super().__init__("sns", 1.0)
        self.reply = reply or Reply(200, {}, certificate())
        self.asked: list[str] = []

    async def request(self, method: str, url: str, **_: Any) -> Reply | Answer:  # noqa: ANN401  whatever is passed
        assert method == "GET"
        self.asked.append(url)
        return self.reply


def enveloped(
    envelope: Envelope | None = None,
    at: datetime = NOW,
    message: str = '{"eventType": "Send"}\n',
    subject: str | None = None,
) -> dict[str, str]:
    """A signed notification as a dictionary, to be altered."""
    made = envelope or Envelope()
    told = made.notification("n-1", message, at) | ({} if subject is None else {"Subject": subject})
    body: dict[str, str] = json.loads(made.post("", told).body)
    return body


def posted(body: dict[str, Any]) -> CallBack:
    return CallBack("https://go.example.com/callbacks/mail-1", {}, json.dumps(body).encode(), NOW)


async def opened(
    body: dict[str, Any], line: FakeLine | None = None, topics: tuple[str, ...] = (TOPIC,)
) -> Notice | None:
    return await Envelopes(topics, line or FakeLine()).open(posted(body))


@pytest.mark.parametrize("version", ["1", "2"])
@pytest.mark.parametrize("subject", [None, "Amazon SES Email Event Notification"])
async def test_both_versions_are_believed_with_a_subject_and_without(
    version: str, subject: str | None
) -> None:
    notice = await opened(enveloped(Envelope(version=version), subject=subject))
    assert notice == Notice("n-1", {"eventType": "Send"}, NOW)


async def test_the_certificate_is_fetched_once_from_sns_itself() -> None:
    line = FakeLine()
    envelopes = Envelopes((TOPIC,), line)
    for _ in range(3):
        assert await envelopes.open(posted(enveloped()))
    assert line.asked == [AMAZON + CERTIFICATE_PATH]


@pytest.mark.parametrize(
    "url",
    [
        "",
        "http://sns.us-east-1.amazonaws.com/SimpleNotificationService-0.pem",
        "https://sns.us-east-1.amazonaws.com.example.com/SimpleNotificationService-0.pem",
        "https://example.com/sns.us-east-1.amazonaws.com/SimpleNotificationService-0.pem",
        "https://user@sns.us-east-1.amazonaws.com/SimpleNotificationService-0.pem",
        "https://sns.us-east-1.amazonaws.com:8443/SimpleNotificationService-0.pem",
        "https://sns.us-east-1.amazonaws.com@example.com/SimpleNotificationService-0.pem",
        "https://sns.eu-west-1.amazonaws.com/SimpleNotificationService-0.pem",
        "https://sns.us-east-1.amazonaws.com/SimpleNotificationService-0.pem?x=1",
        "https://sns.us-east-1.amazonaws.com/../SimpleNotificationService-0.pem",
        "https://sns.us-east-1.amazonaws.com/SimpleNotificationService-0.pem\n",
        "https://s3.us-east-1.amazonaws.com/SimpleNotificationService-0.pem",
    ],
)
async def test_a_certificate_elsewhere_is_not_even_asked_for(url: str) -> None:
    line = FakeLine()
    with pytest.raises(Forged):
        await opened(enveloped(Envelope(certificate_url=url)), line)
    assert line.asked == []


@pytest.mark.parametrize(
    "topic", ["", TOPIC + "-2", TOPIC.replace("us-east-1", "eu-west-1"), TOPIC.replace("1234", "4321")]
)
async def test_a_topic_that_is_not_configured_is_refused(topic: str) -> None:
    line = FakeLine()
    with pytest.raises(Forged):
        await opened(enveloped(Envelope(topic=topic)), line)
    with pytest.raises(Forged):
        await opened(enveloped(), line, topics=())
    assert line.asked == []


@pytest.mark.parametrize(
    ("age", "believed"),
    [
        (timedelta(0), True),
        (timedelta(hours=2), True),
        (OLDEST + timedelta(seconds=1), False),
        (timedelta(minutes=-6), False),
    ],
)
async def test_an_envelope_counts_for_a_day(age: timedelta, believed: bool) -> None:  # noqa: FBT001  a row of the table
    body = enveloped(at=NOW - age)
    if believed:
        assert await opened(body)
    else:
        with pytest.raises(Forged):
            await opened(body)


@pytest.mark.parametrize(
    "alter",
    [
        lambda body: body | {"Message": body["Message"].replace("Send", "Bend")},
        lambda body: body | {"MessageId": "n-2"},
        lambda body: body | {"Timestamp": "2026-11-02T09:00:01.000Z"},
        lambda body: body | {"Subject": "added"},
        lambda body: body | {"Signature": ""},
        lambda body: body | {"Signature": "no base64"},
        lambda body: body | {"Signature": "\u00e4"},
        lambda body: body | {"Signature": base64.b64encode(bytes(256)).decode()},
        lambda body: body | {"SignatureVersion": "2"},
        lambda body: body | {"SignatureVersion": "3"},
        lambda body: body | {"Type": "UnsubscribeConfirmation"},
        lambda body: body | {"Type": "Rumour"},
        lambda body: {name: value for name, value in body.items() if name != "MessageId"},
        lambda body: {name: value for name, value in body.items() if name != "Timestamp"},
        lambda body: body | {"MessageId": 7},
    ],
)
async def test_what_sns_did_not_sign_is_refused(alter: Callable[[dict[str, str]], dict[str, Any]]) -> None:
    with pytest.raises(Forged):
        await opened(alter(enveloped()))


async def test_a_name_hidden_in_another_value_is_refused() -> None:
    """The same text would be signed: the subject moved into the id would make a second report of one event."""
    body = enveloped(subject="Amazon SES")
    body["MessageId"] += f"\nSubject\n{body.pop('Subject')}"
    with pytest.raises(Forged):
        await opened(body)


@given(data=st.data())
async def test_an_envelope_altered_by_one_byte_is_refused(data: st.DataObject) -> None:
    good = json.dumps(enveloped()).encode()
    place = data.draw(st.integers(0, len(good) - 1))
    byte = data.draw(st.integers(0, 255).filter(lambda value: value != good[place]))
    body = good[:place] + bytes([byte]) + good[place + 1 :]
    # not signed are spaces, the last bits of base64, and which of SNS's certificates it is
    if _meaning(body) != _meaning(good):
        with pytest.raises((Forged, Unreadable)):
            await Envelopes((TOPIC,), FakeLine()).open(CallBack("", {}, body, NOW))


def _meaning(body: bytes) -> Any:  # noqa: ANN401  what is signed, or nothing
    try:
        told = json.loads(body)
        signature = base64.b64decode(told["Signature"], validate=True)
    except (ValueError, KeyError, TypeError):
        return None
    unsigned = ("Signature", "SigningCertURL")
    return {name: value for name, value in told.items() if name not in unsigned} | {"": signature}


async def test_a_certificate_that_is_not_in_force_is_refused() -> None:
    late = NOW + timedelta(days=4000)
    body = json.dumps(enveloped(at=late)).encode()
    with pytest.raises(Forged):
        await Envelopes((TOPIC,), FakeLine()).open(CallBack("", {}, body, late))


@pytest.mark.parametrize(
    "reply",
    [
        Reply(404, {}, b""),
        Reply(301, {}, certificate()),
        Reply(200, {}, b"no PEM"),
        Answer.of(Fault.PASSING, "sns_unreachable"),
    ],
)
async def test_while_sns_does_not_answer_the_call_back_is_to_come_again(reply: Reply | Answer) -> None:
    line = FakeLine(reply)
    envelopes = Envelopes((TOPIC,), line)
    with pytest.raises(Unverifiable):
        await envelopes.open(posted(enveloped()))
    line.reply = Reply(200, {}, certificate())
    assert await envelopes.open(posted(enveloped()))


def subscription(url: str = CONFIRM) -> dict[str, str]:
    envelope = Envelope()
    told = envelope.confirmation("n-1", "t-1", url, NOW)
    body: dict[str, str] = json.loads(envelope.post("", told).body)
    return body


async def test_a_subscription_to_our_topic_is_confirmed_with_sns() -> None:
    line = FakeLine()
    assert await opened(subscription(), line) is None
    assert line.asked == [AMAZON + CERTIFICATE_PATH, CONFIRM]


@pytest.mark.parametrize(
    "url",
    [
        "https://example.com/?Action=ConfirmSubscription&Token=t-1",
        "http://sns.us-east-1.amazonaws.com/?Action=ConfirmSubscription&Token=t-1",
        f"{AMAZON}/?Action=DeleteTopic&TopicArn={TOPIC}",
        f"{AMAZON}@example.com/?Action=ConfirmSubscription&Token=t-1",
        "https://sns.eu-west-1.amazonaws.com/?Action=ConfirmSubscription&Token=t-1",
    ],
)
async def test_nothing_but_a_confirmation_with_sns_is_asked_for(url: str) -> None:
    line = FakeLine()
    with pytest.raises(Forged):
        await opened(subscription(url), line)
    assert line.asked == [AMAZON + CERTIFICATE_PATH]


async def test_a_forged_subscription_is_not_confirmed() -> None:
    line = FakeLine()
    with pytest.raises(Forged):
        await opened(subscription() | {"Token": "t-2"}, line)
    assert line.asked == [AMAZON + CERTIFICATE_PATH]


@pytest.mark.parametrize("body", [b"", b"no", b"7", b"[]"])
async def test_what_is_no_envelope_is_unreadable(body: bytes) -> None:
    with pytest.raises(Unreadable):
        await Envelopes((TOPIC,), FakeLine()).open(CallBack("", {}, body, NOW))


async def test_a_signed_message_that_is_no_json_is_unreadable() -> None:
    with pytest.raises(Unreadable):
        await opened(enveloped(message="Successfully validated SNS topic"))


async def test_a_stand_in_is_asked_in_place_of_sns() -> None:
    line = FakeLine()
    assert await Envelopes((TOPIC,), line, "http://127.0.0.1:4566/").open(posted(enveloped()))
    assert line.asked == [f"http://127.0.0.1:4566{CERTIFICATE_PATH}"]


@pytest.mark.skipif(not SAMPLES.exists(), reason="../shared with Amazon's samples is not here")
@pytest.mark.parametrize("name", ["sns_envelope__bounce_event.json", "sns_subscription_confirmation.json"])
async def test_the_published_samples_are_of_the_form_that_is_checked(name: str) -> None:
    """Their signatures are placeholders: what can be seen is that they get as far as the signature."""
    sample = json.loads(await asyncio.to_thread((SAMPLES / name).read_text))
    region = sample["TopicArn"].split(":")[3]
    assert sample["SigningCertURL"].startswith(
        f"https://sns.{region}.amazonaws.com/SimpleNotificationService-"
    )
    at = datetime.fromisoformat(sample["Timestamp"])
    line = FakeLine()
    body = json.dumps(sample).encode()
    with pytest.raises(Forged):
        await Envelopes((sample["TopicArn"],), line).open(CallBack("", {}, body, at))
    assert line.asked == [sample["SigningCertURL"]]
