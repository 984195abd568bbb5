"""What the fakes themselves say, held against the published documents, and the push service against a library."""

import json
from collections.abc import AsyncIterator
from functools import cache
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import yaml
from jsonschema import Draft202012Validator
from pywebpush import WebPusher

from tests.fakes.core import HttpFake
from tests.fakes.fates import FATES, Fates
from tests.fakes.http import class_of
from tests.fakes.push import FakePush
from tests.fakes.specification import CONTRACTS
from tests.support.asking_fakes import PHONE, Ear, ask, good, listening

pytestmark = pytest.mark.skipif(
    not CONTRACTS.exists(), reason="../shared with the published specifications is not here"
)
RESEND_EVENTS = {
    "email.sent": "EmailSentEvent",
    "email.delivered": "EmailDeliveredEvent",
    "email.delivery_delayed": "EmailDeliveryDelayedEvent",
    "email.bounced": "EmailBouncedEvent",
    "email.complained": "EmailComplainedEvent",
    "email.opened": "EmailOpenedEvent",
    "email.clicked": "EmailClickedEvent",
    "email.suppressed": "EmailSuppressedEvent",
}


@pytest.fixture
async def ear() -> AsyncIterator[Ear]:
    async with listening() as made:
        yield made


@cache
def document(name: str) -> dict[str, Any]:
    found: dict[str, Any] = yaml.load((CONTRACTS / "openapi" / name).read_text(), yaml.CSafeLoader)
    return found


def wrong(name: str, schema: str, told: object) -> list[str]:
    whole = {"$ref": f"#/components/schemas/{schema}", "components": document(name)["components"]}
    return [error.message for error in Draft202012Validator(whole).iter_errors(told)]


async def every_fate(kind: str, folder: Path, ear: Ear) -> HttpFake:
    """A fake that told of every fate, stopped."""
    fake = class_of(kind)(folder, callback_url=ear.url, fates=Fates(script=FATES))
    await fake.start()
    async with aiohttp.ClientSession() as http:
        for _ in FATES:
            await ask(http, fake, good(fake))
            await fake.settle()
            fake.dead.clear()
            fake.stopped.clear()
    if kind == "vonage":
        fake.inbound(PHONE, "STOP please")
        await fake.settle()
    await fake.stop()
    return fake


async def test_resends_webhooks_are_as_it_publishes_them(tmp_path: Path, ear: Ear) -> None:
    await every_fate("resend", tmp_path, ear)
    said = [json.loads(heard.body) for heard in ear.heard]
    assert {told["type"] for told in said} == set(RESEND_EVENTS)
    for told in said:
        assert not wrong("resend.yaml", RESEND_EVENTS[told["type"]], told)


async def test_vonages_receipts_and_messages_are_as_it_publishes_them(tmp_path: Path, ear: Ear) -> None:
    await every_fate("vonage", tmp_path, ear)
    said = [json.loads(heard.body) for heard in ear.heard]
    for told in said:
        schema = "InboundMessage" if "keyword" in told else "DeliveryReceipt"
        assert not wrong("vonage_sms.yml", schema, told)
        if schema == "DeliveryReceipt":
            known = document("vonage_sms.yml")["components"]["schemas"][schema]["properties"]
            assert told.keys() <= known.keys()
            assert told["status"] in known["status"]["x-possible-values"]


async def test_resends_answer_is_as_it_publishes_it(tmp_path: Path) -> None:
    fake = class_of("resend")(tmp_path)
    await fake.start()
    async with aiohttp.ClientSession() as http:
        _, body = await ask(http, fake, good(fake))
    assert not wrong("resend.yaml", "SendEmailResponse", json.loads(body))
    await fake.stop()


async def test_what_a_library_encrypts_is_decrypted(tmp_path: Path) -> None:
    fake = FakePush(tmp_path)
    await fake.start()
    sealed = WebPusher(fake.subscription("reader")).encode(b'{"title": "Hi"}', "aes128gcm")
    assert sealed is not None
    async with aiohttp.ClientSession() as http:
        wire = good(fake)
        headers = {**wire.headers}
        async with http.post(fake.url + wire.path, headers=headers, data=sealed["body"]) as answer:
            assert answer.status == 201
    assert fake.violations == []
    assert fake.received()[0]["payload"] == '{"title": "Hi"}'
    await fake.stop()
