"""The recommender's stream against quixstreams and stock Faust: orders into histories and pair counts.

    make bench-recommender ARGS="--orders 50000 --workers 2 --json"

All read the same log from the same broker, one after the other, each as a process of its own with its state in RocksDB
and a changelog. *pairs*: each customer's orders are kept, each product of a basket goes to the partition of the product,
and orders and pairs are counted there by 28-day bucket; ours also guards every record and publishes `pair-counts`, which
the peers need not. *driver*: one table write per order. The clock stops when the group has committed all of the log and of
the topic between the stages, which each does after its changelogs are acknowledged; ours when `pair-counts` are out, too.
All commit once a second. Stock Faust gets a tenth of the orders: its rate does not depend on it. Two workers get their
orders on a broker of their own, written when both are ready. Every case ends with the counts of a recount, or this fails.
"""

import argparse
import asyncio
import json
import sys
import tempfile
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from pathlib import Path

from bench import read_back
from bench.broker import Broker, connect
from bench.case import Case, Measured, measure
from bench.orders import Orders, make
from services.recommender.recount import Counts
from shared import log
from shared.embedded import EmbeddedKafka
from shared.kafka.admin import apply_topics
from shared.settings import Settings
from shared.topics import BASKET_DELTAS, ORDERS, RECOMMENDER_APP, RETURNS, changelog_name

STOCK_SHARE = 10
SHORT = "bench-short"
OURS, QUIX, STOCK = "ours", "quixstreams", "stock_faust"
_KEPT = Settings().recommender_pairs_kept


@dataclass(frozen=True)
class Figures:
    """One line of the table."""

    orders: int
    lines: int
    pair_updates: int
    measured: Measured

    @property
    def rate(self) -> float:
        """Orders a second."""
        return self.orders / self.measured.seconds

    def as_json(self) -> dict[str, int | float]:
        """Rates a second, and memory in megabytes."""
        seconds = self.measured.seconds
        return {
            "orders_per_second": round(self.rate),
            "lines_per_second": round(self.lines / seconds),
            "pair_updates_per_second": round(self.pair_updates / seconds),
            "memory_megabytes": round(self.measured.memory_bytes / 1e6),
            "seconds": round(seconds, 2),
        }


