"""The two stages as agents: a batch, a table, a pure rule."""

from collections.abc import Sequence
from dataclasses import dataclass

from services.recommender.domain.baskets import source_of
from services.recommender.publisher import Publisher
from services.recommender.tables import count_batch, learn_batch
from shared.kafka.faust import BatchApp, Output, Tables, batch_agent
from shared.kafka.records import Admitted
from shared.topics import BASKET_DELTAS, ORDERS, RETURNS


@dataclass
class Progress:
    """What this process has counted since it started."""

    orders: int = 0
    returns: int = 0
    deltas: int = 0
    pairs: int = 0


def register(app: BatchApp, publisher: Publisher) -> Progress:
    """Hang the agents on the app; the answer is kept up to date by them."""
    progress = Progress()

    def learn(batch: Sequence[Admitted], tables: Tables) -> list[Output]:
        acknowledged = {source_of(*place): done for place, done in app.driver.done.items()}
        return learn_batch(tables["baskets"], batch, acknowledged)

    @batch_agent(app, ORDERS, tables=("baskets",), tables_first=True)
    async def learn_orders(batch: Sequence[Admitted], tables: Tables) -> list[Output]:
        outputs = learn(batch, tables)
        progress.orders += len(batch)
        return outputs

    @batch_agent(app, RETURNS, tables=("baskets",), tables_first=True)
    async def learn_returns(batch: Sequence[Admitted], tables: Tables) -> list[Output]:
        outputs = learn(batch, tables)
        progress.returns += len(batch)
        return outputs

    @batch_agent(app, BASKET_DELTAS, tables=("pairs",))
    async def count_deltas(batch: Sequence[Admitted], tables: Tables) -> list[Output]:
        counted = count_batch(tables["pairs"], batch)
        if counted.products:
            publisher.touched(batch[0].record.partition, tables["pairs"], counted.products)
        progress.deltas += len(batch)
        progress.pairs += counted.pairs
        return []

    del learn_orders, learn_returns, count_deltas
    return progress
