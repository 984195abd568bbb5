"""The links in messages do what they say once a person, and not a mail scanner, follows them."""

import secrets
from collections.abc import AsyncIterator

import pytest

from shared.embedded import Infrastructure
from shared.links import Clicked, Links
from tests.support.ingest import Ingest, ingest_running, own_database, prepare, settings_for

SHOP = f"t{secrets.token_hex(4)}"


@pytest.fixture(scope="module")
async def ingest(infrastructure: Infrastructure) -> AsyncIterator[Ingest]:
    async with own_database(infrastructure, SHOP) as database_url:
        settings = settings_for(infrastructure, database_url)
        await prepare(settings)
        async with ingest_running(SHOP, settings) as running:
            yield running


def path_of(ingest: Ingest, action: str) -> str:
    links = Links("", ingest.settings.link_secret.get_secret_value())
    return links.url(Clicked(action, SHOP, "c-1", "email", "m-1"))


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
