"""The recommendation API on a real broker: when it is ready, what it answers, and to whom."""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientResponse, web
from aiohttp.test_utils import TestClient, TestServer
from pydantic import SecretStr

from services.recommender.serving.app import build
from shared.clock import SystemClock
from shared.embedded import EmbeddedKafka
from shared.errors import RelationsError
from shared.events import Has
from shared.service import Running
from shared.settings import Settings
from shared.topics import CATALOG, COMPLEMENTS, CUSTOMER_PRODUCTS, PAIR_COUNTS
from tests.support import eventually
from tests.support.broker import fresh_topics
from tests.support.serving import (
    NOW,
    SHOP,
    candidate,
    complements_event,
    counted,
    has,
    known,
    listed,
    product,
    publish,
    take_away,
)

ROOT = Path(__file__).parents[2]
URL = "/v1/recommendations"
ABOUT = {"shop": SHOP, "product": "kettlebell"}
PAGE = "https://shop.example"
SECRET = {"X-Orderwake-Key": "sk_fitness_1"}
Client = TestClient[web.Request, web.Application]


@pytest.fixture
async def settings(kafka: EmbeddedKafka) -> Settings:
    """Give settings for topics on which a small shop's news are."""
    made = Settings(kafka_bootstrap_servers=kafka.bootstrap, topic_partitions=2)
    await fresh_topics(made)
    await publish(
        made,
        CATALOG.name,
        *(
            listed(product(name, category, price))
            for name, category, price in (
                ("kettlebell", "weights", "40"),
                ("mat", "floor", "19.90"),
                ("chalk", "grip", "5"),
            )
        ),
    )
    await publish(
        made,
        COMPLEMENTS.name,
        complements_event("kettlebell", candidate("mat", 240, 0.48), candidate("chalk", 40, 0.1)),
    )
    await publish(
        made,
        PAIR_COUNTS.name,
        counted("kettlebell", 500, mat=240, chalk=40),
        counted("mat", 300, kettlebell=240),
        counted("chalk", 60, kettlebell=40),
    )
    await publish(made, CUSTOMER_PRODUCTS.name, known("c-1", has("kettlebell", "mat")))
    return made


def guarded(settings: Settings, **more: object) -> Settings:
    """Give the settings with a key of each class."""
    keys = {
        "recommendation_keys": f"{SHOP}:pk_fitness_1",
        "recommendation_secret_keys": SecretStr(f"{SHOP}:sk_fitness_1"),
    }
    return settings.model_copy(update=keys | more)


@asynccontextmanager
async def built(settings: Settings) -> AsyncIterator[tuple[Running, Client]]:
    """Put it together, with a client, and nothing running yet."""
    async with build(settings, SystemClock()) as running:
        app = web.Application()
        app.add_routes(running.routes)
        async with TestClient(TestServer(app)) as client:
            yield running, client


@asynccontextmanager
async def started(running: Running) -> AsyncIterator[None]:
    stopping = asyncio.Event()
    tasks = [asyncio.ensure_future(loop(stopping)) for loop in running.loops]
    try:
        await eventually(lambda: all(running.ready().values()), 40, "the API to be ready")
        yield
    finally:
        stopping.set()
        await asyncio.gather(*tasks)


@asynccontextmanager
async def serving(settings: Settings) -> AsyncIterator[Client]:
    async with built(settings) as (running, client), started(running):
        yield client


async def ask(client: Client, **parameters: str) -> dict[str, Any]:
    answer = await client.get(URL, params=ABOUT | parameters)
    assert answer.status == 200, await answer.text()
    told: dict[str, Any] = await answer.json()
    return told


async def names(client: Client, **parameters: str) -> list[str]:
    return [one["product"] for one in (await ask(client, **parameters))["products"]]


async def becomes(client: Client, wanted: Callable[[list[str]], bool], **parameters: str) -> None:
    async def so() -> bool:
        return wanted(await names(client, **parameters))

    await eventually(so, 20, "the news to be served")


async def test_it_answers_only_once_it_knows_all_that_there_was(settings: Settings) -> None:
    async with built(settings) as (running, client):
        assert running.ready() == {"caught_up": False}
        early = await client.get(URL, params=ABOUT)
        assert (early.status, early.headers["Retry-After"]) == (503, "1")
        assert [fault["reason"] for fault in (await early.json())["errors"]] == ["not_caught_up"]
        async with started(running):
            assert await names(client) == ["mat", "chalk"]
            told = await (await client.get("/v1/status")).json()
            assert told == {
                "shops": 1,
                "products": 3,
                "complements": 1,
                "customers": 1,
                "relations_version": None,
            }


