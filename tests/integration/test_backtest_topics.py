"""Some weeks lived by the real service on real Kafka and PostgreSQL, then read from the topics and lived again."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from functools import partial
from pathlib import Path

import asyncpg
import pytest
from aiokafka import AIOKafkaProducer
from click.testing import CliRunner

from services.cli import cli
from services.scheduler.app import build
from services.scheduler.backtest.kafka import Topics
from services.scheduler.backtest.report import Report, report_of
from services.scheduler.backtest.run import Plan, run
from shared.db import create_pool, load_queries, migrate
from shared.embedded import Infrastructure
from shared.errors import BacktestError
from shared.events import Event
from shared.ids import partition_key
from shared.kafka.producer import make_producer
from shared.settings import Settings
from tests.support import eventually
from tests.support.backtesting import DAYS, folder, past
from tests.support.broker import fresh_topics
from tests.support.deciding import MONDAY_NOON
from tests.support.scheduling import MIGRATIONS, TOPIC_OF, MovedClock

queries = load_queries(Path(__file__).parents[1] / "support" / "backtesting.sql")
_HOURS = 17


class Lived:
    """A broker whose topics hold a lived period, and the journeys that it was lived by."""

    def __init__(self, settings: Settings, journeys: Path) -> None:
        self.settings, self.journeys = settings, journeys

    async def report(self, journeys: Path | None = None, *, replay: bool = False, workers: int = 1) -> Report:
        """Return what a backtest of the topics finds."""
        plan = Plan(Topics(self.settings.kafka_bootstrap_servers), journeys or self.journeys, replay=replay)
        return report_of(plan, await asyncio.to_thread(run, plan, workers))


@pytest.fixture
async def lived(infrastructure: Infrastructure, database_url: str, tmp_path: Path) -> Lived:
    journeys = folder(tmp_path / "journeys")
    settings = Settings(
        kafka_bootstrap_servers=infrastructure.bootstrap_servers,
        database_url=database_url,
        topic_partitions=2,
        journeys_dir=journeys,
        stale_after_seconds=60,
    )
    await fresh_topics(settings)
    await migrate(database_url, "scheduler", MIGRATIONS)
    producer = make_producer(settings.kafka_bootstrap_servers)
    await producer.start()
    await _live(settings, producer, database_url)
    await producer.stop()
    return Lived(settings, journeys)


async def _live(settings: Settings, producer: AIOKafkaProducer, database_url: str) -> None:
    """Let time pass in steps of some hours; what happened meanwhile is read, and all that came due decided."""
    clock, told, sent = MovedClock(MONDAY_NOON - timedelta(days=1)), past(6), 0
    pool = await create_pool(Settings(database_url=database_url), "scheduler")
    async with _service(settings, clock):
        while told or clock.now < MONDAY_NOON + timedelta(days=DAYS):
            later = clock.now + timedelta(hours=_HOURS)
            news = [each for each in told if each.time <= later]
            told = told[len(news) :]
            for each in news:
                await _tell(producer, each)
            sent += sum(each.customerid is not None for each in news)
            await eventually(partial(_is, pool, queries.consumed, sent), 30, "all news to be read")
            clock.now = later
            await eventually(
                partial(_is, pool, queries.undecided, 0, later), 30, "all due steps to be decided"
            )
        await eventually(partial(_is, pool, queries.unpublished, 0), 30, "all decisions to be published")
    await pool.close()


async def _is(pool: asyncpg.Pool, query: str, count: int, *given: object) -> bool:
    return bool(await pool.fetchval(query, *given) == count)


async def _tell(producer: AIOKafkaProducer, event: Event) -> None:
    key = partition_key(event.shopid, event.customerid or event.data.product_id)
    await producer.send_and_wait(TOPIC_OF[type(event)].name, event.encode(), key)


@asynccontextmanager
async def _service(settings: Settings, clock: MovedClock) -> AsyncIterator[None]:
    stopping = asyncio.Event()
    async with build(settings, clock) as running:
        loops = [asyncio.ensure_future(loop(stopping)) for loop in running.loops]
        try:
            await eventually(lambda: all(running.ready().values()), 30, "the service to be ready")
            yield
        finally:
            stopping.set()
            await asyncio.gather(*loops)


async def test_weeks_lived_by_the_real_service_come_out_the_same_and_another_cap_does_not(
    lived: Lived, tmp_path: Path
) -> None:
    same = (await lived.report(replay=True))["replay"]
    assert same["decisions"] > 40
    assert same["differences"] == []
    assert same["other_versions"] == []
    assert same["same"] == same["decisions"]
    other = folder(tmp_path / "other", caps=[{"count": 1, "per": "28d"}])
    differs = (await lived.report(other, replay=True))["replay"]
    assert "skip: capped" in {row["now"] for row in differs["differences"]}
    once, again = await lived.report(), await lived.report(workers=2)
    assert once == again
    assert once["recorded_decisions"] == same["decisions"]
    assert (
        once["totals"]["due"] == sum(once["totals"][name] for name in ("send", "ghost", "skip", "open")) > 40
    )


def test_a_broker_that_does_not_answer_is_named(tmp_path: Path) -> None:
    journeys = folder(tmp_path / "journeys")
    environment = {"KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:9"}
    arguments = ["backtest", "--journeys", str(journeys), "--from", "topics"]
    found = CliRunner(env=environment).invoke(cli, arguments)
    assert isinstance(found.exception, BacktestError)
    assert "127.0.0.1:9" in str(found.exception)
