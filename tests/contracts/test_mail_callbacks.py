"""Providers of e-mail and their call-backs over the wire: each told twice and out of order, by a fake that signs."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import aiohttp
import pytest
from aiohttp import web

from services.dispatcher.callbacks import CallBacks
from services.dispatcher.providers.base import Parcel, Provider, Report, Result, Said
from shared.clock import SystemClock
from shared.events import Channel
from tests.fakes.core import HttpFake
from tests.fakes.fates import Fates
from tests.fakes.http import class_of
from tests.support.mailing import configured, parcel, started

KINDS = ("sendgrid", "resend", "postmark", "mailgun")
NEVER_TOLD = {"postmark": {Said.TAKEN}}
"""Postmark says nothing of what it took beyond its answer."""


@dataclass
class Ear:
    """Stands in for the ledger: what it was told, in order."""

    heard: list[Report] = field(default_factory=list)
    channels: set[tuple[str, Channel]] = field(default_factory=set)

    async def take(self, provider: str, channel: Channel, reports: list[Report]) -> int:
        """Note it."""
        self.channels.add((provider, channel))
        self.heard += reports
        return len(reports)


@dataclass
class Endpoint:
    """Our endpoint, which knows no provider until one is put there."""

    url: str
    providers: dict[str, Provider]
    ear: Ear


@pytest.fixture
async def endpoint() -> AsyncIterator[Endpoint]:
    ear, providers = Ear(), dict[str, Provider]()
    app = web.Application()
    app.add_routes(CallBacks(providers, cast("Any", ear), SystemClock(), "https://go.example.com").routes())
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield Endpoint(f"http://127.0.0.1:{runner.addresses[0][1]}/callbacks/mail-1", providers, ear)
    await runner.cleanup()


def _provider(fake: HttpFake, folder: Path) -> Provider:
    told = dict(fake.credentials)
    if fake.kind == "postmark":
        told["callback_key"] = f"{told.pop('callback_user')}:{told.pop('callback_password')}"
    secrets: dict[str, Any] = {}
    for name in ("key", "callback_key"):
        (folder / name).write_text(told.pop(name))
        secrets[name] = {"file": folder / name}
    return configured(kind=fake.kind, url=fake.url, **secrets, **told)


async def _hand_over(provider: Provider, several: list[Parcel]) -> None:
    await provider.start()
    try:
        for each in several:
            assert (await provider.send(each)).result is Result.ACCEPTED
    finally:
        await provider.close()


def _fake(kind: str, folder: Path, endpoint: Endpoint, fates: Fates) -> HttpFake:
    made: HttpFake = class_of(kind)(folder, callback_url=endpoint.url, fates=fates, check=False)
    return made


@pytest.mark.parametrize("kind", KINDS)
async def test_what_is_told_twice_and_out_of_order_is_heard_of_the_right_message(
    kind: str, tmp_path: Path, endpoint: Endpoint
) -> None:
    several = [parcel() for _ in range(4)]
    fates = Fates(
        script=["delivered", "bounced", "complained", "read"], duplicate=1.0, disorder=1.0, delay=0.05
    )
    async with started(_fake(kind, tmp_path, endpoint, fates)) as fake:
        endpoint.providers["mail-1"] = _provider(fake, tmp_path)
        # Each to an address of its own: a fake tells nothing of one that bounced before.
        addressed = [
            Parcel(each.message_id, f"reader-{number}@example.com", each.content, 3600)
            for number, each in enumerate(several)
        ]
        await _hand_over(endpoint.providers["mail-1"], addressed)
        await fake.settle()
        assert {entry["status"] for entry in fake.called_back()} == {200}
    heard = endpoint.ear.heard
    by_message = {
        each.message_id: {report.said for report in heard if report.message_id == each.message_id}
        for each in several
    }
    never = NEVER_TOLD.get(kind, set())
    expected = [
        {Said.TAKEN, Said.DELIVERED},
        {Said.TAKEN, Said.UNDELIVERED},
        {Said.TAKEN, Said.DELIVERED, Said.COMPLAINED},
        {Said.TAKEN, Said.DELIVERED, Said.OPENED, Said.CLICKED},
    ]
    assert list(by_message.values()) == [each - never for each in expected]
    ids = [report.report_id for report in heard]
    assert len(ids) == 2 * len(set(ids))
    assert endpoint.ear.channels == {("mail-1", Channel.EMAIL)}


@pytest.mark.parametrize("kind", KINDS)
async def test_one_byte_altered_on_the_way_is_answered_403_and_not_heard(
    kind: str, tmp_path: Path, endpoint: Endpoint
) -> None:
    async with started(_fake(kind, tmp_path, endpoint, Fates(script=["silent"]))) as fake:
        endpoint.providers["mail-1"] = _provider(fake, tmp_path)
        await _hand_over(endpoint.providers["mail-1"], [parcel()])
        (entry,) = fake.received()
        told = fake.sign(entry, fake.report(entry, "delivered", ""))
    async with aiohttp.ClientSession() as session:
        statuses = []
        for body, headers in _altered(kind, told.body, told.headers):
            async with session.post(endpoint.url, data=body, headers=headers) as answer:
                statuses.append(answer.status)
    assert statuses == [200, 403]
    assert [report.said for report in endpoint.ear.heard] == [Said.DELIVERED]


def _altered(kind: str, body: bytes, headers: Any) -> list[tuple[bytes, dict[str, str]]]:  # noqa: ANN401  a fake's
    """The request as it was, then with one byte changed: of what is signed, or of the credentials where nothing is."""
    good = dict(headers)
    if kind == "postmark":
        return [(body, good), (body, {**good, "Authorization": good["Authorization"][:-1] + "x"})]
    return [(body, good), (body.replace(b"example.com", b"exbmple.com", 1), good)]
