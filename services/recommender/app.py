"""Composition root of the recommender: stream workers, publisher and ranker in one process, or each in its own."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from aiohttp import web

from services.recommender import agents, ranking_app
from services.recommender.agents import Progress
from services.recommender.lag import Lag
from services.recommender.published import Publishers, publishers_of
from services.recommender.ranker import Ranker
from shared.clock import Clock
from shared.kafka.faust import make_app, run
from shared.service import Running
from shared.settings import Settings
from shared.topics import BASKET_DELTAS, RECOMMENDER_APP, RECOMMENDER_TABLES

_BATCH_RECORDS = 2000
_BUSY_RECORDS = 2000


def build(settings: Settings, clock: Clock) -> AbstractAsyncContextManager[Running]:
    """Put the service together, as the role that the settings name."""
    if settings.recommender_role == "ranker":
        return ranking_app.build(settings, clock)
    return _workers(settings, clock)


@asynccontextmanager
async def _workers(settings: Settings, clock: Clock) -> AsyncIterator[Running]:
    """Put stream workers together, and unless the role says otherwise a ranker beside them.

    Unless the setting says otherwise batches are large: a popular product is written once a batch, however often it sold.
    """
    if "batch_records" not in settings.model_fields_set:
        settings = settings.model_copy(update={"batch_records": _BATCH_RECORDS})
    app = make_app(settings, RECOMMENDER_APP, "recommender", tables=RECOMMENDER_TABLES)
    driver = app.driver
    lag = Lag(app, settings)

    def busy() -> bool:
        return sum(driver.lag().values()) > _BUSY_RECORDS

    ranker = Ranker(
        settings,
        clock,
        publish=driver.producer.publish,
        owned=lambda: frozenset(
            partition for topic, partition in driver.assigned if topic == BASKET_DELTAS.name
        ),
        busy=busy,
    )
    publishers = publishers_of(app, settings, clock, busy, ranker.repurchase)
    progress = agents.register(app, publishers)

    async def stream(stopping: asyncio.Event) -> None:
        """Stop last: publishers and ranker send through the stream's producer."""
        draining = asyncio.Event()
        loops = [publishers.rows.run, publishers.customers.run]
        if settings.recommender_role == "all":
            loops.append(ranker.run)
        beside = asyncio.gather(*(loop(stopping) for loop in loops))
        beside.add_done_callback(lambda _: draining.set())
        try:
            await run(app, draining)
        finally:
            beside.cancel()
            ended = await asyncio.gather(beside, return_exceptions=True)
        if isinstance(ended[0], Exception):
            raise ended[0]

    async def status(_: web.Request) -> web.Response:
        return web.json_response(_status(progress, lag, publishers, ranker))

    yield Running(
        loops=(stream, lag.run, ranker.follower.run),
        ready=lambda: {
            "recovered": driver.ready.is_set(),
            "caught_up": lag.caught_up,
            "following": ranker.follower.caught_up,
        },
        routes=(web.get("/v1/status", status),),
    )


def _status(progress: Progress, lag: Lag, publishers: Publishers, ranker: Ranker) -> dict[str, object]:
    """Say how far the learning is.

    `orders`, `returns`, `deltas` and `pairs_updated` are what this process took since it started; `lag` records by topic;
    `unpublished` products that wait, `customers_unpublished` customers; the rest is the ranker's.
    """
    return {
        "orders": progress.orders,
        "returns": progress.returns,
        "deltas": progress.deltas,
        "pairs_updated": progress.pairs,
        "lag": lag.by_topic,
        "unpublished": publishers.rows.waiting,
        "customers_unpublished": publishers.customers.waiting,
        **ranker.status(),
    }