async def test_an_answer_says_what_it_rests_on(settings: Settings) -> None:
    async with serving(settings) as client:
        mat, chalk = (await ask(client, k="2"))["products"]
        assert mat == {
            "product": "mat",
            "name": "Mat",
            "price": "19.90",
            "currency": "USD",
            "score": 0.48,
            "support": 240,
            "relation": "pair",
            "reliable": True,
            "because": "kettlebell",
        }
        assert (chalk["support"], chalk["reliable"]) == (40, False)
        explained = await ask(client, max_price="10", explain="true")
        assert explained["left_out"] == {"mat": "too_dear", "kettlebell": "in_basket"}
        assert explained["products"][0]["evidence"] == [
            {"with": "kettlebell", "score": 0.1, "support": 40, "relation": "pair", "reliable": False}
        ]


async def test_news_of_any_topic_is_served(settings: Settings) -> None:
    async with serving(settings) as client:
        update = complements_event("kettlebell", candidate("chalk", 300, 0.6), version=2)
        await publish(settings, COMPLEMENTS.name, update)
        await becomes(client, lambda found: found == ["chalk", "mat"])
        await publish(settings, CATALOG.name, listed(product("chalk", in_stock=False)))
        await becomes(client, lambda found: found == ["mat"])


async def test_what_is_taken_away_is_not_served_anymore(settings: Settings) -> None:
    async with serving(settings) as client:
        await take_away(settings, CATALOG.name, "mat")
        await becomes(client, lambda found: found == ["chalk"])
        await take_away(settings, COMPLEMENTS.name, "kettlebell")

        async def by_popularity() -> bool:
            (first, *_) = (await ask(client))["products"]
            return first["relation"] == "popular" and first["because"] is None

        await eventually(by_popularity, 20, "complements to be forgotten")
        for topic, *gone in (
            (CATALOG.name, "kettlebell", "chalk"),
            (PAIR_COUNTS.name, "kettlebell", "mat", "chalk"),
            (CUSTOMER_PRODUCTS.name, "c-1"),
        ):
            await take_away(settings, topic, *gone)

        async def unknown() -> bool:
            return (await client.get(URL, params=ABOUT)).status == 404

        await eventually(unknown, 20, "a shop without anything to be unknown")


async def test_a_product_that_nobody_knows_gets_what_is_popular(settings: Settings) -> None:
    async with serving(settings) as client:
        assert await names(client, product="unheard-of") == ["kettlebell", "mat", "chalk"]
        other = await client.get(URL, params=ABOUT | {"shop": "nobodys"})
        assert other.status == 404
        assert (await other.json())["errors"] == [
            {
                "index": 0,
                "reason": "unknown_shop",
                "path": "shop",
                "detail": "nothing is known of this shop yet",
            }
        ]


async def test_what_has_not_changed_is_not_sent_again(settings: Settings) -> None:
    async with serving(settings) as client:
        first = await client.get(URL, params=ABOUT)
        known = {"If-None-Match": f'"other", {first.headers["ETag"]}'}
        again = await client.get(URL, params=ABOUT, headers=known)
        assert (again.status, await again.read()) == (304, b"")
        for name in ("ETag", "Cache-Control", "Vary"):
            assert again.headers[name] == first.headers[name]
        assert first.headers["Cache-Control"] == "public, max-age=30"
        other = await client.get(URL, params=ABOUT | {"k": "1"}, headers=known)
        assert other.status == 200
        broken = await client.get(URL, params=ABOUT, headers={"If-None-Match": "no tag"})
        assert broken.status == 200


async def test_a_key_opens_its_shop_and_no_other(settings: Settings) -> None:
    keys = f"{SHOP}:pk_fitness_1,skincare:pk_skincare_1"
    async with serving(settings.model_copy(update={"recommendation_keys": keys})) as client:
        assert await names(client, key="pk_fitness_1") == ["mat", "chalk"]
        by_header = await client.get(URL, params=ABOUT, headers={"X-Orderwake-Key": "pk_fitness_1"})
        assert by_header.status == 200
        for given in ({}, {"X-Orderwake-Key": "pk_skincare_1"}):
            refused = await client.get(URL, params=ABOUT, headers=given)
            assert refused.status == 403
            assert refused.headers["Cache-Control"] == "no-store"
            assert [fault["path"] for fault in (await refused.json())["errors"]] == ["key"]


async def owned(client: Client, **parameters: str) -> ClientResponse:
    """Ask for a customer, with a secret key."""
    asked = {"shop": SHOP, "customer": "c-1", "explain": "true", **parameters}
    return await client.get(URL, params=asked, headers=SECRET)


