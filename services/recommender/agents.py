"""The two stages as agents: a batch, a table, a pure rule."""

from collections.abc import Sequence
from dataclasses import dataclass

from services.recommender.deltas import admission
from services.recommender.domain.lean import LeanOrderRecorded
from services.recommender.learning import Learner
from services.recommender.published import Publishers
from services.recommender.tables import count_batch
from shared.kafka.faust import BatchApp, Output, Tables, batch_agent
from shared.kafka.guard import Guard
from shared.kafka.records import Admitted
from shared.topics import BASKET_DELTAS, CUSTOMER_MOVES, CUSTOMERS, ORDERS, RETURNS


@dataclass
class Progress:
    """What this process has counted since it started."""

    orders: int = 0
    returns: int = 0
    deltas: int = 0
    pairs: int = 0


def register(app: BatchApp, publishers: Publishers) -> Progress:
    """Hang the agents on the app; the answer is kept up to date by them."""
    progress = Progress()
    producer = app.driver.producer

    async def learn(batch: Sequence[Admitted], tables: Tables) -> list[Output]:
        table = tables["baskets"]
        learned = Learner(table, await producer.partitioner(BASKET_DELTAS.name)).learn(batch)
        if learned.customers:
            publishers.customers.touched(batch[0].record.partition, table, learned.customers)
        return learned.outputs

    settings = app.driver.settings
    guard = Guard(
        app.driver.service,
        producer,
        settings.dead_letter_limit,
        settings.dead_letter_window,
        types={ORDERS.name: (LeanOrderRecorded,)},
    )

    @batch_agent(app, ORDERS, tables=("baskets",), tables_first=True, admit=guard.admit)
    async def learn_orders(batch: Sequence[Admitted], tables: Tables) -> list[Output]:
        outputs = await learn(batch, tables)
        progress.orders += len(batch)
        return outputs

    @batch_agent(app, RETURNS, tables=("baskets",), tables_first=True)
    async def learn_returns(batch: Sequence[Admitted], tables: Tables) -> list[Output]:
        outputs = await learn(batch, tables)
        progress.returns += len(batch)
        return outputs

    @batch_agent(app, CUSTOMERS, tables=("baskets",), tables_first=True)
    async def learn_customers(batch: Sequence[Admitted], tables: Tables) -> list[Output]:
        return await learn(batch, tables)

    @batch_agent(app, CUSTOMER_MOVES, tables=("baskets",), tables_first=True)
    async def learn_moves(batch: Sequence[Admitted], tables: Tables) -> list[Output]:
        return await learn(batch, tables)

    @batch_agent(app, BASKET_DELTAS, tables=("pairs",), admit=admission(app))
    async def count_deltas(batch: Sequence[Admitted], tables: Tables) -> list[Output]:
        updated = count_batch(tables["pairs"], batch)
        if updated.products:
            publishers.rows.touched(batch[0].record.partition, tables["pairs"], updated.products)
        progress.deltas += len(batch)
        progress.pairs += updated.pairs
        return []

    del learn_orders, learn_returns, learn_customers, learn_moves, count_deltas
    return progress
