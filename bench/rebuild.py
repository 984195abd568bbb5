"""A year of a real grocer counted from nothing by one worker, which is then killed: with its disk, and without it.

    make bench-rebuild ARGS="--baskets 20000 --json"

Complete Journey's 155,848 baskets wait on `orders` of a real broker, its products on `catalog`. A stream worker starts with
nothing, and a ranker in a process of its own. All times run from their start. *counts*: the group has committed all orders and
all deltas, which it does after both tables' changelogs are acknowledged; counts of baskets, of customers and of sequences come
out of the same pass. *first stage*: the part of that until all orders were committed; the second stage runs beside it. *rows*:
the last `pair-counts` and `customer-products` records are with the broker. *everything*: each product was ranked, too. From
then on products are solved for finer weights in the time that is left; `--weights` waits for all of them. `*_cpu_seconds` is
what the worker used by then (*everything*: the ranker, too): on a busy machine it tells more.

Then the worker is killed with SIGKILL and started on its disk, and once more on an empty one: seconds until /readyz says that
its tables are recovered, the broker's wait for the dead member's session included, and until it is ready altogether: it has
caught up, and knows what others published.
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
from bench.recommending import Recommender
from bench.service import CLOCK, Bar, until
from shared import log
from shared.embedded import EmbeddedKafka
from shared.kafka.admin import apply_topics
from shared.settings import Settings
from shared.topics import (
    BASKET_DELTAS,
    CATALOG,
    CUSTOMER_PRODUCTS,
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
    "recovered_with_disk_seconds": 30.0,
    "recovered_without_disk_seconds": 30.0,
}
LIMIT_SECONDS = 1800.0
RECOVERY_LIMIT_SECONDS = 300.0


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

    def __init__(
        self, broker: Broker, folder: Path, year: grocery.Year, found: Found, *, weights: bool
    ) -> None:
        self._broker = broker
        self._year = year
        self._found = found
        self._weights = weights
        self._both = Recommender(broker.bootstrap, folder)
        self._worker = self._both.worker

    def stop(self) -> None:
        """Stop both processes."""
        self._worker.stop()
        self._both.ranker.stop()

    async def count(self) -> None:
        """From nothing to everything."""
        bar = Bar("orders counted", len(self._year.orders))
        started, now = CLOCK.monotonic(), CLOCK.machine().timestamp()
        self._worker.start()
        self._both.ranker.start()
        first = 0.0

        async def counted() -> bool:
            nonlocal first
            await self._worker.get("/healthz")
            done = await self._broker.committed(RECOMMENDER_APP, ORDERS.name)
            bar.show(done)
            if done < len(self._year.orders):
                return False
            first = first or CLOCK.monotonic() - started
            return await self._broker.done(RECOMMENDER_APP, (ORDERS.name, RETURNS.name, BASKET_DELTAS.name))

        counts = await until(counted, "counts", LIMIT_SECONDS)
        self._found.note("first_stage_seconds", first)
        self._found.note("counts_seconds", counts)
        self._found.note("counts_cpu_seconds", self._worker.cpu_seconds)
        self._found.note("orders_per_second", len(self._year.orders) / counts)
        self._found.note("lines_per_second", self._year.lines / counts)
        await self._published(now)
        self._found.note("rows_cpu_seconds", self._worker.cpu_seconds)
        self._found.note("everything_seconds", await self._waited("unranked", "complements", started))
        self._found.note("everything_cpu_seconds", self._both.cpu_seconds)
        self._found.note("unsolved_left", await self._left("unsolved"))
        if self._weights:
            self._found.note("weights_seconds", await self._waited("unsolved", "weights", started))
        self._found.note("worker_peak_mb", self._worker.peak_bytes / 1e6)
        self._found.note("ranker_peak_mb", self._both.ranker.peak_bytes / 1e6)

    async def _left(self, *waiting: str) -> int:
        status = await self._both.status()
        return sum(int(status[name]) for name in waiting)

    async def _published(self, started: float) -> None:
        """Note when the last row of a product and the last record of a customer came."""
        topics = (PAIR_COUNTS.name, CUSTOMER_PRODUCTS.name)
        bar: Bar | None = None

        async def published() -> bool:
            nonlocal bar
            left = await self._left("unpublished", "customers_unpublished")
            bar = bar or Bar("rows published", left)
            bar.show(max(bar.total - left, 0))
            return not left

        await until(published, "rows", LIMIT_SECONDS)
        self._found.note(
            "rows_seconds", max([await self._broker.last_at(topic) for topic in topics]) - started
        )

    async def _waited(self, waiting: str, title: str, started: float) -> float:
        """Wait until nothing waits; returns the seconds since the start."""
        bar = Bar(title, await self._left(waiting))

        async def done() -> bool:
            left = await self._left(waiting)
            bar.show(max(bar.total - left, 0))
            return not left

        await until(done, title, LIMIT_SECONDS)
        return CLOCK.monotonic() - started

    async def measure_state(self) -> None:
        """How large the state is, on disk and in the changelogs."""
        size = sum(path.stat().st_size for path in self._both.state.rglob("*") if path.is_file())
        self._found.note("state_mb", size / 1e6)
        for table in RECOMMENDER_TABLES:
            ends = await self._broker.ends(changelog_name(RECOMMENDER_APP, table))
            self._found.note(f"{table}_changelog_records", sum(ends.values()))

    async def recover(self, name: str, *, keep_disk: bool) -> None:
        """Kill it, start it again, and note how long that takes until its tables are there, and until it is ready."""
        self._worker.kill()
        if not keep_disk:
            shutil.rmtree(self._both.state)
        started = CLOCK.monotonic()
        self._worker.start()

        async def recovered() -> bool:
            return bool((await self._worker.get("/readyz"))[1].get("recovered"))

        self._found.note(f"recovered_{name}_seconds", await until(recovered, name, RECOVERY_LIMIT_SECONDS))
        await until(self._worker.is_ready, name, RECOVERY_LIMIT_SECONDS)
        self._found.note(f"ready_{name}_seconds", CLOCK.monotonic() - started)


async def rebuild(folder: Path, year: grocery.Year, found: Found, *, weights: bool) -> None:
    """Fill a broker, count, kill, recover."""
    with EmbeddedKafka(folder / "kafka") as kafka:
        await apply_topics(Settings(kafka_bootstrap_servers=kafka.bootstrap, topic_partitions=PARTITIONS))
        async with connect(kafka.bootstrap) as broker:
            await broker.fill(CATALOG.name, year.catalog)
            await broker.fill(ORDERS.name, year.orders)
            run = Rebuild(broker, folder, year, found, weights=weights)
            try:
                await run.count()
                await run.measure_state()
                await run.recover("with_disk", keep_disk=True)
                await run.recover("without_disk", keep_disk=False)
            finally:
                run.stop()


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--baskets", type=int, help="only the first so many of the year")
    parser.add_argument("--weights", action="store_true", help="wait until every product is solved, too")
    parser.add_argument("--json", action="store_true", help="print the figures as JSON on the last line")
    asked = parser.parse_args(arguments)
    log.configure("bench", "error")
    logging.getLogger("aiokafka").setLevel(logging.ERROR)
    sys.stderr.write("reading the year\n")
    year, found = grocery.read(asked.baskets), Found()
    found.note("baskets", len(year.orders))
    found.note("lines", year.lines)
    with tempfile.TemporaryDirectory(prefix="orderwake-bench-") as name:
        asyncio.run(rebuild(Path(name), year, found, weights=asked.weights))
    if asked.json:
        sys.stdout.write(json.dumps({**found.figures, "goals": GOALS}) + "\n")


if __name__ == "__main__":
    main()
