"""Signed webhooks against a receiver that verifies them with the library that shops use."""

import base64
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from services.dispatcher.providers.base import Answer, Fault, Parcel, Result, WebhookContent
from services.dispatcher.providers.config import Surroundings
from services.dispatcher.providers.webhook import WebhookConfig, WebhookProvider
from shared.errors import SettingsError
from shared.secrets import Secret
from tests.fakes.faults import Faults
from tests.fakes.webhook import KEY, FakeWebhook

HERE = Surroundings(None, "offers@shop.example.com")
NEW = "whsec_" + base64.b64encode(b"n" * 32).decode()


@pytest.fixture
async def fake(tmp_path: Path) -> AsyncIterator[FakeWebhook]:
    made = FakeWebhook(tmp_path)
    await made.start()
    yield made
    await made.stop()
    assert made.violations == []


def config(url: str, key: str = KEY, **changes: Any) -> WebhookConfig:  # noqa: ANN401  any field
    receivers = {"skincare": {"url": url, "key": Secret.given(key)}}
    fields = {"name": "hook-1", "receivers": receivers, "private_addresses": True, "timeout_seconds": 5}
    return WebhookConfig.model_validate(fields | changes)


@asynccontextmanager
async def provider(made: WebhookConfig) -> AsyncIterator[WebhookProvider]:
    hook = WebhookProvider(made, HERE)
    await hook.start()
    try:
        yield hook
    finally:
        await hook.close()


def parcel(shop: str = "skincare") -> Parcel:
    content = WebhookContent(json.dumps({"type": "message.requested", "data": {"name": "Größe"}}).encode())
    return Parcel(uuid4(), "c-1", content, 3600, shop=shop)


async def test_a_message_arrives_signed_and_twice_handed_over_is_taken_once(fake: FakeWebhook) -> None:
    one = parcel()
    async with provider(config(f"{fake.url}/hook")) as hook:
        assert hook.once
        assert await hook.send(one) == Answer.accepted()
        assert await hook.send(one) == Answer.accepted()
    (entry,) = fake.received()
    assert (entry["k"], json.loads(entry["body"])["type"]) == (str(one.message_id), "message.requested")


async def test_during_a_rotation_both_secrets_sign(fake: FakeWebhook, tmp_path: Path) -> None:
    lines = tmp_path / "secret"
    lines.write_text(f"{NEW}\n{KEY}\n")
    receivers = {"skincare": {"url": f"{fake.url}/hook", "key": {"file": str(lines)}}}
    async with provider(config("", receivers=receivers)) as hook:
        assert (await hook.send(parcel())).result is Result.ACCEPTED


async def test_a_wrong_secret_is_ours_to_mend(tmp_path: Path) -> None:
    fake = FakeWebhook(tmp_path)
    await fake.start()
    async with provider(config(f"{fake.url}/hook", NEW)) as hook:
        assert (await hook.send(parcel())).fault is Fault.SENDER
    await fake.stop()
    assert fake.received() == []


@pytest.mark.parametrize(
    ("status", "fault", "wait"),
    [
        ("302", Fault.SENDER, 60.0),
        ("400", Fault.PERMANENT, None),
        ("401", Fault.SENDER, 60.0),
        ("403", Fault.SENDER, 60.0),
        ("404", Fault.SENDER, 60.0),
        ("410", Fault.SENDER, 60.0),
        ("413", Fault.CONTENT, None),
        ("422", Fault.PERMANENT, None),
        ("429", Fault.BUSY, 1.0),
        ("500", Fault.OPEN, None),
        ("502", Fault.OPEN, None),
        ("503", Fault.PASSING, None),
        ("504", Fault.OPEN, None),
    ],
)
async def test_every_refusal_has_its_class(
    tmp_path: Path, status: str, fault: Fault, wait: float | None
) -> None:
    fake = FakeWebhook(tmp_path, Faults({status: 1.0}))
    await fake.start()
    async with provider(config(f"{fake.url}/hook")) as hook:
        assert await hook.send(parcel()) == Answer.of(fault, f"webhook_{status}", wait)
    await fake.stop()


async def test_a_shop_without_a_receiver_gets_no_message_of_anothers(fake: FakeWebhook) -> None:
    async with provider(config(f"{fake.url}/hook")) as hook:
        assert await hook.send(parcel("fitness")) == Answer.of(Fault.PERMANENT, "webhook_no_receiver")
    assert fake.requests == 0


@pytest.mark.parametrize(
    "url", ["http://shop.example.com/h", "https://10.1.2.3/h", "https://[fd00::1]/h", "ftp://x/h"]
)
def test_an_address_that_is_not_public_and_https_stops_the_start(url: str) -> None:
    with pytest.raises(SettingsError, match="hook-1: skincare"):
        WebhookProvider(config(url, private_addresses=False), HERE)


def test_a_secret_of_another_form_stops_the_start_and_is_not_shown() -> None:
    with pytest.raises(SettingsError, match="whsec_") as told:
        WebhookProvider(config("https://shop.example.com/h", "hunter2"), HERE)
    assert "hunter2" not in str(told.value)


async def test_a_name_that_leads_to_our_own_network_is_not_called(fake: FakeWebhook) -> None:
    made = config(f"https://localhost:{fake.port}/hook", private_addresses=False)
    async with provider(made) as hook:
        assert await hook.send(parcel()) == Answer.of(Fault.PERMANENT, "webhook_private_address")
    assert fake.requests == 0


async def test_one_shops_server_of_several_speaks_for_itself_only(fake: FakeWebhook) -> None:
    gone = {"url": "http://127.0.0.1:1/", "key": Secret.given(KEY)}
    receivers = {"skincare": {"url": f"{fake.url}/hook", "key": Secret.given(KEY)}, "fitness": gone}
    async with provider(config("", receivers=receivers)) as hook:
        refused, taken = await hook.send(parcel("fitness")), await hook.send(parcel())
    assert (refused.fault, refused.apart) == (Fault.PASSING, True)
    assert (taken.result, taken.apart) == (Result.ACCEPTED, False)