class Bench:
    """Runs cases on one broker and keeps their figures by job and name."""

    def __init__(self, broker: Broker, folder: Path, orders: Orders, peer: Path) -> None:
        self._broker = broker
        self._folder = folder
        self._orders = orders
        self._short = orders.first(len(orders.rows) // STOCK_SHARE)
        self._peer = peer
        self.found: dict[tuple[str, str], Figures] = {}

    async def fill(self) -> None:
        """Write the log, and its beginning for stock Faust."""
        await self._broker.create(SHORT)
        await self._broker.fill(ORDERS.name, self._orders.rows)
        await self._broker.fill(SHORT, self._short.rows)

    async def drivers(self) -> None:
        """One table write per order."""
        names = {name: f"bench-driver-{name}".replace("_", "-") for name in (QUIX, STOCK, OURS)}
        await self._broker.create(*(changelog_name(names[name], "counts") for name in (STOCK, OURS)))
        for name, module, topic, orders in (
            (QUIX, "bench.worker_quix", ORDERS.name, self._orders),
            (STOCK, "bench.worker_stock", SHORT, self._short),
            (OURS, "bench.worker_ours", ORDERS.name, self._orders),
        ):
            case = Case(name, module, topic, names[name], "driver", (topic,))
            await self._run(case, orders)

    async def pairs(self) -> None:
        """History and pairs, all three, each checked against a recount."""
        expected = self._orders.expected()
        group, between = "bench-pairs-quix", f"repartition__bench-pairs-quix--{ORDERS.name}--key"
        case = Case(QUIX, "bench.worker_quix", ORDERS.name, group, "pairs", (ORDERS.name, between))
        await self._run(case, self._orders)
        changelog = f"changelog__{group}--repartition.{ORDERS.name}.key--default"
        _check(QUIX, await read_back.quix(self._broker, changelog), expected)

        group, between = "bench-pairs-stock", f"{SHORT}-deltas"
        await self._broker.create(between, *(changelog_name(group, table) for table in ("history", "pairs")))
        case = Case(STOCK, "bench.worker_stock", SHORT, group, "pairs", (SHORT, between))
        await self._run(case, self._short)
        counts = await read_back.stock(self._broker, changelog_name(group, "pairs"))
        _check(STOCK, counts, self._short.expected())

        await self.ours(1, expected)

    async def ours(self, workers: int, expected: Counts) -> None:
        """Our stream workers; several get their orders when all are ready."""
        totals = read_back.totals_of(expected, _KEPT)
        topics = (ORDERS.name, RETURNS.name, BASKET_DELTAS.name)
        name = OURS if workers == 1 else f"{OURS}_{workers}_workers"
        case = Case(name, "bench.worker_ours", ORDERS.name, RECOMMENDER_APP, "pairs", topics, workers)

        async def fill() -> None:
            await self._broker.fill(ORDERS.name, self._orders.rows)

        await self._run(
            case,
            self._orders,
            fill=fill if workers > 1 else None,
            published=lambda: read_back.published(self._broker, totals),
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
        if case.name == QUIX:
            case = replace(case, python=self._peer)
        measured = await measure(case, self._broker, self._folder, fill=fill, published=published)
        figures = Figures(len(orders.rows), orders.lines, orders.pair_updates, measured)
        self.found[case.job, case.name] = figures
        sys.stderr.write(f"{case.job}, {case.name}: {figures.rate:,.0f} orders/s\n")


def _check(name: str, counts: Counts, expected: Counts) -> None:
    if counts != expected:
        wrong = sum(counts.get(key) != expected.get(key) for key in counts.keys() | expected.keys())
        message = f"{name}: {wrong} of {len(expected)} records differ from a recount"
        raise SystemExit(message)


async def compare(folder: Path, orders: Orders, peer: Path, workers: int) -> dict[tuple[str, str], Figures]:
    """Run every case once."""
    found: dict[tuple[str, str], Figures] = {}
    for number in (1, workers) if workers > 1 else (1,):
        here = folder / f"{number}"
        here.mkdir()
        with EmbeddedKafka(here / "kafka") as kafka:
            await apply_topics(Settings(kafka_bootstrap_servers=kafka.bootstrap))
            async with connect(kafka.bootstrap) as broker:
                bench = Bench(broker, here, orders, peer)
                if number == 1:
                    await bench.fill()
                    await bench.drivers()
                    await bench.pairs()
                else:
                    await bench.ours(number, orders.expected())
                found |= bench.found
    return found


def ratios(found: dict[tuple[str, str], Figures]) -> dict[str, float]:
    """Ours, on one worker, as a multiple of each peer."""
    prefixes = {"pairs": "", "driver": "driver_"}
    return {
        f"{prefix}ratio_{peer}": round(found[job, OURS].rate / found[job, peer].rate, 2)
        for job, prefix in prefixes.items()
        for peer in (QUIX, STOCK)
    }


def table(found: dict[tuple[str, str], Figures]) -> str:
    """Lay the figures out, with ours as a multiple of the others."""
    heads = ("orders/s", "lines/s", "pair updates/s", "memory MB", "ours is")
    lines = [f"{'':<26}" + "".join(f"{head:>16}" for head in heads)]
    for (job, name), figures in found.items():
        shown = figures.as_json()
        ratio = f"{found[job, OURS].rate / figures.rate:.2f}x" if name in (QUIX, STOCK) else ""
        pairs = f"{shown['pair_updates_per_second']:,}" if job == "pairs" else ""
        cells = (f"{shown['orders_per_second']:,}", f"{shown['lines_per_second']:,}", pairs)
        memory = f"{shown['memory_megabytes']:,}"
        lines.append(f"{f'{job}, {name}':<26}" + "".join(f"{cell:>16}" for cell in (*cells, memory, ratio)))
    return "\n".join(lines)


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
        found = asyncio.run(compare(Path(name), orders, arguments.quix_python, arguments.workers))
    sys.stdout.write(table(found) + "\n")
    if arguments.json:
        figures = {f"{job}_{name}": one.as_json() for (job, name), one in found.items()}
        sys.stdout.write(json.dumps({**ratios(found), "orders": arguments.orders, **figures}) + "\n")


if __name__ == "__main__":
    main()
