"""The short link of a text, from the text that left through a click to what is told, on real PostgreSQL."""

import re
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from services.dispatcher.domain.tracking import ShortLink
from services.dispatcher.links import ShortLinks, keep
from shared.events import Channel
from tests.support.dispatching import Bench, StandingClock, bench, running
from tests.support.messages import customer, message

TARGET = "https://dewy.example.com/p/rose-water-toner"
Client = TestClient[web.Request, web.Application]


@pytest.fixture
def clock() -> StandingClock:
    return StandingClock()


@pytest.fixture
async def stack(database_url: str, tmp_path: Path, clock: StandingClock) -> AsyncIterator[Bench]:
    async with bench(database_url, tmp_path, clock) as made:
        yield made


@pytest.fixture
async def client(stack: Bench) -> AsyncIterator[Client]:
    app = web.Application()
    app.add_routes(ShortLinks(stack.pool, stack.clock, lambda: None).routes())
    async with TestClient(TestServer(app)) as made:
        yield made


async def sent(stack: Bench) -> tuple[str, str]:
    """Send a text; return its message id and the path of its link."""
    event = message(1, Channel.SMS)
    await stack.take(customer(1), event)
    async with running([stack.worker()]):
        assert await stack.settled(event) == {"accepted": 1}
    (text,) = stack.twilio.received()
    found = re.search(r"https://go\.example\.com(/s/[0-9A-Za-z]{11}) ", text["body"])
    assert found, text["body"]
    return str(event.data.message_id), found[1]


async def test_a_text_carries_a_short_link_that_leads_to_the_product_and_tells_once(
    stack: Bench, client: Client
) -> None:
    message_id, path = await sent(stack)
    for _ in range(2):
        answer = await client.get(path, allow_redirects=False)
        assert (answer.status, answer.headers["Location"]) == (302, TARGET)
    clicks = [one for one in await stack.told() if one.kind == "clicked"]
    assert [(one.message_id, one.channel) for one in clicks] == [(message_id, "sms")]


async def test_a_scanner_that_says_so_is_led_on_and_is_no_click(stack: Bench, client: Client) -> None:
    _, path = await sent(stack)
    assert (await client.head(path, allow_redirects=False)).status == 302
    ahead = await client.get(path, allow_redirects=False, headers={"Sec-Purpose": "prefetch;prerender"})
    assert ahead.status == 302
    assert "clicked" not in {one.kind for one in await stack.told()}


async def test_a_code_that_nobody_made_leads_nowhere(client: Client) -> None:
    for code in ("AAAAAAAAAAA", "A", "%00AAAAAAAAAA", "ä" * 11):
        answer = await client.get(f"/s/{code}", allow_redirects=False)
        assert (answer.status, "Location" in answer.headers) == (404, False)


async def test_an_ended_link_says_so_and_is_forgotten(
    stack: Bench, client: Client, clock: StandingClock
) -> None:
    _, path = await sent(stack)
    links = ShortLinks(stack.pool, clock, lambda: None)
    assert await links.sweep(clock.now) == 0
    clock.now += timedelta(days=31, seconds=1)
    answer = await client.get(path, allow_redirects=False, headers={"Accept-Language": "de-AT,en;q=0.5"})
    assert answer.status == 410
    assert "abgelaufen" in await answer.text()
    assert await links.sweep(clock.now) == 1
    assert (await client.get(path, allow_redirects=False)).status == 404


async def test_a_link_that_leads_where_none_may_is_not_followed(stack: Bench, client: Client) -> None:
    event = message(1, Channel.SMS)
    ends = stack.clock.business() + timedelta(days=1)
    bad = ShortLink(
        "B" * 11, "", "http://evil.example.net/", event.data.message_id, "skincare", "c1", "sms", ends
    )
    async with stack.pool.acquire() as connection, connection.transaction():
        await keep(connection, [bad])
    assert (await client.get("/s/BBBBBBBBBBB", allow_redirects=False)).status == 404


async def test_an_erased_persons_links_are_gone(stack: Bench, client: Client) -> None:
    _, path = await sent(stack)
    await stack.erase(1)
    assert (await client.get(path, allow_redirects=False)).status == 404
