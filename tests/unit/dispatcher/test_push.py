"""Web push against a push service that decrypts what it takes, and checks every header by the RFCs."""

import base64
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from services.dispatcher.providers.base import Answer, Fault, Parcel, PushContent, Result
from services.dispatcher.providers.config import Surroundings
from services.dispatcher.providers.push import PushConfig, PushProvider, is_known
from shared.clock import SystemClock
from shared.errors import SettingsError
from shared.secrets import Secret
from tests.fakes.faults import Faults
from tests.fakes.push import FakePush

HERE = Surroundings(None, "offers@shop.example.com")
CONTENT = PushContent(
    "Dewy & Co: Rosenwasser", "Passt zu Ihrem Serum: 10 % bis Freitag.", "https://go.example.com/r/t"
)


class LaterClock(SystemClock):
    """A clock that can be put forward."""

    def __init__(self) -> None:
        self.ahead = timedelta()

    def machine(self) -> Any:  # noqa: ANN401  a datetime
        return super().machine() + self.ahead


def pem() -> str:
    key = ec.generate_private_key(ec.SECP256R1())
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


@pytest.fixture
async def fake(tmp_path: Path) -> AsyncIterator[FakePush]:
    made = FakePush(tmp_path)
    await made.start()
    yield made
    await made.stop()
    assert made.violations == []


def config(key: Secret | None = None, **changes: Any) -> PushConfig:  # noqa: ANN401  any field
    fields: dict[str, Any] = {
        "name": "push-1",
        "key": key or Secret.given(pem()),
        "contact": "mailto:ops@shop.example.com",
        "private_addresses": True,
        "timeout_seconds": 5,
    }
    return PushConfig(**(fields | changes))


@asynccontextmanager
async def provider(clock: SystemClock | None = None, **changes: Any) -> AsyncIterator[PushProvider]:  # noqa: ANN401  any field
    made = PushProvider(config(**changes), HERE, clock)
    await made.start()
    try:
        yield made
    finally:
        await made.close()


def parcel(fake: FakePush, name: str = "ada", content: PushContent = CONTENT, **changes: Any) -> Parcel:  # noqa: ANN401  any field
    fields: dict[str, Any] = {
        "message_id": uuid4(),
        "recipient": json.dumps(fake.subscription(name)),
        "content": content,
        "valid_for": 3600.5,
    }
    return Parcel(**(fields | changes))


async def test_a_notification_arrives_decrypted_with_its_lifetime_and_topic(fake: FakePush) -> None:
    async with provider() as push:
        one = parcel(fake)
        answer = await push.send(one)
    (entry,) = fake.received()
    assert answer == Answer.accepted(entry["reference"])
    said = json.loads(entry["payload"])
    assert said == {
        "id": str(one.message_id),
        "title": CONTENT.title,
        "body": CONTENT.body,
        "url": CONTENT.url,
    }
    assert (entry["ttl"], entry["urgency"], len(entry["topic"])) == ("3600", "normal", 22)


@pytest.mark.parametrize("valid_for", [-5.0, 1e9])
async def test_a_lifetime_is_one_that_push_services_take(fake: FakePush, valid_for: float) -> None:
    async with provider() as push:
        assert (await push.send(parcel(fake, valid_for=valid_for))).result is Result.ACCEPTED
    assert 0 <= int(fake.received()[0]["ttl"]) <= 2_419_200


@pytest.mark.parametrize(
    ("status", "fault", "wait"),
    [
        ("400", Fault.PERMANENT, None),
        ("401", Fault.SENDER, 60.0),
        ("403", Fault.SENDER, 60.0),
        ("404", Fault.DEAD, None),
        ("410", Fault.DEAD, None),
        ("413", Fault.CONTENT, None),
        ("429", Fault.BUSY, 1.0),
        ("500", Fault.OPEN, None),
        ("503", Fault.PASSING, 1.0),
    ],
)
async def test_every_refusal_has_its_class(
    tmp_path: Path, status: str, fault: Fault, wait: float | None
) -> None:
    fake = FakePush(tmp_path, Faults({status: 1.0}))
    await fake.start()
    async with provider() as push:
        assert await push.send(parcel(fake)) == Answer.of(fault, f"push_{status}", wait)
    await fake.stop()


