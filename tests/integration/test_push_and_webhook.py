"""Notifications and webhooks from the ledger to a browser and a shop's own server."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from pydantic import SecretStr

from shared.events import Channel, MessageRequested
from shared.links import Links
from tests.fakes.push import FakePush
from tests.fakes.webhook import KEY, FakeWebhook
from tests.support.dispatching import Bench, StandingClock, bench, running
from tests.support.messages import CONTEXT, customer, message

OWN = {
    "link_secret": SecretStr("ours"),
    "guest_salt": SecretStr("ours"),
    "code_secret": SecretStr("ours"),
    "postal_address": "1 Own Street",
}
FILE = """
providers:
  - {{name: push-1, kind: push, key: {{file: {key}}}, contact: "mailto:ops@shop.example.com", private_addresses: true}}
  - name: hook-1
    kind: webhook
    private_addresses: true
    receivers:
      skincare: {{url: "{hook}/hook", key: {{file: {secret}}}}}
"""


@dataclass
class Stack:
    """A bench whose file names both, and their far ends."""

    bench: Bench
    push: FakePush
    hook: FakeWebhook


@asynccontextmanager
async def fakes(folder: Path) -> AsyncIterator[tuple[FakePush, FakeWebhook]]:
    push, hook = FakePush(folder / "push"), FakeWebhook(folder / "hook")
    await push.start()
    await hook.start()
    try:
        yield push, hook
    finally:
        await push.stop()
        await hook.stop()
    assert (push.violations, hook.violations) == ([], [])


@pytest.fixture
async def stack(database_url: str, tmp_path: Path) -> AsyncIterator[Stack]:
    key, secret, file = (tmp_path / name for name in ("vapid.pem", "secret", "providers.yaml"))
    made = ec.generate_private_key(ec.SECP256R1())
    key.write_bytes(made.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    secret.write_text(KEY)
    async with fakes(tmp_path) as (push, hook):
        file.write_text(FILE.format(key=key, hook=hook.url, secret=secret))
        settings: dict[str, Any] = {**OWN, "providers_file": file}
        async with bench(database_url, tmp_path, StandingClock(), **settings) as opened:
            yield Stack(opened, push, hook)


async def settle(stack: Stack, event: MessageRequested) -> str:
    await stack.bench.take(customer(1), event)
    async with running([stack.bench.worker()]):
        await stack.bench.settled(event)
    return await stack.bench.state(event)


def notification(stack: Stack, **changes: Any) -> MessageRequested:  # noqa: ANN401  any field
    recipient = json.dumps(stack.push.subscription("ana"))
    template = "skincare/complete-your-routine"
    return message(1, Channel.PUSH, **({"recipient": recipient, "template": template} | changes))


async def test_a_notification_reaches_the_browser_in_its_language_and_leads_to_the_product(
    stack: Stack,
) -> None:
    event = notification(stack, locale="de-DE")
    assert await settle(stack, event) == "accepted"
    (entry,) = stack.push.received()
    said = json.loads(entry["payload"])
    assert said["title"] == "Dewy & Co: Rose Water Toner"
    assert said["body"].startswith("Passt zu Gentle Oat Cleanser")
    links = Links("https://go.example.com", "ours")
    followed = links.followed(said["url"].removeprefix("https://go.example.com/r/"))
    assert followed is not None
    assert followed.target == CONTEXT["products"][0]["url"]
    assert (followed.sent.channel, followed.sent.message_id) == ("push", event.data.message_id)
    assert 86_000 < int(entry["ttl"]) <= 86_400


async def test_a_browser_that_is_gone_is_a_rejection(stack: Stack) -> None:
    stack.push.gone.add("ana")
    event = notification(stack)
    assert await settle(stack, event) == "rejected"
    assert await stack.bench.reason(event) == "push_410"


async def test_a_shops_own_server_is_told_what_to_say_and_to_whom_but_no_address(stack: Stack) -> None:
    event = message(1, Channel.WEBHOOK, recipient="c1", template="skincare/whatsapp-offer")
    assert await settle(stack, event) == "accepted"
    (entry,) = stack.hook.received()
    told = json.loads(entry["body"])
    assert entry["k"] == str(event.data.message_id) == told["data"]["message_id"]
    data = told["data"]
    assert (data["shop"], data["customer_id"], data["template"]) == (
        "skincare",
        "c1",
        "skincare/whatsapp-offer",
    )
    assert data["products"][0]["name"] == "Rose Water Toner"
    assert data["products"][0]["url"].startswith("https://go.example.com/r/")
    assert data["incentive"]["code"] == "ROUTINE10"
    assert data["unsubscribe_url"].startswith("https://go.example.com/u/")
    assert "first_name" not in data
    assert "Ana" not in entry["body"]


@pytest.mark.parametrize("channel", [Channel.PUSH, Channel.WEBHOOK])
async def test_consent_withdrawn_before_hand_over_wins_here_too(stack: Stack, channel: Channel) -> None:
    event = notification(stack) if channel is Channel.PUSH else message(1, channel, recipient="c1")
    await stack.bench.take(customer(1, granted=False), event)
    async with running([stack.bench.worker()]):
        assert await stack.bench.settled(event) == {"withheld": 1}
    assert (stack.push.requests, stack.hook.requests) == (0, 0)
