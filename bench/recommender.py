"""The recommender's stream against quixstreams, stock Faust and Kafka Streams: orders into histories and pair counts.

    make bench-recommender ARGS="--orders 50000 --workers 2 --json"

All read the same log from the same broker, one after the other, each as a process of its own with its state in RocksDB
and a changelog. *pairs*: each customer's orders are kept, each product of a basket goes to the partition of the product,
and orders and pairs are counted there by 28-day bucket; ours also guards every record, counts sequences, gaps and
repurchases, and publishes `pair-counts`, which the peers need not. *driver*: one table write per order. The clock stops
when the group has committed all of the log and of the topic between the stages, which each does after its changelogs are
acknowledged; ours when `pair-counts` are out, too. All commit once a second, at least once. Stock Faust gets a tenth of the
orders: its rate does not depend on it. Kafka Streams runs where Java and Maven are there: one stream thread, its record
cache at the default 10 MB, the JVM cold. Two workers get their orders on a broker of their own, written when both are ready.
Every case ends with the counts of a recount, or this fails.
"""

import argparse
import asyncio
import json
import sys
import tempfile
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path

from bench import kafka_streams, read_back
from bench.broker import Broker, connect
from bench.case import Case, measure, python
from bench.figures import OURS, QUIX, STOCK, STREAMS, Figures, Found, ratios, table
from bench.orders import Baskets, Orders, make
from shared import log
from shared.embedded import EmbeddedKafka
from shared.kafka.admin import apply_topics
from shared.settings import Settings
from shared.topics import BASKET_DELTAS, ORDERS, RECOMMENDER_APP, RETURNS, changelog_name

STOCK_SHARE = 10
SHORT = "bench-short"
_KEPT = Settings().recommender_pairs_kept
Programs = dict[str, tuple[str, ...]]