async def test_what_no_browser_is_behind_is_a_dead_address(fake: FakePush) -> None:
    async with provider() as push:
        for recipient in (
            "",
            "{}",
            "not json",
            json.dumps({"endpoint": fake.url, "keys": {"p256dh": "x", "auth": "y"}}),
        ):
            assert (await push.send(parcel(fake, recipient=recipient))).fault is Fault.DEAD
        bad = fake.subscription("ada") | {"keys": {"p256dh": "A" * 87, "auth": "A" * 22}}
        assert await push.send(parcel(fake, recipient=json.dumps(bad))) == Answer.of(
            Fault.DEAD, "push_bad_keys"
        )
    assert fake.received() == []


async def test_what_is_too_large_for_one_record_is_not_sent(fake: FakePush) -> None:
    async with provider() as push:
        long = PushContent("t", "b" * 4000, "https://go.example.com/r/t")
        assert (await push.send(parcel(fake, content=long))).fault is Fault.CONTENT
        fits = PushContent("t", "b" * 3860, "https://go.example.com/r/t")
        assert (await push.send(parcel(fake, content=fits))).result is Result.ACCEPTED


async def test_a_token_is_used_again_and_renewed_before_it_ends(fake: FakePush) -> None:
    clock = LaterClock()
    fake.clock = clock.machine
    async with provider(clock) as push:
        for _ in range(3):
            assert (await push.send(parcel(fake))).result is Result.ACCEPTED
            clock.ahead += timedelta(hours=11)


async def test_a_key_that_was_exchanged_signs_from_the_next_message_on(
    fake: FakePush, tmp_path: Path
) -> None:
    key = tmp_path / "vapid.pem"
    key.write_text(pem())
    async with provider(key=Secret(file=key)) as push:
        await push.send(parcel(fake))
        first, fake.application_key = fake.application_key, ""
        fresh = tmp_path / "fresh.pem"
        fresh.write_text(pem())
        fresh.replace(key)
        await push.send(parcel(fake))
        assert fake.application_key != first
    fake.violations.clear()


def test_a_raw_key_is_taken_and_what_is_none_is_told_without_showing_it() -> None:
    raw = base64.urlsafe_b64encode(b"\1" * 32).rstrip(b"=").decode()
    PushProvider(config(Secret.given(raw)), HERE)
    with pytest.raises(SettingsError, match="no VAPID key") as told:
        PushProvider(config(Secret.given("secret-but-no-key")), HERE)
    assert "secret-but-no-key" not in str(told.value)


@pytest.mark.parametrize(
    "endpoint",
    [
        "http://push.example.net/x",
        "https://127.0.0.1/x",
        "https://10.0.0.8/x",
        "https://[::1]/x",
        "https://[::ffff:192.168.0.1]/x",
        "https://169.254.169.254/latest/meta-data",
        "https://user@push.example.net/x",
    ],
)
async def test_no_stranger_makes_us_call_our_own_network(fake: FakePush, endpoint: str) -> None:
    async with provider(private_addresses=False) as push:
        one = parcel(fake, recipient=json.dumps(fake.subscription("ada") | {"endpoint": endpoint}))
        assert await push.send(one) == Answer.of(Fault.PERMANENT, "push_private_address")


async def test_a_name_that_leads_to_our_own_network_is_not_called(fake: FakePush) -> None:
    async with provider(private_addresses=False) as push:
        for host in ("localhost", "0x7f000001", "2130706433"):
            endpoint = f"https://{host}:{fake.port}/push/ada"
            one = parcel(fake, recipient=json.dumps(fake.subscription("ada") | {"endpoint": endpoint}))
            answer = await push.send(one)
            assert (answer.fault, answer.reason) == (Fault.PERMANENT, "push_private_address")
    assert fake.requests == 0


@pytest.mark.parametrize(
    ("endpoint", "known"),
    [
        ("https://fcm.googleapis.com/fcm/send/abc", True),
        ("https://updates.push.services.mozilla.com/wpush/v2/abc", True),
        ("https://web.push.apple.com/abc", True),
        ("https://wns2-par02p.notify.windows.com/w/?token=abc", True),
        ("https://evil.example.net/fcm.googleapis.com", False),
        ("https://fcm.googleapis.com.evil.example.net/", False),
        ("https://evilpush.apple.com.example/", False),
        ("https://evilnotify.windows.com/", False),
    ],
)
def test_only_the_browsers_own_push_services_speak_for_all(endpoint: str, *, known: bool) -> None:
    assert is_known(endpoint) is known
