"""One, two and three recommenders and the broker are killed again and again while news flows: counts equal a recount."""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from services.recommender.recount import Counts, recount
from shared.embedded import EmbeddedKafka
from shared.events import OrderStatus, ReturnStatus, decode
from shared.kafka.admin import apply_topics
from shared.settings import Settings
from shared.topics import PAIR_COUNTS
from tests.support import eventually
from tests.support.affinity import SHOP, News, bought, known_as, sent_back
from tests.support.processes import Service
from tests.support.recommending import (
    PAIRS_CHANGELOG,
    erase,
    latest,
    over_all_buckets,
    table_counts,
    write,
    written,
)

ORDERS, PRODUCTS, CUSTOMERS, GUESTS, PARTITIONS = 2500, 60, 400, 40, 3
ERASED = [f"c{number}" for number in range(100, 300, 10)]
PATIENCE = 60


@dataclass
class World:
    """A broker of the test's own, and what every recommender on it is told."""

    kafka: EmbeddedKafka
    folder: Path

    @property
    def settings(self) -> Settings:
        """Settings for what the test itself does."""
        return Settings(kafka_bootstrap_servers=self.kafka.bootstrap, topic_partitions=PARTITIONS)

    def recommender(self, name: str) -> Service:
        """Return a recommender process, not yet started; small batches make many moments to die in."""
        environment = {
            "KAFKA_BOOTSTRAP_SERVERS": self.kafka.bootstrap,
            "ORDERWAKE_DATA_DIR": str(self.folder / name),
            "ORDERWAKE_CONSUMER_SESSION_SECONDS": "2",
            "ORDERWAKE_BATCH_RECORDS": "40",
        }
        return Service("recommender", environment, self.folder / f"{name}.log")


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with EmbeddedKafka(tmp_path / "kafka") as kafka:
        yield World(kafka, tmp_path)


def history() -> list[News]:
    """Orders of one to six products; every fifth is returned in part or whole, some before they come, some are cancelled.

    Every tenth customer turns out to have been another one of the list before.
    """
    chance = random.Random(20260302)  # noqa: S311  a test's history, the same every time
    facts: list[News] = []
    for number in range(ORDERS):
        customer, order_id = f"c{chance.randrange(CUSTOMERS)}", f"o{number}"
        products = {
            f"p{int(PRODUCTS * chance.random() ** 2)}": chance.randint(1, 2)
            for _ in range(chance.randint(1, 6))
        }
        order = bought(customer, order_id, products, day=number // 20)
        facts.append(order)
        if number % 5 == 0:
            back = dict(chance.sample(sorted(products.items()), chance.randint(1, len(products))))
            came = sent_back(customer, order_id, back)
            asked = sent_back(customer, order_id, back, version=1, status=ReturnStatus.REQUESTED)
            received = sent_back(customer, order_id, back, version=2, status=ReturnStatus.RECEIVED)
            facts[-1:] = chance.choice(
                [[order, came], [came, order], [order, asked, received], [order, order, came]]
            )
        if number % 11 == 0:
            facts.append(
                bought(
                    customer, order_id, products, day=number // 20, version=2, status=OrderStatus.CANCELLED
                )
            )
        if number % (ORDERS // GUESTS) == 0:
            guest = number // (ORDERS // GUESTS)
            facts.append(known_as(f"c{CUSTOMERS - 1 - guest}", f"c{guest}"))
    return facts


async def test_counts_equal_a_recount_whatever_is_killed(world: World) -> None:
    await apply_topics(world.settings)
    facts = history()
    expected = recount(facts)
    at_last = recount(facts, erased={(SHOP, customer) for customer in ERASED})
    share = len(facts) // 6 + 1
    part = [facts[place : place + share] for place in range(0, len(facts), share)]
    first, second, third = (world.recommender(name) for name in ("first", "second", "third"))

    def said() -> str:
        return "tables to equal a recount, by\n" + "\nand\n".join(
            one.text[-4000:] for one in (first, second, third)
        )

    with first:
        await killed_mid_run(world, part[0], first)
        await killed_mid_run(world, part[1], first)
        with second:
            await killed_mid_run(world, part[2], second)
            with third:
                await progress(world, part[3], first, second, third)
                second.kill()
                world.kafka.kill()
                world.kafka.start()
                second.start()
                await killed_mid_run(world, part[4], third)
                await killed_mid_run(world, part[5], first)
                await eventually(lambda: equal(world, expected), PATIENCE, said)
                await erase(world.settings, ERASED)
                second.kill()
                await eventually(lambda: equal(world, at_last), PATIENCE, said)
                await eventually(lambda: published(world, at_last), PATIENCE, "all counts to be published")
                assert (first.stop(), third.stop()) == (0, 0), said()
    assert await table_counts(world.settings) == at_last


async def killed_mid_run(world: World, facts: list[News], service: Service) -> None:
    """Kill a worker while it counts `facts`, and start it again."""
    await progress(world, facts, service)
    service.kill()
    service.start()


async def progress(world: World, facts: list[News], *services: Service) -> None:
    """Write `facts` and wait until some of what they change is in the tables."""
    goal = await written(world.settings, PAIRS_CHANGELOG) + 100
    await write(world.settings, facts)

    async def reached() -> bool:
        return await written(world.settings, PAIRS_CHANGELOG) >= goal

    await eventually(reached, PATIENCE, lambda: "\n".join(service.text[-4000:] for service in services))


async def equal(world: World, expected: Counts) -> bool:
    return await table_counts(world.settings) == expected


async def published(world: World, expected: Counts) -> bool:
    """Whether the last `pair-counts` record of each product says what a recount says."""
    totals = over_all_buckets(expected)
    said = {
        key: decode(value, PAIR_COUNTS.types).data
        for key, value in (await latest(world.settings, PAIR_COUNTS.name)).items()
    }
    return {key: (data.orders, data.pairs) for key, data in said.items() if data.orders} == totals
