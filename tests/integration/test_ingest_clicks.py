"""The links in messages do what they say once a person, and not a mail scanner, follows them."""

import secrets
from collections.abc import AsyncIterator
from datetime import timedelta
from uuid import UUID, uuid4

import pytest

from shared.embedded import Infrastructure
from shared.links import Clicked, Links, Sent
from tests.support.ingest import Ingest, ingest_running, own_database, prepare, settings_for

SHOP = f"t{secrets.token_hex(4)}"


@pytest.fixture(scope="module")
async def ingest(infrastructure: Infrastructure) -> AsyncIterator[Ingest]:
    async with own_database(infrastructure, SHOP) as database_url:
        settings = settings_for(infrastructure, database_url)
        await prepare(settings)
        async with ingest_running(SHOP, settings) as running:
            yield running


TARGET = "https://shop.example.com/p/toner?size=100"


def links_of(ingest: Ingest) -> Links:
    return Links("", ingest.settings.link_secret.get_secret_value())


def path_of(ingest: Ingest, action: str, language: str = "") -> str:
    return links_of(ingest).url(Clicked(action, SHOP, "c-1", "email", "m-1", language))


def redirect_of(ingest: Ingest, message_id: UUID, days: float = 1, *, image: bool = False) -> str:
    ends = ingest.settings.clock().business() + timedelta(days=days)
    made = links_of(ingest).redirect(TARGET, Sent(message_id, SHOP, "c-1", "email"), ends, image=image)
    assert made is not None
    return made


async def test_a_scanner_that_fetches_the_links_changes_nothing(ingest: Ingest) -> None:
    for action in ("unsubscribe", "happy", "unhappy"):
        answer = await ingest.client.get(path_of(ingest, action))
        assert answer.status == 200
        assert '<form method="post">' in await answer.text()
    assert ingest.on("engagement") == []


async def test_a_mail_programs_own_button_unsubscribes_without_cookie_or_page(ingest: Ingest) -> None:
    answer = await ingest.client.post(path_of(ingest, "unsubscribe"), data={"List-Unsubscribe": "One-Click"})
    assert answer.status == 200
    assert "Set-Cookie" not in answer.headers
    (record,) = await ingest.expect("engagement")
    data = record.event["data"]
    assert (data["kind"], data["channel"], data["message_id"]) == ("unsubscribed", "email", "m-1")
    assert record.event["customerid"] == "c-1"
    ingest.out.clear()


async def test_an_answer_is_recorded_with_what_was_answered(ingest: Ingest) -> None:
    assert (await ingest.client.post(path_of(ingest, "unhappy"))).status == 200
    (record,) = await ingest.expect("engagement")
    assert (record.event["data"]["kind"], record.event["data"]["answer"]) == ("answered", "unhappy")
    ingest.out.clear()


async def test_a_link_that_was_changed_is_refused(ingest: Ingest) -> None:
    place, _, token = path_of(ingest, "unsubscribe").rpartition("/")
    changed = f"{place}/{'A' if token[0] != 'A' else 'B'}{token[1:]}"
    assert (await ingest.client.post(changed)).status == 404
    assert ingest.on("engagement") == []


async def test_a_page_speaks_the_language_of_its_message(ingest: Ingest) -> None:
    english = {"Accept-Language": "en"}
    german = await ingest.client.get(path_of(ingest, "unsubscribe", "de-AT"), headers=english)
    assert "Abbestellen?" in await german.text()
    other = await ingest.client.get(
        path_of(ingest, "unsubscribe"), headers={"Accept-Language": "fr, de;q=0.8"}
    )
    assert "Abbestellen?" in await other.text()
    assert "Unsubscribe?" in await (await ingest.client.get(path_of(ingest, "unsubscribe", "it-IT"))).text()


async def test_a_link_leads_to_the_product_and_tells_of_one_click(ingest: Ingest) -> None:
    message_id = uuid4()
    for _ in range(2):
        answer = await ingest.client.get(redirect_of(ingest, message_id), allow_redirects=False)
        assert (answer.status, answer.headers["Location"]) == (302, TARGET)
    (record,) = await ingest.expect("engagement")
    data = record.event["data"]
    assert (data["kind"], data["channel"], data["message_id"]) == ("clicked", "email", str(message_id))
    ingest.out.clear()


async def test_a_picture_tells_that_a_message_was_opened(ingest: Ingest) -> None:
    message_id = uuid4()
    answer = await ingest.client.get(redirect_of(ingest, message_id, image=True), allow_redirects=False)
    assert answer.status == 302
    (record,) = await ingest.expect("engagement")
    assert (record.event["data"]["kind"], record.event["data"]["message_id"]) == ("opened", str(message_id))
    ingest.out.clear()


async def test_who_looks_ahead_is_led_on_and_is_no_click(ingest: Ingest) -> None:
    path = redirect_of(ingest, uuid4())
    assert (await ingest.client.head(path, allow_redirects=False)).status == 302
    for name, value in (
        ("Sec-Purpose", "prefetch;prerender"),
        ("Purpose", "prefetch"),
        ("X-Purpose", "preview"),
    ):
        assert (await ingest.client.get(path, allow_redirects=False, headers={name: value})).status == 302
    assert ingest.on("engagement") == []


async def test_an_ended_or_forged_link_leads_nowhere_and_says_so(ingest: Ingest) -> None:
    ended = await ingest.client.get(redirect_of(ingest, uuid4(), -10_000), allow_redirects=False)
    assert (ended.status, "Location" in ended.headers) == (410, False)
    assert "This link has expired" in await ended.text()
    path = redirect_of(ingest, uuid4())
    forged = await ingest.client.get(path[:-5] + "AAAAA", allow_redirects=False)
    assert (forged.status, "Location" in forged.headers) == (404, False)
    assert ingest.on("engagement") == []
