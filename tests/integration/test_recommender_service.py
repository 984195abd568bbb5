"""The recommender on a real broker: from orders to complements, and across restarts."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from services.recommender.app import build
from services.recommender.commands_recount import compare
from services.recommender.recount import recount
from shared.clock import SystemClock
from shared.embedded import EmbeddedKafka
from shared.events import Complements, ComplementsUpdated, Product, ProductRecorded, decode
from shared.ids import partition_key
from shared.kafka.producer import make_producer
from shared.service import Running
from shared.settings import Settings
from shared.topics import BASKET_DELTAS, CATALOG, COMPLEMENTS, CUSTOMER_PRODUCTS, PAIR_COUNTS
from tests.support import eventually
from tests.support.affinity import FIRST_DAY, SHOP, Fact, bought, known_as, sent_back
from tests.support.broker import fresh_topics
from tests.support.recommending import erase, latest, over_all_buckets, table_counts, write, written


def shop_history() -> list[Fact]:
    """Everyone buys bananas; of those who buy a kettlebell, two in three take a mat."""
    baskets = [{"banana": 1}] * 60 + [{"banana": 1, "kettlebell": 1, "mat": 1}] * 20
    baskets += [{"kettlebell": 1, "mat": 1}] * 20 + [{"kettlebell": 1, "banana": 1}] * 20
    return [bought(f"c{number}", f"o{number}", basket, day=number) for number, basket in enumerate(baskets)]


def sequences() -> list[Fact]:
    """All buy a kettlebell, some with chalk; two in three a mat a month later, one in three a heavier one after two."""
    facts: list[Fact] = []
    for number in range(60):
        first = {"kettlebell": 1, "chalk": 1} if number % 2 else {"kettlebell": 1}
        facts.append(bought(f"c{number}", f"a{number}", first, day=number % 28))
        if number % 3:
            facts.append(bought(f"c{number}", f"b{number}", {"mat": 1}, day=number % 28 + 30))
        else:
            facts.append(bought(f"c{number}", f"b{number}", {"heavier": 1}, day=number % 28 + 60))
    return facts


@pytest.fixture
async def settings(kafka: EmbeddedKafka, tmp_path: Path) -> Settings:
    """Give settings for empty topics and a folder of the test's own."""
    made = Settings(
        kafka_bootstrap_servers=kafka.bootstrap,
        data_dir=tmp_path,
        topic_partitions=2,
        recommender_publish_seconds=0.05,
    )
    await fresh_topics(made)
    return made


@asynccontextmanager
async def recommender(settings: Settings) -> AsyncIterator[Running]:
    """Run the service in this loop; it drains at the end."""
    stopping = asyncio.Event()
    async with build(settings, SystemClock()) as running:
        tasks = [asyncio.ensure_future(loop(stopping)) for loop in running.loops]
        try:
            yield running
        finally:
            stopping.set()
            await asyncio.gather(*tasks)


async def ready(running: Running) -> None:
    await eventually(lambda: all(running.ready().values()), 40, lambda: f"{running.ready()}")


async def put_on_sale(settings: Settings, product: str, category: str, price: str | None = None) -> None:
    event = ProductRecorded(
        id=product,
        source="/tests",
        time=FIRST_DAY,
        shopid=SHOP,
        data=Product(
            product_id=product,
            updated_at=FIRST_DAY,
            name=product,
            category=category,
            price=Decimal(price) if price else None,
            currency="USD" if price else None,
        ),
    )
    producer = make_producer(settings.kafka_bootstrap_servers)
    await producer.start()
    await producer.send_and_wait(CATALOG.name, event.encode(), key=partition_key(SHOP, product))
    await producer.stop()


async def complements_of(settings: Settings, product: str) -> Complements | None:
    value = (await latest(settings, COMPLEMENTS.name)).get(partition_key(SHOP, product))
    event = decode(value, COMPLEMENTS.types) if value else None
    return event.data if isinstance(event, ComplementsUpdated) else None


async def best(settings: Settings, product: str) -> tuple[str, int] | None:
    found = await complements_of(settings, product)
    first = found.candidates[0] if found and found.candidates else None
    return (first.product_id, first.support) if first else None