async def test_what_a_customer_has_is_told_to_the_shops_own_servers_alone(settings: Settings) -> None:
    asked = {"shop": SHOP, "customer": "c-1"}
    async with serving(guarded(settings, recommendation_origins="*")) as client:
        for given in ({"key": "pk_fitness_1"}, {"key": "sk_fitness_1"}, {}):
            refused = await client.get(URL, params=asked | given)
            assert (refused.status, refused.headers["Cache-Control"]) == (403, "no-store")
            assert "c-1" not in await refused.text()
        by_page = await client.get(URL, params=asked, headers={"X-Orderwake-Key": "pk_fitness_1"})
        (fault,) = (await by_page.json())["errors"]
        assert (by_page.status, fault["reason"], fault["path"]) == (403, "secret_key_needed", "customer")
        assert "ORDERWAKE_RECOMMENDATION_SECRET_KEYS" in fault["detail"]
        by_server = await client.get(URL, params=asked, headers=SECRET | {"Origin": PAGE})
        assert by_server.status == 200
        assert by_server.headers["Cache-Control"] == "private, no-store"
        assert "ETag" not in by_server.headers
        assert "Access-Control-Allow-Origin" not in by_server.headers


async def test_a_customer_is_not_shown_what_they_have(settings: Settings) -> None:
    async with serving(guarded(settings)) as client:
        told = await (await owned(client)).json()
        assert [one["product"] for one in told["products"]] == ["chalk"]
        assert told["left_out"] == {"mat": "owned", "kettlebell": "owned"}
        beside = await (await owned(client, product="kettlebell")).json()
        assert [one["product"] for one in beside["products"]] == ["chalk"]
        assert beside["left_out"] == {"mat": "owned", "kettlebell": "in_basket"}
        stranger = await (await owned(client, customer="c-2")).json()
        assert [one["product"] for one in stranger["products"]] == ["kettlebell", "mat", "chalk"]


async def test_a_customer_who_is_erased_is_forgotten_at_once(settings: Settings) -> None:
    async with serving(guarded(settings)) as client:
        await take_away(settings, CUSTOMER_PRODUCTS.name, "c-1")

        async def forgotten() -> bool:
            told = await (await owned(client)).json()
            return "owned" not in told["left_out"].values()

        await eventually(forgotten, 20, "a customer to be forgotten")


async def test_it_waits_for_what_customers_have_before_it_answers(settings: Settings) -> None:
    many = [known(f"c-{number}", has("mat")) for number in range(2, 400)]
    await publish(settings, CUSTOMER_PRODUCTS.name, *many)
    async with serving(guarded(settings)) as client:
        told = await (await client.get("/v1/status")).json()
        assert told["customers"] == 399


async def test_a_customers_reorder_point_is_told(settings: Settings) -> None:
    due = {"last_at": NOW, "times": 2, "reorder_at": "2026-03-20T00:00:00Z"}
    news = known("c-1", has().model_copy(update={"products": {"chalk": Has.model_validate(due)}}))
    await publish(settings, CUSTOMER_PRODUCTS.name, news)
    async with serving(guarded(settings)) as client:
        (chalk,) = (await (await owned(client, strategy="replenish")).json())["products"]
        assert (chalk["product"], chalk["relation"]) == ("chalk", "replenishment")
        assert chalk["reorder_at"] == "2026-03-20T00:00:00+00:00"


async def test_a_bundles_price_is_told(settings: Settings) -> None:
    async with serving(settings) as client:
        told = await ask(client, strategy="bundle", k="1")
        assert told["bundle"] == {"products": ["kettlebell", "mat"], "price": "59.90", "currency": "USD"}


async def test_pages_are_not_told_of_margins(settings: Settings) -> None:
    await publish(settings, CATALOG.name, listed(product("mat", price="20", margin="0.10")))
    async with serving(guarded(settings)) as client:
        by_page = await ask(client, key="pk_fitness_1", explain="true")
        assert by_page["left_out"]["mat"] == "held_back"
        by_server = await client.get(URL, params=ABOUT | {"explain": "true"}, headers=SECRET)
        assert (await by_server.json())["left_out"]["mat"] == "low_margin"
        probed = await client.get(URL, params=ABOUT | {"min_margin": "0.2", "key": "pk_fitness_1"})
        assert [fault["path"] for fault in (await probed.json())["errors"]] == ["min_margin"]


