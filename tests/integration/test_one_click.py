"""RFC 8058 from end to end: the header of a message as it left, pressed as mail programs press it."""

import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from email import message_from_bytes
from email.policy import default
from pathlib import Path

import pytest
from aiohttp import FormData

from services.dispatcher.compose import Composer
from services.dispatcher.ledger import Claimed
from services.dispatcher.providers.base import EmailContent, Parcel, Provider, Result
from services.dispatcher.providers.config import Surroundings
from services.dispatcher.providers.resend import ResendConfig, ResendProvider
from services.dispatcher.providers.smtp import SmtpConfig, SmtpProvider
from shared.embedded import Infrastructure
from shared.events import MessageRequested
from shared.secrets import Secret
from tests.fakes.resend import FakeResend
from tests.fakes.smtp import FakeSmtp
from tests.support.browser import browser
from tests.support.ingest import Ingest, ingest_running, own_database, prepare, settings_for
from tests.support.messages import message

HERE = Surroundings(None, "offers@shop.example.com")
SHOP = "skincare"
FORM = {"List-Unsubscribe": "One-Click"}
Headers = dict[str, str]
Way = Callable[[Parcel, Path], Awaitable[Headers]]


@pytest.fixture(scope="module")
async def ingest(infrastructure: Infrastructure) -> AsyncIterator[Ingest]:
    async with own_database(infrastructure, "oneclick") as database_url:
        settings = settings_for(infrastructure, database_url)
        await prepare(settings)
        async with ingest_running(SHOP, settings) as running:
            yield running


def composed(ingest: Ingest, locale: str = "en-US") -> tuple[MessageRequested, Parcel]:
    """A message as the dispatcher composes it, with the settings that ingest has."""
    event = message(1, locale=locale)
    made = Composer(ingest.settings, ingest.settings.clock()).parcel(
        Claimed(event.data.message_id, event, 0, 0)
    )
    assert isinstance(made, Parcel)
    return event, replace(made, sender="")


@asynccontextmanager
async def handing(provider: Provider) -> AsyncIterator[Provider]:
    await provider.start()
    try:
        yield provider
    finally:
        await provider.close()


async def over_smtp(parcel: Parcel, folder: Path) -> Headers:
    fake = FakeSmtp(folder)
    await fake.start()
    async with handing(
        SmtpProvider(SmtpConfig(name="m", host="127.0.0.1", port=fake.port), HERE)
    ) as provider:
        assert (await provider.send(parcel)).result is Result.ACCEPTED
    await fake.stop()
    raw = (folder / str(fake.received()[0]["file"])).read_bytes()
    return {name: str(value) for name, value in message_from_bytes(raw, policy=default).items()}


async def over_http(parcel: Parcel, folder: Path) -> Headers:
    fake = FakeResend(folder)
    await fake.start()
    config = ResendConfig.model_validate(
        {"name": "m", "url": fake.url, "key": Secret.given(fake.credentials["key"])}
    )
    async with handing(ResendProvider(config, HERE)) as provider:
        assert (await provider.send(parcel)).result is Result.ACCEPTED
    assert fake.last is not None
    sent: Headers = json.loads(fake.last.body)["headers"]
    await fake.stop()
    return sent


def path_in(headers: Headers) -> str:
    """The address in the header, without the part that a proxy would take off."""
    found = re.fullmatch(r"<(https://[^>]+)>", headers["List-Unsubscribe"])
    assert found is not None
    assert len(found[1]) >= 120
    assert headers["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    return found[1].removeprefix("https://offers.example.com")


def multipart() -> FormData:
    form = FormData(default_to_multipart=True)
    form.add_field("List-Unsubscribe", "One-Click")
    return form


@pytest.mark.parametrize("way", [over_smtp, over_http], ids=["smtp", "http"])
@pytest.mark.parametrize("body", ["urlencoded", "multipart", "empty"])
async def test_the_header_as_it_left_unsubscribes_by_one_post(
    ingest: Ingest,
    tmp_path: Path,
    way: Way,
    body: str,
) -> None:
    event, parcel = composed(ingest)
    path = path_in(await way(parcel, tmp_path))
    data = {"urlencoded": FORM, "multipart": multipart(), "empty": None}[body]
    answer = await ingest.client.post(path, data=data, allow_redirects=False)
    assert answer.status == 200
    assert "Set-Cookie" not in answer.headers
    (record,) = await ingest.expect("engagement")
    said = record.event["data"]
    assert (said["kind"], said["channel"], said["message_id"]) == (
        "unsubscribed",
        "email",
        str(event.data.message_id),
    )
    assert record.event["customerid"] == event.customerid
    ingest.out.clear()


async def test_the_visible_link_is_the_same_and_a_get_of_it_only_asks(ingest: Ingest, tmp_path: Path) -> None:
    _, parcel = composed(ingest)
    path = path_in(await over_smtp(parcel, tmp_path))
    assert isinstance(parcel.content, EmailContent)
    assert path in parcel.content.html
    assert path in parcel.content.text
    answer = await ingest.client.get(path)
    assert (answer.status, '<form method="post">' in await answer.text()) == (200, True)
    assert ingest.on("engagement") == []


async def test_every_address_in_a_mail_is_ours_and_leads_to_the_product(ingest: Ingest) -> None:
    _, parcel = composed(ingest)
    assert isinstance(parcel.content, EmailContent)
    found = {url.split("/")[3] for url in re.findall(r'https?://offers[^"\s<>]+', parcel.content.html)}
    assert found == {"r", "u"}
    assert "dewy.example.com" not in parcel.content.html + parcel.content.text
    (link,) = set(re.findall(r"/r/[\w-]+", parcel.content.text))
    answer = await ingest.client.get(link, allow_redirects=False)
    assert (answer.status, answer.headers["Location"]) == (
        302,
        "https://dewy.example.com/p/rose-water-toner",
    )
    await ingest.expect("engagement")
    ingest.out.clear()


@pytest.mark.parametrize(
    ("locale", "asked", "done"),
    [("en-US", "Unsubscribe", "unsubscribed"), ("de-DE", "Abbestellen", "abgemeldet")],
)
async def test_people_press_the_button_of_a_page_that_fits_their_screen(
    ingest: Ingest, tmp_path: Path, locale: str, asked: str, done: str
) -> None:
    _, parcel = composed(ingest, locale)
    path = path_in(await over_smtp(parcel, tmp_path))
    async with browser() as tab:
        for width in (375, 800):
            await tab.resize(width, 700)
            await tab.open(str(ingest.client.make_url(path)))
            assert await tab.evaluate("document.documentElement.scrollWidth") <= width
            assert await tab.evaluate("document.querySelector('button').textContent") == asked
            assert await tab.evaluate("document.querySelector('button').getBoundingClientRect().height") >= 44
        await tab.click("document.querySelector('button')")
        assert await tab.until(f"document.body?.textContent.includes({done!r})")
        assert tab.console == []
    await ingest.expect("engagement")
    ingest.out.clear()
