"""A worker process of the peer: procrastinate, one job for each due step, by the same rules and with the same record.

A job locks its customer's row, decides with the very same code, and writes state, decision and message in one transaction,
through the same driver as ours (asyncpg); procrastinate's own statements go through psycopg with its C speedups. The jobs are
there before the clock starts, and a step that is settled asks for no further job, so the peer is spared what ours does: keep
the other due steps of the customer in line with the facts.
"""

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING

import procrastinate
import uvloop
from procrastinate.schema import SchemaManager

from bench.scheduler_stand import SCHEMA, Stand, calm, queries, stand
from bench.scheduler_worker import Told, tell, timed
from services.scheduler.store import Locked, pack, unpack
from shared import log
from shared.kafka import outbox

if TYPE_CHECKING:
    from procrastinate.types import JSONValue

QUEUE = "steps"


def make_app(dsn: str, connections: int) -> procrastinate.App:
    """Return procrastinate on the scheduler's schema of a database."""
    connector = procrastinate.PsycopgConnector(
        conninfo=dsn,
        kwargs={"options": f"-c search_path={SCHEMA}"},
        min_size=connections,
        max_size=connections,
        timeout=60,
    )
    return procrastinate.App(connector=connector)


def make_task(app: procrastinate.App, ours: Stand, positions: dict[int, dict[str, int]]) -> None:
    """Let jobs named `decide` decide one customer's due step."""

    @app.task(name="decide", queue=QUEUE)
    async def decide(shop_id: str, customer_id: str) -> None:
        now = ours.clock.business()
        async with ours.pool.acquire() as connection, connection.transaction():
            (row,) = await connection.fetch(queries.lock_one, shop_id, customer_id)
            customer = Locked(
                row["shop_id"], row["customer_id"], row["partition_number"], unpack(row["state"])
            )
            settled = ours.decider.settle(customer, now, positions[customer.partition], [])
            await connection.execute(queries.save_one, shop_id, customer_id, pack(settled.state.dump()))
            await outbox.put(connection, settled.outgoing)


async def lay_out(dsn: str, customers: Sequence[tuple[str, str]], *, fresh: bool) -> None:
    """Put one job for each of these customers, after all that were there before are gone."""
    app = make_app(dsn, 2)
    async with app.open_async():
        if fresh:
            await SchemaManager(connector=app.connector).apply_schema_async()
        else:
            await app.connector.execute_query_async(queries.empty_jobs)
        task = app.configure_task("decide", queue=QUEUE)
        for start in range(0, len(customers), 1000):
            chunk = customers[start : start + 1000]
            jobs: list[dict[str, JSONValue]] = [
                {"shop_id": shop, "customer_id": name} for shop, name in chunk
            ]
            await task.batch_defer_async(*jobs)


async def work(dsn: str, concurrency: int, *, delete: bool) -> Told:
    """Say `ready`, wait for a line, run all jobs; returns when it began and ended, and its CPU seconds."""
    async with stand(dsn, pool_size=max(concurrency, 2)) as ours:
        async with ours.pool.acquire() as connection:
            positions = await ours.poller().fresh(connection)
        app = make_app(dsn, min(concurrency, 20) + 2)
        make_task(app, ours, positions)
        async with app.open_async():
            calm()

            async def all_jobs() -> None:
                await app.run_worker_async(
                    queues=[QUEUE],
                    concurrency=concurrency,
                    wait=False,
                    delete_jobs="always" if delete else "never",
                    install_signal_handlers=False,
                )

            return await timed(all_jobs)


def main() -> None:
    """Run one worker process."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("dsn")
    parser.add_argument("--concurrency", type=int, default=10)
    parser.add_argument("--delete", action="store_true")
    arguments = parser.parse_args()
    log.configure("bench", "warning")
    tell(uvloop.run(work(arguments.dsn, arguments.concurrency, delete=arguments.delete)))


if __name__ == "__main__":
    main()