async def test_a_ban_acts_without_a_new_start(settings: Settings, tmp_path: Path) -> None:
    path = tmp_path / "relations.yaml"
    path.write_text("version: 1\n")
    async with serving(settings.model_copy(update={"relations_file": path})) as client:
        assert await names(client) == ["mat", "chalk"]
        path.write_text(f"version: 2\nshops: {{{SHOP}: {{bans: [{{product: mat, beside: kettlebell}}]}}}}\n")
        await becomes(client, lambda found: found == ["chalk"])
        assert (await ask(client, explain="true"))["left_out"]["mat"] == "banned"
        assert (await (await client.get("/v1/status")).json())["relations_version"] == 2


async def test_a_file_of_relations_that_cannot_be_used_stops_the_start(
    settings: Settings, tmp_path: Path
) -> None:
    path = tmp_path / "relations.yaml"
    path.write_text("version: none\n")
    with pytest.raises(RelationsError, match=r"relations\.yaml:1: version"):
        async with built(settings.model_copy(update={"relations_file": path})):
            pass


async def test_only_pages_of_the_named_origins_may_ask(settings: Settings) -> None:
    named = settings.model_copy(update={"recommendation_origins": f"{PAGE}, https://other.example"})
    asking = {"Origin": PAGE, "Access-Control-Request-Method": "GET"}
    async with serving(named) as client:
        before = await client.options(URL, headers=asking)
        assert before.status == 204
        assert before.headers["Access-Control-Allow-Origin"] == PAGE
        assert "X-Orderwake-Key" in before.headers["Access-Control-Allow-Headers"]
        answers = [
            await client.get(URL, params=ABOUT | more, headers={"Origin": PAGE}) for more in ({}, {"k": "x"})
        ]
        assert [answer.status for answer in answers] == [200, 400]
        for answer in answers:
            assert answer.headers["Access-Control-Allow-Origin"] == PAGE
            assert "Origin" in answer.headers["Vary"]
        strange = await client.options(URL, headers=asking | {"Origin": "https://elsewhere.example"})
        assert "Access-Control-Allow-Origin" not in strange.headers


@pytest.mark.parametrize(
    "query", ["shop=%FF&product=%FF", "shop=fitness&product=%ED%A0%80", "shop=fitness&%00=1"]
)
async def test_bytes_that_are_no_text_are_answered(settings: Settings, query: str) -> None:
    async with serving(settings) as client:
        answer = await client.get(f"{URL}?{query}")
        assert answer.status in (200, 400, 404)
        assert (await client.get(URL, params=ABOUT)).status == 200


async def run_command(settings: Settings, *arguments: str) -> tuple[int | None, str]:
    """Run `orderwake affinity …` as people do: exit code and all that it said."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "services.cli", "affinity", *arguments, "--shop", SHOP),
        cwd=ROOT,
        env={**os.environ, "KAFKA_BOOTSTRAP_SERVERS": settings.kafka_bootstrap_servers},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await process.communicate()
    return process.returncode, said.decode()


async def test_people_see_what_goes_with_a_product(settings: Settings) -> None:
    code, shown = await run_command(settings, "show", "kettlebell")
    assert code == 0, shown
    assert shown.startswith("kettlebell (Kettlebell), in 500 baskets")
    assert "under 100 baskets" in shown
    _, told = await run_command(settings, "show", "kettlebell", "--json")
    assert [(one["product"], one["support"], one["orders"]) for one in json.loads(told)["neighbours"]] == [
        ("mat", 240, 300),
        ("chalk", 40, 60),
    ]
    code, told = await run_command(settings, "show", "kettle-bell")
    assert (code, told) == (1, f"Error: no product 'kettle-bell' in {SHOP}; near it: kettlebell\n")


async def test_people_see_the_shop_as_a_table_and_a_picture(settings: Settings, tmp_path: Path) -> None:
    table, picture = tmp_path / "shop.csv", tmp_path / "shop.svg"
    files = ("--csv", str(table), "--svg", str(picture))
    code, told = await run_command(settings, "matrix", "--measure", "count", *files)
    assert code == 0, told
    assert table.read_text().splitlines() == [
        "product,kettlebell,mat,chalk",
        "kettlebell,500,240,40",
        "mat,240,300,0",
        "chalk,40,0,60",
    ]
    assert picture.read_text().startswith("<svg ")


async def test_a_broker_that_is_not_there_is_said_so(settings: Settings) -> None:
    nowhere = settings.model_copy(update={"kafka_bootstrap_servers": "127.0.0.1:1"})
    code, told = await run_command(nowhere, "show", "kettlebell", "--wait", "0.5")
    assert code == 1
    assert "from Kafka at 127.0.0.1:1; is it there (KAFKA_BOOTSTRAP_SERVERS)?" in told