class Bench:
    """Runs cases on one broker and keeps their figures by job and name. A peer without a program is left out."""

    def __init__(self, broker: Broker, folder: Path, orders: Orders, programs: Programs) -> None:
        self._broker = broker
        self._folder = folder
        self._orders = orders
        self._short = orders.first(len(orders.rows) // STOCK_SHARE)
        self._programs = programs
        self.found: Found = {}

    async def fill(self) -> None:
        """Write the log, and its beginning for stock Faust."""
        await self._broker.create(SHORT)
        await self._broker.fill(ORDERS.name, self._orders.rows)
        await self._broker.fill(SHORT, self._short.rows)

    async def drivers(self) -> None:
        """One table write per order."""
        names = {name: f"bench-driver-{name}".replace("_", "-") for name in self._programs}
        await self._broker.create(*(changelog_name(names[name], "counts") for name in (STOCK, OURS)))
        for name, program in self._programs.items():
            short = name == STOCK
            topic = SHORT if short else ORDERS.name
            case = Case(name, program, topic, names[name], "driver", (topic,))
            await self._run(case, self._short if short else self._orders)

    async def peers(self) -> None:
        """History and pairs by each peer, each checked against a count."""
        counts = {QUIX: self._quix, STREAMS: self._streams, STOCK: self._stock}
        for name, count in counts.items():
            if name in self._programs:
                orders = self._short if name == STOCK else self._orders
                _check(name, await count(), orders.baskets())

    async def _quix(self) -> Baskets:
        group, topic = "bench-pairs-quix", ORDERS.name
        between = f"repartition__{group}--{topic}--key"
        await self._run(self._pairs(QUIX, group, topic, between), self._orders)
        return await read_back.quix(self._broker, f"changelog__{group}--repartition.{topic}.key--default")

    async def _streams(self) -> Baskets:
        group, topic = "bench-pairs-streams", ORDERS.name
        await self._run(self._pairs(STREAMS, group, topic, f"{group}-products-repartition"), self._orders)
        return await read_back.streams(self._broker, f"{group}-pairs-changelog")

    async def _stock(self) -> Baskets:
        group, between = "bench-pairs-stock", f"{SHORT}-deltas"
        await self._broker.create(between, *(changelog_name(group, table) for table in ("history", "pairs")))
        await self._run(self._pairs(STOCK, group, SHORT, between), self._short)
        return await read_back.stock(self._broker, changelog_name(group, "pairs"))

    def _pairs(self, name: str, group: str, topic: str, between: str) -> Case:
        return Case(name, self._programs[name], topic, group, "pairs", (topic, between))

    async def ours(self, workers: int) -> None:
        """Our stream workers; several get their orders when all are ready."""
        expected = self._orders.expected()
        rows = read_back.rows_of(expected, _KEPT)
        topics = (ORDERS.name, RETURNS.name, BASKET_DELTAS.name)
        name = OURS if workers == 1 else f"{OURS}_{workers}_workers"
        case = Case(name, self._programs[OURS], ORDERS.name, RECOMMENDER_APP, "pairs", topics, workers)

        async def fill() -> None:
            await self._broker.fill(ORDERS.name, self._orders.rows)

        await self._run(
            case,
            self._orders,
            fill=fill if workers > 1 else None,
            published=lambda: read_back.published(self._broker, rows),
        )
        _check(name, await read_back.ours(self._broker), expected)

    async def _run(
        self,
        case: Case,
        orders: Orders,
        *,
        fill: Callable[[], Awaitable[None]] | None = None,
        published: Callable[[], Awaitable[float | None]] | None = None,
    ) -> None:
        measured = await measure(case, self._broker, self._folder, fill=fill, published=published)
        figures = Figures(len(orders.rows), orders.lines, orders.pair_updates, measured)
        self.found[case.job, case.name] = figures
        sys.stderr.write(f"{case.job}, {case.name}: {figures.rate:,.0f} orders/s\n")


def _check(name: str, counts: Mapping[bytes, object], expected: Mapping[bytes, object]) -> None:
    if counts != expected:
        wrong = sum(counts.get(key) != expected.get(key) for key in counts.keys() | expected.keys())
        message = f"{name}: {wrong} of {len(expected)} records differ from a recount"
        raise SystemExit(message)


async def compare(folder: Path, orders: Orders, programs: Programs, workers: int) -> Found:
    """Run every case once."""
    found: Found = {}
    for number in (1, workers) if workers > 1 else (1,):
        here = folder / f"{number}"
        here.mkdir()
        with EmbeddedKafka(here / "kafka") as kafka:
            await apply_topics(Settings(kafka_bootstrap_servers=kafka.bootstrap))
            async with connect(kafka.bootstrap) as broker:
                bench = Bench(broker, here, orders, programs)
                if number == 1:
                    await bench.fill()
                    await bench.drivers()
                    await bench.peers()
                await bench.ours(number)
                found |= bench.found
    return found


def programs_of(quix_python: Path) -> Programs:
    """Give the program of each contender; says on standard error which one is not to be had."""
    programs = {QUIX: python("bench.worker_quix", quix_python), STOCK: python("bench.worker_stock")}
    streams, problem = kafka_streams.build()
    if streams:
        programs[STREAMS] = streams
    else:
        sys.stderr.write(f"without Kafka Streams: {problem}\n")
    return {**programs, OURS: python("bench.worker_ours")}


def main() -> None:
    """Compare and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--orders", type=int, default=50_000)
    parser.add_argument("--workers", type=int, default=2, help="ours on one worker, and on this many")
    parser.add_argument("--quix-python", type=Path, default=Path(sys.prefix) / "peers" / "bin" / "python")
    parser.add_argument("--json", action="store_true", help="print the figures as JSON on the last line")
    arguments = parser.parse_args()
    log.configure("bench", "error")
    with tempfile.TemporaryDirectory(prefix="orderwake-bench-") as name:
        orders = make(arguments.orders)
        programs = programs_of(arguments.quix_python)
        found = asyncio.run(compare(Path(name), orders, programs, arguments.workers))
    sys.stdout.write(table(found) + "\n")
    if arguments.json:
        figures = {f"{job}_{name}": one.as_json() for (job, name), one in found.items()}
        sys.stdout.write(json.dumps({**ratios(found), "orders": arguments.orders, **figures}) + "\n")


if __name__ == "__main__":
    main()
