"""Every provider's fake: what it takes, what it counts as a violation, and how it fails."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import uuid4

import aiohttp
import pytest

from tests.fakes.core import WIRE, HttpFake
from tests.fakes.http import KINDS, class_of
from tests.fakes.specification import CONTRACTS
from tests.support.asking_fakes import Wire, ask, good
from tests.support.waiting import eventually

PUBLISHED = ("resend", "sendgrid", "twilio", "vonage")
FAULTS = [(kind, fault) for kind in KINDS for fault in class_of(kind).refusals]


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


@pytest.fixture
async def fake(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[HttpFake]:
    made = class_of(request.param)(tmp_path)
    await made.start()
    yield made
    await made.stop()


def here(fake: HttpFake) -> None:
    if not fake.checked:
        assert fake.kind in PUBLISHED
        assert not CONTRACTS.exists()
        pytest.skip("../shared with the published specifications is not here")


@pytest.mark.parametrize("fake", KINDS, indirect=True)
async def test_a_good_request_is_taken_kept_and_breaks_nothing(
    fake: HttpFake, http: aiohttp.ClientSession
) -> None:
    message_id = uuid4()
    status, _ = await ask(http, fake, good(fake, message_id))
    assert 200 <= status < 300
    assert [entry["k"] for entry in fake.received()] == [str(message_id)]
    assert fake.violations == []


@pytest.mark.parametrize("fake", KINDS, indirect=True)
async def test_a_request_that_breaks_its_specification_is_counted(
    fake: HttpFake, http: aiohttp.ClientSession
) -> None:
    here(fake)
    wire = good(fake)
    await ask(http, fake, Wire(wire.path, wire.headers, wire.broken, wire.broken))
    assert fake.violation_count == len(fake.violations) >= 1
    assert fake.status()["violations"] == fake.violations


@pytest.mark.parametrize("fake", PUBLISHED, indirect=True)
async def test_a_misspelt_member_is_counted(fake: HttpFake, http: aiohttp.ClientSession) -> None:
    here(fake)
    wire = good(fake)
    more = b'{"subjct": "x", ' + wire.body[1:] if wire.body[:1] == b"{" else wire.body + b"&Subjct=x"
    await ask(http, fake, Wire(wire.path, wire.headers, more, more))
    assert len(fake.violations) == 1
    assert "ubjct" in fake.violations[0]


@pytest.mark.parametrize("kind", PUBLISHED)
async def test_a_fake_without_its_specification_says_so_and_works(
    kind: str, tmp_path: Path, http: aiohttp.ClientSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tests.fakes.core.CONTRACTS", tmp_path / "nowhere")
    made = class_of(kind)(tmp_path)
    await made.start()
    assert not made.checked
    await ask(http, made, good(made))
    assert len(made.received()) == 1
    await made.stop()


@pytest.mark.parametrize("fake", [kind for kind in KINDS if kind != "vonage"], indirect=True)
async def test_wrong_credentials_are_refused(fake: HttpFake, http: aiohttp.ClientSession) -> None:
    wire = good(fake)
    secret = {"postmark": "X-Postmark-Server-Token", "webhook": "webhook-signature"}
    name = secret.get(fake.kind, "Authorization")
    told = wire.headers[name]
    spoilt = told[:-3] + ("AAA" if told[-3:] != "AAA" else "BBB")
    status, _ = await ask(http, fake, wire.with_headers(**{name: spoilt}))
    assert status in (401, 403)
    assert fake.received() == []


@pytest.mark.parametrize(("fake", "fault"), FAULTS, indirect=["fake"])
async def test_each_refusal_can_be_had_and_takes_nothing(
    fake: HttpFake, fault: str, http: aiohttp.ClientSession
) -> None:
    fake.faults.script.append(fault)
    status, body = await ask(http, fake, good(fake))
    assert status == fake.refusals[fault].status
    assert body or status == 302
    assert fake.received() == []
    assert (await ask(http, fake, good(fake)))[0] < 300
    assert len(fake.received()) == 1


@pytest.mark.parametrize("fake", KINDS, indirect=True)
async def test_a_connection_is_closed_before_or_after_a_message_was_taken(
    fake: HttpFake, http: aiohttp.ClientSession
) -> None:
    for fault, kept in (("drop_before", 0), ("drop_after", 1)):
        fake.faults.script.append(fault)
        with pytest.raises(aiohttp.ClientError):
            await ask(http, fake, good(fake))
        assert len(fake.received()) == kept


@pytest.mark.parametrize("fake", KINDS, indirect=True)
@pytest.mark.parametrize(("fault", "kept"), [("timeout_before", 0), ("timeout_after", 1)])
async def test_a_message_is_never_answered_whether_it_was_taken_or_not(
    fake: HttpFake, fault: str, kept: int, http: aiohttp.ClientSession
) -> None:
    fake.faults.script.append(fault)
    asking = asyncio.ensure_future(ask(http, fake, good(fake)))
    await eventually(lambda: fake.requests == 1)
    assert (await ask(http, fake, good(fake)))[0] < 300
    assert not asking.done()
    assert len(fake.received()) == kept + 1
    await fake.stop()
    await asyncio.gather(asking, return_exceptions=True)


def test_the_names_of_faults_at_the_wire_are_no_refusals() -> None:
    for kind in KINDS:
        assert not set(WIRE) & set(class_of(kind).refusals)


@pytest.mark.parametrize("fake", ["sendgrid", "twilio"], indirect=True)
async def test_a_closed_gate_holds_answers_back_but_not_messages(
    fake: HttpFake, http: aiohttp.ClientSession
) -> None:
    fake.gate.clear()
    asking = asyncio.ensure_future(ask(http, fake, good(fake)))
    await eventually(lambda: len(fake.received()) == 1)
    assert not asking.done()
    fake.gate.set()
    assert (await asking)[0] < 300


async def test_a_fake_that_starts_again_knows_what_it_took(
    tmp_path: Path, http: aiohttp.ClientSession
) -> None:
    message_id = uuid4()
    ids = []
    for _ in range(2):
        made = class_of("resend")(tmp_path)
        await made.start()
        ids.append(await ask(http, made, good(made, message_id)))
        await made.stop()
    assert ids[0] == ids[1]
    assert len(made.received()) == 1
