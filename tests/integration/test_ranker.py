"""The ranker fed by hand: whom it ranks, in which order, and what it does not say again."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest

from services.recommender.ranker import Ranker
from shared.clock import SystemClock
from shared.events import (
    Complements,
    ComplementsUpdated,
    PairCounts,
    PairCountsUpdated,
    Product,
    ProductRecorded,
    decode,
)
from shared.ids import partition_key
from shared.kafka.faust import Output
from shared.kafka.follower import Follower
from shared.kafka.records import Record
from shared.settings import Settings
from shared.topics import CATALOG, COMPLEMENTS, PAIR_COUNTS
from tests.support import eventually
from tests.support.ranking import row

SHOP = "fitness"
NOW = datetime(2026, 3, 2, tzinfo=UTC)


class Feed:
    """A ranker, what it is told, and what it says."""

    def __init__(self, settings: Settings, owned: frozenset[int]) -> None:
        self.said: list[Complements] = []
        self.ranker = Ranker(settings, SystemClock(), self._publish, owned=lambda: owned, busy=lambda: False)

    async def _publish(self, outputs: Iterable[Output]) -> None:
        for output in outputs:
            event = decode(output.value or b"", COMPLEMENTS.types)
            assert isinstance(event, ComplementsUpdated)
            self.said.append(event.data)

    def count(self, counts: PairCounts, partition: int = 0) -> None:
        event = PairCountsUpdated(id=counts.product_id, source="/tests", time=NOW, shopid=SHOP, data=counts)
        record = Record(PAIR_COUNTS.name, partition, 0, partition_key(SHOP, counts.product_id), b"")
        self.ranker.take(record, event)

    def put_on_sale(self, product: str) -> None:
        said = Product(product_id=product, updated_at=NOW, name=product)
        event = ProductRecorded(id=product, source="/tests", time=NOW, shopid=SHOP, data=said)
        self.ranker.take(Record(CATALOG.name, 0, 0, partition_key(SHOP, product), b""), event)

    async def settle(self) -> None:
        await eventually(
            lambda: not self.ranker.status()["unranked"] and not self.ranker.status()["unsolved"],
            20,
            self.ranker.status,
        )

    def names(self) -> list[str]:
        return [one.product_id for one in self.said]


@asynccontextmanager
async def ranking(feed: Feed) -> AsyncIterator[None]:
    stopping = asyncio.Event()
    task = asyncio.create_task(feed.ranker.run(stopping))
    try:
        await eventually(lambda: feed.ranker.ranked, 20, feed.ranker.status)
        await feed.settle()
        yield
    finally:
        stopping.set()
        await task


@pytest.fixture
def feed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Feed:
    """Give a ranker of partition 0 that has read all there was: a mat and a kettlebell."""
    monkeypatch.setattr(Follower, "caught_up", property(lambda _: True))
    made = Feed(Settings(data_dir=tmp_path, recommender_publish_seconds=0.01), frozenset({0}))
    made.count(row("kettlebell", 200, {"mat": 120}))
    made.count(row("mat", 150, {"kettlebell": 120}))
    return made


async def test_what_only_moves_a_little_is_not_said_again(feed: Feed) -> None:
    async with ranking(feed):
        said = len(feed.said)
        feed.count(row("kettlebell", 201, {"mat": 121}))
        feed.count(row("mat", 151, {"kettlebell": 121}))
        await feed.settle()
        assert len(feed.said) == said
        feed.count(row("kettlebell", 260, {"mat": 120}))
        await eventually(lambda: "kettlebell" in feed.names()[said:], 20)


async def test_versions_rise_from_what_was_published_before(feed: Feed) -> None:
    former = Complements(product_id="mat", version=41, candidates=())
    event = ComplementsUpdated(id="mat", source="/tests", time=NOW, shopid=SHOP, data=former)
    feed.ranker.take(Record(COMPLEMENTS.name, 0, 0, partition_key(SHOP, "mat"), event.encode()), event)
    async with ranking(feed):
        versions = [one.version for one in feed.said if one.product_id == "mat"]
        assert versions == list(range(42, 42 + len(versions)))
        assert versions


async def test_only_products_of_its_partitions_are_ranked_but_all_counts_are_used(feed: Feed) -> None:
    feed.count(row("band", 60, {"kettlebell": 40}), partition=1)
    async with ranking(feed):
        assert set(feed.names()) == {"kettlebell", "mat"}
        assert feed.ranker.status()["products"] == 3
        (last,) = [one for one in feed.said if one.product_id == "kettlebell"][-1:]
        assert "band" in last.weights


async def test_the_product_whose_counts_changed_first_is_ranked_first(feed: Feed) -> None:
    async with ranking(feed):
        said = len(feed.said)
        for product in ("strap", "anchor", "block"):
            feed.count(row(product, 30, {"mat": 10}))
        feed.count(row("strap", 31, {"mat": 11}))
        await feed.settle()
        assert feed.names()[said : said + 3] == ["strap", "anchor", "block"]


async def test_a_product_that_is_only_listed_is_ranked_once(feed: Feed) -> None:
    async with ranking(feed):
        feed.put_on_sale("guide")
        await feed.settle()
        feed.put_on_sale("guide")
        await feed.settle()
        assert feed.names().count("guide") == 1