async def status(running: Running) -> dict[str, Any]:
    app = web.Application()
    app.add_routes(running.routes)
    async with TestClient(TestServer(app)) as client:
        answer: dict[str, Any] = await (await client.get("/v1/status")).json()
        return answer


async def test_orders_become_complements_and_returns_take_them_back(settings: Settings) -> None:
    async with recommender(settings) as running:
        await write(settings, shop_history())

        async def learned() -> bool:
            found = await best(settings, "kettlebell")
            return found is not None and found[0] == "mat" and found[1] > 30

        await eventually(learned, 40, "mats to go with kettlebells")
        before = await complements_of(settings, "kettlebell")
        await write(
            settings, [sent_back(f"c{number}", f"o{number}", {"mat": 1}) for number in range(60, 100)]
        )

        async def unlearned() -> bool:
            found = await best(settings, "kettlebell")
            return found is not None and found[0] == "banana"

        await eventually(unlearned, 40, "mats that all came back to go with nothing")
        after = await complements_of(settings, "kettlebell")
        assert before is not None
        assert after is not None
        assert after.version > before.version
        await ready(running)


async def test_a_product_that_never_sold_gets_complements_by_its_category(settings: Settings) -> None:
    await put_on_sale(settings, "kettlebell", "weights")
    await put_on_sale(settings, "heavier-kettlebell", "weights")
    await put_on_sale(settings, "mat", "floor")
    await write(settings, shop_history())
    async with recommender(settings):

        async def backed_off() -> bool:
            found = await complements_of(settings, "heavier-kettlebell")
            return found is not None and any(
                (one.product_id, one.relation) == ("mat", "category") for one in found.candidates
            )

        await eventually(backed_off, 40, "a mat to go with the new kettlebell")


async def test_what_is_bought_later_comes_with_its_gap_and_upgrades_and_weights(settings: Settings) -> None:
    for product, price in {"kettlebell": "30", "heavier": "60"}.items():
        await put_on_sale(settings, product, "weights", price)
    await write(settings, sequences())
    async with recommender(settings):

        async def told() -> Complements | None:
            found = await complements_of(settings, "kettlebell")
            mat = next((one for one in found.candidates if one.product_id == "mat"), None) if found else None
            complete = mat is not None and mat.support > 36 and mat.gap is not None
            return found if found and complete and found.upgrades and found.weights and found.later else None

        found = await eventually(told, 40, "sequences, an upgrade and weights")
        assert found is not None
        relations = {one.product_id: one for one in found.candidates}
        assert (relations["mat"].relation, relations["chalk"].relation) == ("sequence", "pair")
        gap = relations["mat"].gap
        assert gap is not None
        assert 28 <= gap.days[1] <= 32
        assert [(one.product_id, one.relation) for one in found.upgrades] == [("heavier", "upgrade")]
        assert set(found.weights) == set(found.later) == {"chalk"}


async def test_a_ranker_of_its_own_ranks_for_the_workers(settings: Settings) -> None:
    worker = settings.model_copy(update={"recommender_role": "stream"})
    ranker = settings.model_copy(update={"recommender_role": "ranker"})
    await write(settings, shop_history())
    async with recommender(worker) as counting:
        await ready(counting)

        async def published() -> bool:
            return len(await latest(settings, PAIR_COUNTS.name)) == 3

        await eventually(published, 40, "the counts")
        assert await latest(settings, COMPLEMENTS.name) == {}
        async with recommender(ranker) as ranking:
            await ready(ranking)

            async def ranked() -> bool:
                return len(await latest(settings, COMPLEMENTS.name)) == 3

            await eventually(ranked, 40, "complements of all three products")
            assert (await status(ranking))["products"] == 3


async def test_what_the_shop_pins_and_bans_is_so_in_complements(settings: Settings, tmp_path: Path) -> None:
    file = tmp_path / "relations.yaml"
    file.write_text(
        f"version: 4\nshops: {{{SHOP}: {{pins: [{{product: kettlebell, show: [guide]}}], bans: [{{product: mat}}]}}}}\n"
    )
    await write(settings, shop_history())
    async with recommender(settings.model_copy(update={"relations_file": file})) as running:

        async def ranked() -> list[str]:
            found = await complements_of(settings, "kettlebell")
            return [one.product_id for one in found.candidates] if found else []

        await eventually(ranked, 40, "what goes with kettlebells")
        assert await ranked() == ["guide", "banana"]
        assert (await status(running))["relations"] == 4


