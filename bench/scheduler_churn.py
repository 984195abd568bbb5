"""An hour of churn at a thousand steps a second, as fast as it goes, and what that does to the tables' sizes.

The same rows are changed as by deciding (bench/scheduler.sql, `churn_decide`), with values of the same sizes, and the outbox is
emptied as the relay does. Autovacuum has the settings of the migrations; as it goes about fifteen times as fast here, it looks
every two seconds instead of every minute.
"""

import sys
from datetime import timedelta

from bench import scheduler_people as people
from bench.scheduler_cases import Found, Terms, database
from bench.scheduler_stand import Stand, queries, stand
from bench.service import CLOCK, Bar

PEOPLE, WAITING = 100_000, 200_000
BATCH = 1000
_STATE_BYTES = 3000
_TABLES = ("customers", "due_steps", "outbox")


async def churn(dsn: str, terms: Terms) -> Found:
    """Sizes after the first twentieth (when everything has been in use), in the middle and at the end."""
    address, _ = await database(dsn, "churn")
    async with stand(address) as ours:
        await ours.pool.execute(queries.look_often)
        await ours.pool.execute(queries.reload)
        await ours.pool.execute(queries.churn_people, PEOPLE, _STATE_BYTES // 16)
        await ours.pool.execute(queries.churn_steps, WAITING, people.NOW, PEOPLE)
        await ours.settle()
        rounds = max(terms.churn_steps // BATCH, 20)
        marks = {"start": rounds // 20, "middle": rounds // 2, "end": rounds}
        bar, sizes, began = Bar("steps of churn", rounds * BATCH), {}, CLOCK.monotonic()
        for done in range(1, rounds + 1):
            await ours.pool.execute(queries.churn_decide, BATCH, timedelta(milliseconds=WAITING))
            await ours.pool.execute(queries.churn_relay, 2 * BATCH)
            bar.show(done * BATCH)
            for name, mark in marks.items():
                if done == mark:
                    sizes[name] = await _megabytes(ours)
        seconds = CLOCK.monotonic() - began
    sys.stderr.write(f"  {rounds * BATCH / seconds:,.0f} steps/s\n")
    return {
        f"{table}_mb_{when}": round(size[table], 1) for table in _TABLES for when, size in sizes.items()
    } | {"churned_steps": float(rounds * BATCH)}


async def _megabytes(ours: Stand) -> dict[str, float]:
    rows = await ours.pool.fetch(queries.sizes)
    return {row["name"]: (row["table_bytes"] + row["index_bytes"]) / 1e6 for row in rows}
