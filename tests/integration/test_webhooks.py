"""A shop is told of every accepted offer at least once, under one id, signed, and not for ever."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from click.testing import CliRunner
from standardwebhooks import Webhook

from services.cli import cli
from services.scheduler.page import store
from services.scheduler.page.delivery import PAUSES, Delivery
from services.scheduler.page.webhook import addresses_of
from tests.support.paging import OLD_SECRET, SECRET, SHOP, Stand, ask, post, stand
from tests.support.scheduling import MovedClock
from tests.support.waiting import eventually


class Shifted(MovedClock):
    """Machine time that the test moves on."""

    shift = timedelta(0)

    def machine(self) -> datetime:
        return datetime.now(UTC) + self.shift


@dataclass
class Shop:
    """A shop's server: what it was sent, and what it answers (the last status again and again)."""

    statuses: list[int] = field(default_factory=lambda: [204])
    got: list[tuple[dict[str, str], str]] = field(default_factory=list)

    async def take(self, request: web.Request) -> web.Response:
        self.got.append(
            ({name.lower(): value for name, value in request.headers.items()}, await request.text())
        )
        status = self.statuses.pop(0) if len(self.statuses) > 1 else self.statuses[0]
        return web.Response(status=status, headers={"Location": "/elsewhere"} if status == 302 else {})


@dataclass
class World:
    page: Stand
    shop: Shop
    url: str
    clock: Shifted
    client: aiohttp.ClientSession

    def delivery(self, *secrets: str, url: str | None = None) -> Delivery:
        entry = " ".join([SHOP, url or self.url, *(secrets or (SECRET,))])
        return Delivery(self.page.pool, addresses_of(entry), self.clock)

    async def listed(self) -> list[tuple[str, int, str, bool]]:
        async with self.page.pool.acquire() as connection:
            found = await store.undelivered(connection, 10)
        return [(row["state"], row["attempts"], row["outcome"], row["address_gone"]) for row in found]


@pytest.fixture
async def world(database_url: str) -> AsyncIterator[World]:
    shop = Shop()
    app = web.Application()
    app.add_routes([web.post("/hooks", shop.take)])
    async with TestServer(app) as server, aiohttp.ClientSession() as client:
        url = str(server.make_url("/hooks"))
        entry = f"{SHOP} {url} {SECRET}"
        async with stand(database_url, thank_you_webhooks=entry) as page, page.client() as visitor:
            offer = (await ask(visitor))["offer"]
            for _ in range(2):
                status, _ = await post(visitor, f"/v1/offers/{offer['id']}/accept", {"token": offer["token"]})
                assert status == 200
            yield World(page, shop, url, Shifted(), client)


async def test_an_acceptance_is_told_once_and_signed(world: World) -> None:
    assert await world.delivery().run_once(world.client) == 1
    assert await world.delivery().run_once(world.client) == 0
    ((headers, body),) = world.shop.got
    said = Webhook(SECRET).verify(body, headers)
    assert said["type"] == "offer.accepted"
    assert said["data"]["order_id"] == "o-1"
    assert said["data"]["offer"]["products"][0]["product_id"] == "toner"
    assert await world.listed() == []


async def test_both_secrets_sign_while_they_are_changed(world: World) -> None:
    await world.delivery(SECRET, OLD_SECRET).run_once(world.client)
    ((headers, body),) = world.shop.got
    for secret in (SECRET, OLD_SECRET):
        assert Webhook(secret).verify(body, headers)


@pytest.mark.parametrize("status", [500, 404, 302, 429])
async def test_what_is_not_taken_comes_again_later_under_the_same_id_with_a_fresh_time(
    world: World, status: int
) -> None:
    world.shop.statuses = [status, 200]
    delivery = world.delivery()
    assert await delivery.run_once(world.client) == 1
    assert await delivery.run_once(world.client) == 0
    assert await world.listed() == [("waiting", 1, str(status), False)]
    world.clock.shift = PAUSES[0] * 1.2
    assert await delivery.run_once(world.client) == 1
    (first, _), (second, _) = world.shop.got
    assert first["webhook-id"] == second["webhook-id"]
    assert int(second["webhook-timestamp"]) > int(first["webhook-timestamp"])
    assert await world.listed() == []