async def test_it_is_ready_once_it_has_caught_up_and_says_how_far_it_is(settings: Settings) -> None:
    facts = shop_history()
    await write(settings, facts)
    async with recommender(settings) as running:
        assert not all(running.ready().values())
        await ready(running)
        said = await status(running)
        assert said["orders"] == len(facts)
        assert set(said["lag"].values()) == {0}
        assert await table_counts(settings) == recount(facts)


async def test_a_recount_says_whether_the_tables_are_right(settings: Settings) -> None:
    facts = [*shop_history(), known_as("c119", "c60")]
    await write(settings, facts)
    assert (await compare(settings)).different
    async with recommender(settings):

        async def counted() -> bool:
            return (await compare(settings)).different == ()

        await eventually(counted, 40, "the tables to equal a recount")
        await erase(settings, ["c119"])
        await eventually(counted, 40, "the tables to equal a recount without who was erased")
    compared = await compare(settings)
    assert (compared.records, compared.different) == (len(facts), ())
    assert compared.counts == len(recount(facts, erased={(SHOP, "c119")}))


async def test_what_customers_have_is_published_and_forgotten_with_them(settings: Settings) -> None:
    await write(settings, [bought("ann", "o", "ab"), bought("bob", "p", "c"), sent_back("ann", "o", "a")])

    async def has() -> dict[str, list[str] | None]:
        found = await latest(settings, CUSTOMER_PRODUCTS.name)
        return {
            key.decode(): sorted(decode(value, CUSTOMER_PRODUCTS.types).data.products) if value else None
            for key, value in found.items()
        }

    async with recommender(settings):

        async def published() -> bool:
            return await has() == {f"{SHOP}|ann": ["b"], f"{SHOP}|bob": ["c"]}

        await eventually(published, 40, "what both have")
        await erase(settings, ["ann"])

        async def forgotten() -> bool:
            return await has() == {f"{SHOP}|ann": None, f"{SHOP}|bob": ["c"]}

        await eventually(forgotten, 40, "what ann has to be forgotten")


async def test_what_a_dead_worker_did_not_publish_its_successor_does(
    settings: Settings, tmp_path: Path
) -> None:
    never = settings.model_copy(update={"recommender_publish_seconds": 3600.0})
    facts = shop_history()
    async with recommender(never) as running:
        await ready(running)
        await write(settings, facts)

        async def counted() -> bool:
            return await table_counts(settings) == recount(facts)

        await eventually(counted, 40, "all to be counted")
    assert await latest(settings, PAIR_COUNTS.name) == {}

    elsewhere = settings.model_copy(update={"data_dir": tmp_path / "successor"})
    async with recommender(elsewhere):

        async def published() -> bool:
            said = await latest(settings, PAIR_COUNTS.name)
            found = {key: decode(value, PAIR_COUNTS.types).data for key, value in said.items()}
            totals = over_all_buckets(recount(facts))
            return {key: (data.orders, data.pairs) for key, data in found.items()} == totals

        await eventually(published, 40, "the unpublished counts")


async def test_a_restart_says_nothing_new_when_nothing_is(settings: Settings) -> None:
    await write(settings, shop_history())
    async with recommender(settings) as running:
        await ready(running)

        async def learned() -> bool:
            said = await status(running)
            return bool(said["products"] == 3 and not said["unranked"] and not said["unsolved"])

        await eventually(learned, 40, "all to be learned")
    said = [await said_after_a_restart(settings) for _ in range(2)]
    assert said[0] == said[1]


async def said_after_a_restart(settings: Settings) -> tuple[int, int]:
    """Start it, let it rank all products on all counts, stop it: how many complements and deltas there are then."""
    async with recommender(settings) as running:
        await ready(running)

        async def settled() -> bool:
            said = await status(running)
            waiting = (said["unpublished"], said["unranked"], said["unsolved"])
            return said["ranked"] >= said["products"] > 0 and not any(waiting)

        await eventually(settled, 40, "all to be looked at again")
    return await written(settings, COMPLEMENTS.name), await written(settings, BASKET_DELTAS.name)
