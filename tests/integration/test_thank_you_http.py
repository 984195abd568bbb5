"""What browsers, caches and strangers get from the thank-you page's API."""

import json
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from pydantic import SecretStr

from services.scheduler.page.question import proof
from services.scheduler.page.tokens import Tokens
from tests.support.paging import Client, Stand, ask, asked, page_journey, post, reasons, stand
from tests.support.samples import START

ORIGIN = "https://shop.example"
PK, SK = "pk_skincare_1", "sk_skincare_1"
KEYED: dict[str, Any] = {
    "thank_you_keys": f"skincare:{PK}",
    "thank_you_secret_keys": SecretStr(f"skincare:{SK}"),
    "thank_you_origins": ORIGIN,
}
TOKENS = Tokens("change-me-per-deployment")


@pytest.fixture
async def page(database_url: str) -> AsyncIterator[Stand]:
    async with stand(database_url, **KEYED) as ready:
        yield ready


@pytest.fixture
async def client(page: Stand) -> AsyncIterator[Client]:
    async with page.client() as made:
        yield made


async def test_a_page_asks_with_its_key_and_its_servers_proof_as_a_simple_request(client: Client) -> None:
    body = json.dumps(asked()).encode()
    query = {"key": PK, "proof": proof(SK.encode(), body)}
    headers = {"Origin": ORIGIN, "Content-Type": "text/plain"}
    answer = await client.post("/v1/offers/thank-you", data=body, params=query, headers=headers)
    assert answer.status == 200
    assert (await answer.json())["offer"]["title"]
    assert answer.headers["Access-Control-Allow-Origin"] == ORIGIN
    assert answer.headers["Cache-Control"] == "no-store"
    assert "Access-Control-Allow-Credentials" not in answer.headers


async def test_a_page_is_not_told_why_there_is_nothing_and_a_server_is(database_url: str) -> None:
    async with (
        stand(database_url, page_journey(holdout={"share": 1}), **KEYED) as page,
        page.client() as client,
    ):
        body = json.dumps(asked()).encode()
        query = {"key": PK, "proof": proof(SK.encode(), body)}
        assert await ask(client, body, params=query) == {"offer": None, "reason": "no_offer"}
        server = {"X-Orderwake-Key": SK}
        assert await ask(client, body, headers=server) == {"offer": None, "reason": "holdout"}


async def test_a_page_cannot_ask_in_the_name_of_others(client: Client) -> None:
    status, answer = await post(client, "/v1/offers/thank-you", asked(), params={"key": PK})
    assert (status, reasons(answer["errors"])) == (403, ["proof_needed"])


async def test_another_sites_pages_read_nothing(client: Client) -> None:
    other = {"Origin": "https://other.example", "X-Orderwake-Key": SK}
    answer = await client.post("/v1/offers/thank-you", json=asked(), headers=other)
    assert "Access-Control-Allow-Origin" not in answer.headers
    assert answer.headers["Vary"] == "Origin"


@pytest.mark.parametrize("path", ["/v1/offers/thank-you", f"/v1/offers/{UUID(int=1)}/accept"])
async def test_a_browser_that_asks_first_is_told_how(client: Client, path: str) -> None:
    answer = await client.options(path, headers={"Origin": ORIGIN, "Access-Control-Request-Method": "POST"})
    assert answer.status == 204
    assert answer.headers["Access-Control-Allow-Origin"] == ORIGIN
    assert answer.headers["Access-Control-Allow-Methods"] == "POST"
    assert "Content-Type" in answer.headers["Access-Control-Allow-Headers"]


async def test_what_is_too_large_is_not_read(client: Client) -> None:
    status, answer = await post(client, "/v1/offers/thank-you", b" " * 70_000)
    assert (status, reasons(answer["errors"])) == (413, ["too_large"])


async def test_only_who_holds_an_offer_accepts_it(client: Client) -> None:
    offer = (await ask(client, headers={"X-Orderwake-Key": SK}))["offer"]
    path = f"/v1/offers/{offer['id']}/accept"
    for_another = TOKENS.make(uuid4(), START + timedelta(days=9))
    forged = Tokens("another secret").make(UUID(offer["id"]), START + timedelta(days=9))
    for token in ("x", for_another, forged, offer["token"][:-1]):
        status, answer = await post(client, path, {"token": token})
        assert (status, reasons(answer["errors"])) == (403, ["wrong_token"])
    status, answer = await post(client, path, {})
    assert (status, answer["errors"][0]["path"]) == (422, "token")
    assert (await post(client, path, {"token": offer["token"]}))[0] == 200


async def test_there_is_no_accepting_what_was_never_offered(database_url: str) -> None:
    async with stand(database_url, page_journey(holdout={"share": 1})) as page, page.client() as client:
        await ask(client)
        known = await page.state()
        assert known is not None
        (ghost,) = known.verdicts
        for offer in (ghost, uuid4()):
            token = TOKENS.make(offer, START + timedelta(days=1))
            status, answer = await post(client, f"/v1/offers/{offer}/accept", {"token": token})
            assert (status, reasons(answer["errors"])) == (404, ["unknown_offer"])
        assert (await post(client, "/v1/offers/no-id/accept", {"token": "x"}))[0] == 404


async def test_an_offer_that_has_ended_cannot_be_accepted(page: Stand, client: Client) -> None:
    offer = (await ask(client, headers={"X-Orderwake-Key": SK}))["offer"]
    page.clock.now = START + timedelta(hours=48)
    path = f"/v1/offers/{offer['id']}/accept"
    status, answer = await post(client, path, {"token": offer["token"]})
    assert (status, reasons(answer["errors"])) == (410, ["expired"])


async def test_the_script_is_small_and_kept_by_browsers(client: Client) -> None:
    answer = await client.get("/v1/thank-you.js")
    body = await answer.read()
    assert answer.content_type == "text/javascript"
    assert len(body) < 5000
    assert "max-age=3600" in answer.headers["Cache-Control"]
    again = await client.get("/v1/thank-you.js", headers={"If-None-Match": answer.headers["ETag"]})
    assert again.status == 304
    version = answer.headers["ETag"].strip('"')
    pinned = await client.get(f"/v1/thank-you.{version}.js")
    assert await pinned.read() == body
    assert "immutable" in pinned.headers["Cache-Control"]
    assert (await client.get("/v1/thank-you.000000000000.js")).status == 404


async def test_the_script_has_no_way_to_write_html_or_to_run_text(client: Client) -> None:
    script = await (await client.get("/v1/thank-you.js")).text()
    for way in (
        "innerHTML",
        "outerHTML",
        "insertAdjacent",
        "document.write",
        "eval(",
        "Function(",
        ".cookie",
    ):
        assert way not in script