async def test_after_the_last_attempt_it_is_listed_and_an_operator_begins_anew(world: World) -> None:
    world.shop.statuses = [503]
    delivery = world.delivery()
    for pause in (timedelta(0), *PAUSES):
        world.clock.shift += pause * 1.2
        assert await delivery.run_once(world.client) == 1
    world.clock.shift += timedelta(days=30)
    assert await delivery.run_once(world.client) == 0
    assert await world.listed() == [("failed", len(PAUSES) + 1, "503", False)]
    world.shop.statuses = [200]
    async with world.page.pool.acquire() as connection:
        assert await store.redeliver(connection, None, world.clock.machine()) == 1
    assert await delivery.run_once(world.client) == 1
    assert await world.listed() == []


async def test_an_address_that_is_gone_is_left_alone_until_there_is_another(world: World) -> None:
    world.shop.statuses = [410, 200]
    delivery = world.delivery()
    assert await delivery.run_once(world.client) == 1
    world.clock.shift = timedelta(days=1)
    assert await delivery.run_once(world.client) == 0
    assert await world.listed() == [("waiting", 1, "410", True)]
    assert await world.delivery(url=f"{world.url}?again").run_once(world.client) == 1
    assert await world.listed() == []


async def test_an_operator_may_enable_an_address_that_was_gone(world: World) -> None:
    world.shop.statuses = [410, 200]
    delivery = world.delivery()
    await delivery.run_once(world.client)
    async with world.page.pool.acquire() as connection:
        await store.enable(connection, SHOP)
    assert await delivery.run_once(world.client) == 1


async def test_a_shop_that_cannot_be_reached_is_tried_again(world: World) -> None:
    delivery = world.delivery(url="http://127.0.0.1:9/hooks")
    assert await delivery.run_once(world.client) == 1
    ((state, attempts, outcome, _),) = await world.listed()
    assert (state, attempts) == ("waiting", 1)
    assert outcome


async def test_an_attempt_that_a_crash_cut_short_is_made_again(world: World) -> None:
    now = world.clock.machine()
    async with world.page.pool.acquire() as connection:
        taken = await store.take_webhooks(connection, now, now + timedelta(minutes=1), {SHOP: world.url}, 5)
    assert len(taken) == 1
    assert await world.delivery().run_once(world.client) == 0
    world.clock.shift = timedelta(minutes=2)
    assert await world.delivery().run_once(world.client) == 1


async def test_two_processes_deliver_once(world: World) -> None:
    counts = await asyncio.gather(*(world.delivery().run_once(world.client) for _ in range(4)))
    assert sorted(counts) == [0, 0, 0, 1]
    assert len(world.shop.got) == 1


async def test_the_loop_delivers_and_stops_when_told(world: World) -> None:
    stopping = asyncio.Event()
    loop = asyncio.ensure_future(world.delivery().run(stopping))
    await eventually(lambda: world.shop.got)
    stopping.set()
    await loop


async def test_a_shop_without_an_address_is_told_nothing(database_url: str) -> None:
    async with stand(database_url) as page, page.client() as client:
        offer = (await ask(client))["offer"]
        await post(client, f"/v1/offers/{offer['id']}/accept", {"token": offer["token"]})
        async with page.pool.acquire() as connection:
            assert await store.count_webhooks(connection) == {}


async def test_an_operator_sees_what_was_given_up_and_begins_anew(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", world.page.settings.database_url.get_secret_value())
    world.shop.statuses = [500, 500]
    delivery = world.delivery()
    for pause in (timedelta(0), *PAUSES):
        world.clock.shift += pause * 1.2
        await delivery.run_once(world.client)

    async def said(*arguments: str) -> tuple[int, str]:
        result = await asyncio.to_thread(CliRunner().invoke, cli, ["webhooks", *arguments])
        return result.exit_code, result.output

    code, listed = await said("list")
    assert code == 0
    assert f"failed, {len(PAUSES) + 1} attempts, last 500" in listed
    (row,) = [json.loads(line) for line in (await said("list", "--json"))[1].splitlines()]
    assert await said("redeliver", row["webhook_id"]) == (0, "1 to be delivered again\n")
    assert (await said("redeliver", "msg_unknown"))[0] == 1
    assert (await said("redeliver"))[0] == 2
    assert await said("enable", SHOP) == (0, "skincare is told again\n")
    world.shop.statuses = [200]
    await delivery.run_once(world.client)
    assert await said("list") == (0, "every shop was told of everything\n")
