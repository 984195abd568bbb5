"""A year of a real grocer counted from nothing by one recommender, then killed: with its disk, and without it.

    make bench-rebuild ARGS="--baskets 20000 --json"

Complete Journey's 155,848 baskets wait on `orders` of a real broker, its products on `catalog`. One `orderwake recommender`
starts with nothing. All times run from its start, the process's own included. *counts*: the group has committed all orders
and all deltas, which it does after both tables' changelogs are acknowledged; counts of baskets, of customers and of sequences
come out of the same pass. *first stage*: the part of that until all orders were committed; the second stage runs beside it.
*rows*: nothing waits to be published and the last `pair-counts` record is with the broker; *everything*: nothing waits to be
ranked and the last `complements` record is. Then it is killed with SIGKILL and started on its disk, and once more on an empty
one: seconds until /readyz says that its tables are recovered and it has caught up, the broker's wait for the dead member's
session included.
"""

import argparse
import asyncio
import json
import logging
import shutil
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bench import grocery
from bench.broker import PARTITIONS, Broker, connect
from bench.service import CLOCK, Bar, Service, until
from shared import log
from shared.embedded import EmbeddedKafka
from shared.kafka.admin import apply_topics
from shared.settings import Settings
from shared.topics import (
    BASKET_DELTAS,
    CATALOG,
    COMPLEMENTS,
    ORDERS,
    PAIR_COUNTS,
    RECOMMENDER_APP,
    RECOMMENDER_TABLES,
    RETURNS,
    changelog_name,
)

GOALS = {
    "counts_seconds": 120.0,
    "everything_seconds": 600.0,
    "restart_with_disk_seconds": 30.0,
    "restart_without_disk_seconds": 30.0,
}
LIMIT_SECONDS = 1800.0
RECOVERY_LIMIT_SECONDS = 300.0
_SETTLED_SECONDS = 3.0


@dataclass
class Found:
    """Figures by name, seconds or counts."""

    figures: dict[str, float] = field(default_factory=dict)

    def note(self, name: str, value: float) -> None:
        """Keep one, and show it, with its goal if it has one."""
        self.figures[name] = round(value, 2)
        goal = f"   (goal: under {GOALS[name]:.0f})" if name in GOALS else ""
        sys.stdout.write(f"{name:<32}{value:>14,.1f}{goal}\n")
        sys.stdout.flush()


class Rebuild:
    """One recommender on one broker that holds the year."""

    def __init__(self, broker: Broker, folder: Path, year: grocery.Year, found: Found) -> None:
        self._broker = broker
        self._year = year
        self._found = found
        self._state = folder / "state"
        environment = {"KAFKA_BOOTSTRAP_SERVERS": broker.bootstrap, "ORDERWAKE_DATA_DIR": str(self._state)}
        self.service = Service("recommender", environment, folder / "recommender.log")

    async def count(self) -> None:
        """From nothing to everything."""
        bar = Bar("orders counted", len(self._year.orders))
        started, now = CLOCK.monotonic(), CLOCK.machine().timestamp()
        self.service.start()
        first = 0.0

        async def counted() -> bool:
            nonlocal first
            await self.service.get("/healthz")
            done = await self._broker.committed(RECOMMENDER_APP, ORDERS.name)
            bar.show(done)
            if done < len(self._year.orders):
                return False
            first = first or CLOCK.monotonic() - started
            return await self._broker.done(RECOMMENDER_APP, (ORDERS.name, RETURNS.name, BASKET_DELTAS.name))

        counts = await until(counted, "counts", LIMIT_SECONDS)
        self._found.note("first_stage_seconds", first)
        self._found.note("counts_seconds", counts)
        self._found.note("orders_per_second", len(self._year.orders) / counts)
        self._found.note("lines_per_second", self._year.lines / counts)
        await self._settled("rows_seconds", PAIR_COUNTS.name, "unpublished", now)
        await self._settled("everything_seconds", COMPLEMENTS.name, "unranked", now)
        self._found.note("peak_memory_mb", self.service.peak_bytes / 1e6)

    async def _settled(self, name: str, topic: str, waiting: str, started: float) -> None:
        """Note when the last record of `topic` came, once nothing waits and none has come for a while."""
        quiet_since, ends = CLOCK.monotonic(), 0
        bar: Bar | None = None

        async def settled() -> bool:
            nonlocal quiet_since, ends, bar
            left = int((await self.service.get("/v1/status"))[1][waiting])
            bar = bar or Bar(topic, left)
            bar.show(max(bar.total - left, 0))
            now = sum((await self._broker.ends(topic)).values())
            if left or now != ends:
                quiet_since, ends = CLOCK.monotonic(), now
            return CLOCK.monotonic() - quiet_since > _SETTLED_SECONDS

        await until(settled, topic, LIMIT_SECONDS)
        self._found.note(name, await self._broker.last_at(topic) - started)

    async def measure_state(self) -> None:
        """How large the state is, on disk and in the changelogs."""
        size = sum(path.stat().st_size for path in self._state.rglob("*") if path.is_file())
        self._found.note("state_mb", size / 1e6)
        for table in RECOMMENDER_TABLES:
            ends = await self._broker.ends(changelog_name(RECOMMENDER_APP, table))
            self._found.note(f"{table}_changelog_records", sum(ends.values()))

    async def recover(self, name: str, *, keep_disk: bool) -> None:
        """Kill it, start it again, and note how long that takes to be ready."""
        self.service.kill()
        if not keep_disk:
            shutil.rmtree(self._state)
        self.service.start()
        waited = await until(self.service.is_ready, name, RECOVERY_LIMIT_SECONDS)
        self._found.note(name, waited)


async def rebuild(folder: Path, year: grocery.Year, found: Found) -> None:
    """Fill a broker, count, kill, recover."""
    with EmbeddedKafka(folder / "kafka") as kafka:
        await apply_topics(Settings(kafka_bootstrap_servers=kafka.bootstrap, topic_partitions=PARTITIONS))
        async with connect(kafka.bootstrap) as broker:
            await broker.fill(CATALOG.name, year.catalog)
            await broker.fill(ORDERS.name, year.orders)
            run = Rebuild(broker, folder, year, found)
            try:
                await run.count()
                await run.measure_state()
                await run.recover("restart_with_disk_seconds", keep_disk=True)
                await run.recover("restart_without_disk_seconds", keep_disk=False)
            finally:
                run.service.stop()


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--baskets", type=int, help="only the first so many of the year")
    parser.add_argument("--json", action="store_true", help="print the figures as JSON on the last line")
    asked = parser.parse_args(arguments)
    log.configure("bench", "error")
    logging.getLogger("aiokafka").setLevel(logging.ERROR)
    sys.stderr.write("reading the year\n")
    year, found = grocery.read(asked.baskets), Found()
    found.note("baskets", len(year.orders))
    found.note("lines", year.lines)
    with tempfile.TemporaryDirectory(prefix="orderwake-bench-") as name:
        asyncio.run(rebuild(Path(name), year, found))
    if asked.json:
        sys.stdout.write(json.dumps({**found.figures, "goals": GOALS}) + "\n")


if __name__ == "__main__":
    main()
