"""What the fakes remember: keys, messages that can be asked for, subscriptions."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl
from uuid import uuid4

import aiohttp
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from tests.fakes import mailgun, postmark, resend, twilio
from tests.fakes.core import HttpFake
from tests.fakes.fates import Fates
from tests.fakes.http import class_of
from tests.fakes.mailgun import FakeMailgun
from tests.fakes.postmark import FakePostmark
from tests.fakes.push import Browser, FakePush, Undecipherable, wrong_token
from tests.fakes.resend import FakeResend
from tests.fakes.twilio import FakeTwilio
from tests.fakes.vonage import FakeVonage
from tests.support import pushing
from tests.support.asking_fakes import EMAIL, PHONE, ask, basic, good, listening
from tests.support.fakes import FakeProcess
from tests.support.waiting import eventually

START = datetime(2026, 3, 2, 9, tzinfo=UTC)


class Moved:
    """A clock that stands until it is moved."""

    def __init__(self) -> None:
        self.at = START

    def __call__(self) -> datetime:
        return self.at


@pytest.fixture
def moved() -> Moved:
    return Moved()


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


@pytest.fixture
async def fake(request: pytest.FixtureRequest, tmp_path: Path, moved: Moved) -> AsyncIterator[HttpFake]:
    made: HttpFake = request.param(tmp_path, clock=moved)
    await made.start()
    yield made
    await made.stop()


async def asked(
    http: aiohttp.ClientSession, url: str, headers: dict[str, str], **params: str
) -> tuple[int, dict[str, Any]]:
    async with http.get(url, headers=headers, params=params) as answer:
        return answer.status, await answer.json(content_type=None)


@pytest.mark.parametrize("fake", [FakeResend], indirect=True)
async def test_a_key_gives_the_first_id_for_a_day(
    fake: HttpFake, moved: Moved, http: aiohttp.ClientSession
) -> None:
    wire = good(fake, uuid4())
    first = await ask(http, fake, wire)
    moved.at += timedelta(hours=23, minutes=59)
    assert await ask(http, fake, wire) == first
    assert len(fake.received()) == 1
    moved.at += timedelta(minutes=1)
    assert await ask(http, fake, wire) != first
    assert len(fake.received()) == 2


@pytest.mark.parametrize("fake", [FakeResend], indirect=True)
async def test_a_key_with_another_payload_is_a_conflict(fake: HttpFake, http: aiohttp.ClientSession) -> None:
    wire = good(fake)
    await ask(http, fake, wire)
    status, body = await ask(http, fake, replace(wire, body=wire.body.replace(b"Hi", b"Ho")))
    assert (status, json.loads(body)["name"]) == (409, "invalid_idempotent_request")
    assert len(fake.received()) == 1


@pytest.mark.parametrize("fake", [FakeResend], indirect=True)
async def test_a_hand_over_that_was_never_answered_can_be_asked_again(
    fake: HttpFake, http: aiohttp.ClientSession
) -> None:
    wire = good(fake)
    fake.faults.script.append("drop_after")
    with pytest.raises(aiohttp.ClientError):
        await ask(http, fake, wire)
    status, body = await ask(http, fake, wire)
    (entry,) = fake.received()
    assert (status, json.loads(body)["id"]) == (200, entry["reference"])


@pytest.mark.parametrize("fake", [FakeResend], indirect=True)
async def test_resend_tells_the_last_event(fake: HttpFake, http: aiohttp.ClientSession) -> None:
    _, body = await ask(http, fake, good(fake))
    await fake.settle()
    url = f"{fake.url}/emails/{json.loads(body)['id']}"
    status, told = await asked(http, url, {"Authorization": f"Bearer {resend.KEY}"})
    assert (status, told["last_event"], fake.violations) == (200, "delivered", [])


@pytest.mark.parametrize("fake", [FakeTwilio], indirect=True)
async def test_twilio_lists_by_number_and_time(
    fake: HttpFake, moved: Moved, http: aiohttp.ClientSession
) -> None:
    headers = {"Authorization": basic(twilio.ACCOUNT, twilio.TOKEN)}
    url = f"{fake.url}/2010-04-01/Accounts/{twilio.ACCOUNT}/Messages"
    for _ in range(3):
        await ask(http, fake, good(fake))
        moved.at += timedelta(hours=20)
    since = (START + timedelta(hours=20)).strftime("%Y-%m-%dT%H:%M:%SZ")
    _, everything = await asked(http, f"{url}.json", headers, To=PHONE)
    _, late = await asked(http, f"{url}.json", headers, **{"To": PHONE, "DateSent>": since})
    _, page = await asked(http, f"{url}.json", headers, To=PHONE, PageSize="2")
    _, others = await asked(http, f"{url}.json", headers, To="+15550100008")
    assert [len(told["messages"]) for told in (everything, late, page, others)] == [3, 2, 2, 0]
    assert page["next_page_uri"]
    assert not everything["next_page_uri"]
    assert fake.violations == []


@pytest.mark.parametrize("fake", [FakeTwilio], indirect=True)
async def test_twilio_tells_what_became_of_a_message(fake: HttpFake, http: aiohttp.ClientSession) -> None:
    headers = {"Authorization": basic(twilio.ACCOUNT, twilio.TOKEN)}
    fake.fates.script.append("30006")
    _, body = await ask(http, fake, good(fake))
    await fake.settle()
    url = f"{fake.url}/2010-04-01/Accounts/{twilio.ACCOUNT}/Messages/{json.loads(body)['sid']}.json"
    _, told = await asked(http, url, headers)
    assert (told["status"], told["error_code"]) == ("undelivered", 30006)
    fake.finds.script.append("503")
    assert (await asked(http, url, headers))[0] == 503
    assert (await asked(http, url, {}))[0] == 401
    assert (await asked(http, url.replace("SM", "SN"), headers))[0] == 404


@pytest.mark.parametrize("fake", [FakePostmark], indirect=True)
async def test_postmark_finds_by_metadata_and_refuses_whom_it_knows_to_be_dead(
    fake: HttpFake, http: aiohttp.ClientSession
) -> None:
    message_id = uuid4()
    fake.fates.script.append("bounced")
    await ask(http, fake, good(fake, message_id))
    await fake.settle()
    headers = {"X-Postmark-Server-Token": postmark.KEY}
    query = {"count": "1", "offset": "0", "metadata_message_id": str(message_id)}
    _, told = await asked(http, f"{fake.url}/messages/outbound", headers, **query)
    assert told["TotalCount"] == 1
    found = told["Messages"][0]["MessageID"]
    _, details = await asked(http, f"{fake.url}/messages/outbound/{found}/details", headers)
    assert [each["Type"] for each in details["MessageEvents"]] == ["Bounce"]
    status, body = await ask(http, fake, good(fake))
    assert (status, json.loads(body)["ErrorCode"]) == (422, 406)


@pytest.mark.parametrize("fake", [FakeMailgun], indirect=True)
async def test_mailgun_tells_its_events(fake: HttpFake, http: aiohttp.ClientSession) -> None:
    message_id = uuid4()
    await ask(http, fake, good(fake, message_id))
    await fake.settle()
    headers = {"Authorization": basic("api", mailgun.KEY)}
    url = f"{fake.url}/v3/{mailgun.DOMAIN}/events"
    _, told = await asked(http, url, headers, recipient=EMAIL)
    assert [item["event"] for item in told["items"]] == ["accepted", "delivered"]
    assert {item["user-variables"]["message_id"] for item in told["items"]} == {str(message_id)}
    assert fake.received()[0]["subject"] == "Your crème"


@pytest.mark.parametrize("fake", [FakeVonage], indirect=True)
async def test_vonage_refuses_with_http_200(fake: HttpFake, http: aiohttp.ClientSession) -> None:
    wire = good(fake)
    wrong = replace(wire, body=wire.body.replace(b"fake-secret", b"fake-secres"))
    status, body = await ask(http, fake, wrong)
    assert (status, json.loads(body)["messages"][0]["status"]) == (200, "4")
    plus = replace(wire, body=wire.body.replace(b"to=1", b"to=%2B1"))
    assert json.loads((await ask(http, fake, plus))[1])["messages"][0]["status"] == "3"


def test_a_push_is_decrypted_as_the_rfc_shows() -> None:
    """RFC 8291, appendix A."""
    private = int.from_bytes(pushing.unb64("q1dXpw3UpT5VOmu_cf_v6ih07Aems3njxI-JWgLcM94"), "big")
    reader = Browser(ec.derive_private_key(private, ec.SECP256R1()), pushing.unb64("BTBZMqHH6r4Tts7J_aSIgg"))
    body = pushing.unb64(
        "DGv6ra1nlYgDCS1FRnbzlwAAEABBBP4z9KsN6nGRTbVYI_c7VJSPQTBtkgcy27mlmlMoZIIgDll6e3vCYLocInmYWAmS6Tlz"
        "AC8wEqKK6PBru3jl7A_yl95bQpu6cVPTpK4Mqgkf1CXztLVBSt2Ks3oZwbuwXPXLWyouBWLVWGNWQexSgSxsj_Qulcy4a-fN"
    )
    assert reader.decrypt(body) == b"When I grow up, I want to be a watermelon"
    with pytest.raises(Undecipherable):
        reader.decrypt(body[:-1] + b"\0")
    with pytest.raises(Undecipherable):
        reader.decrypt(b"short")


def test_a_token_is_for_one_push_service_and_one_day() -> None:
    origin, key = "https://push.example.net", pushing.b64(pushing.shop_key())
    now = datetime.now(UTC)
    token = pushing.token(origin)
    assert wrong_token(token, key, origin, now) is None
    assert wrong_token(token, key, "https://other.example.net", now) == "aud is not https://other.example.net"
    late = wrong_token(pushing.token(origin, seconds=25 * 3600), key, origin, now)
    assert late is not None
    assert late.startswith("exp")
    head, claims, signature = token.split(".")
    spoilt = base64.urlsafe_b64encode(b"\0" * 64).decode().rstrip("=")
    assert wrong_token(f"{head}.{claims}.{spoilt}", key, origin, now) is not None
    assert wrong_token(f"{claims}.{head}.{signature}", key, origin, now) is not None


async def test_a_subscription_that_ended_is_gone(tmp_path: Path, http: aiohttp.ClientSession) -> None:
    fake = FakePush(tmp_path)
    await fake.start()
    assert fake.subscription("reader")["endpoint"] == f"{fake.url}/push/reader"
    fake.gone.add("reader")
    assert (await ask(http, fake, good(fake)))[0] == 410
    fake.gone.clear()
    fake.application_key = "another"
    assert (await ask(http, fake, good(fake)))[0] == 403
    await fake.stop()


async def test_a_webhook_that_comes_again_is_kept_once(tmp_path: Path, http: aiohttp.ClientSession) -> None:
    fake = class_of("webhook")(tmp_path)
    await fake.start()
    message_id = uuid4()
    for _ in range(2):
        assert (await ask(http, fake, good(fake, message_id)))[0] == 204
    assert len(fake.received()) == 1
    await fake.stop()


async def test_fates_and_faults_are_the_same_from_the_same_seed() -> None:
    def drawn(seed: int) -> list[str]:
        fates = Fates({"bounced": 0.3, "30003": 0.2}, duplicate=0.2, disorder=0.2, delay=1.0, seed=seed)
        return [repr(fates.plan()) for _ in range(200)]

    assert drawn(7) == drawn(7) != drawn(8)
    assert sum("undelivered:30003" in each for each in drawn(7)) > 10


@pytest.mark.parametrize("kind", ["sendgrid", "twilio"])
async def test_a_process_says_where_it_is_and_counts(
    kind: str, tmp_path: Path, http: aiohttp.ClientSession
) -> None:
    options = ("--fate=bounced=0.5", "--duplicate=0.1", "--no-check")
    with FakeProcess(kind, tmp_path, {"429": 0.5}, seed=7, options=options) as process:
        assert process.said["kind"] == kind
        assert process.said["checked"] == "no"
        near = class_of(kind)(tmp_path / "unused")
        wire = good(near)
        statuses = []
        for _ in range(20):
            async with http.post(process.url + wire.path, headers=wire.headers, data=wire.body) as answer:
                statuses.append(answer.status)
        taken = sum(status < 300 for status in statuses)
        assert 0 < taken < 20
        assert process.status()["requests"] == 20
        assert len(process.received()) == process.status()["accepted"] == taken
        process.control(faults=["503"])
        async with http.post(process.url + wire.path, headers=wire.headers, data=wire.body) as answer:
            assert answer.status == 503


async def test_a_process_calls_back_and_tells_what_people_write(tmp_path: Path) -> None:
    async with listening() as ear:
        options = (f"--callback-url={ear.url}/callbacks/sms-1", "--no-check")
        with FakeProcess("twilio", tmp_path, {}, options=options) as process:
            wire = good(class_of("twilio")(tmp_path / "unused"))
            async with (
                aiohttp.ClientSession() as http,
                http.post(process.url + wire.path, headers=wire.headers, data=wire.body) as answer,
            ):
                assert answer.status == 201
            await asyncio.to_thread(process.control, inbound=[{"from": PHONE, "text": "STOP"}])
            await eventually(lambda: len(ear.heard) == 3)
            said = {dict(parse_qsl(heard.body.decode())).get("SmsStatus") for heard in ear.heard}
            assert said == {"sent", "delivered", "received"}
            assert {entry["event"] for entry in process.called_back()} == {"taken", "delivered", "inbound"}
