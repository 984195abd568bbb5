"""From an order's acknowledgement to what the recommender makes of it, under a steady load.

    make bench-recommender-latency ARGS="--rates 50,500 --seconds 30 --json"

A shop of 1,000 products and 20,000 past orders is counted first. Then, at each rate, orders leave at fixed moments whether
or not earlier ones were acknowledged. One in ten holds a product that nobody bought before: it shows when that order came
through. *counters*: from the acknowledgement until the first record of that product's counts was on the changelog of the
table `pairs`; *complements*: until its first `complements` record was on its topic. Both moments are the broker's. One
stream worker and one ranker, each a process of its own, do it all; broker and load share the machine with them. `cores` is
what both used until all was done, divided by the seconds of the load: above what the machine gives, it falls behind.
"""

import argparse
import asyncio
import json
import logging
import math
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path

from aiokafka import AIOKafkaProducer

from bench.broker import PARTITIONS, Broker, connect
from bench.orders import SHOP, Row, make, with_product
from bench.recommending import Recommender
from bench.service import CLOCK, until
from shared import log
from shared.embedded import EmbeddedKafka
from shared.ids import partition_key
from shared.kafka.admin import apply_topics
from shared.kafka.producer import make_producer
from shared.settings import Settings
from shared.topics import (
    BASKET_DELTAS,
    COMPLEMENTS,
    ORDERS,
    RECOMMENDER_APP,
    RETURNS,
    changelog_name,
)

PAST_ORDERS = 20_000
PROBE_EVERY = 10
LIMIT_SECONDS = 600.0
_STEADY_LOOKS = 3
PERCENTILES = (50, 95, 99, 100)
GOALS = {
    ("counters", 50): 2.0,
    ("counters", 500): 2.0,
    ("complements", 50): 2.0,
    ("complements", 500): 60.0,
}


@dataclass(frozen=True)
class Sent:
    """When each probe's order was acknowledged, by the probe's key (shop|product), and how late the load left at worst."""

    acknowledged: dict[bytes, float]
    late_seconds: float


async def load(producer: AIOKafkaProducer, rows: Sequence[Row], rate: int) -> Sent:
    """Send orders at fixed moments; returns when all are acknowledged."""
    acknowledged: dict[bytes, float] = {}
    waiting: list[asyncio.Future[object]] = []
    started, late = CLOCK.monotonic(), 0.0
    for number, (key, value) in enumerate(rows):
        due = started + number / rate
        if (early := due - CLOCK.monotonic()) > 0:
            await asyncio.sleep(early)
        late = max(late, CLOCK.monotonic() - due)
        name = f"probe-{rate}-{number}" if number % PROBE_EVERY == 0 else ""
        sent = await producer.send(ORDERS.name, with_product(value, name) if name else value, key=key)
        if name:
            sent.add_done_callback(partial(_acknowledge, acknowledged, partition_key(SHOP, name)))
        waiting.append(sent)
    await asyncio.gather(*waiting)
    return Sent(acknowledged, late)


def _acknowledge(acknowledged: dict[bytes, float], probe: bytes, _: "asyncio.Future[object]") -> None:
    acknowledged[probe] = CLOCK.machine().timestamp()


async def first_seen(broker: Broker, topic: str, probes: Mapping[bytes, float]) -> dict[bytes, float]:
    """When the first record about each probe came on a topic: seconds after its acknowledgement."""
    seen: dict[bytes, float] = {}
    async for record in broker.records(topic):
        probe = b"|".join((record.key or b"").split(b"|")[:2])
        if probe in probes and probe not in seen:
            seen[probe] = record.timestamp / 1000 - probes[probe]
    return seen


def percentiles(seconds: Sequence[float]) -> dict[str, float]:
    """Name them p50 to p100; the broker's times are whole milliseconds, so none is below zero."""
    ranked = sorted(max(one, 0.0) for one in seconds)
    return {f"p{of}": round(ranked[math.ceil(len(ranked) * of / 100) - 1], 3) for of in PERCENTILES}


class Watched:
    """One recommender on a broker, and what it does with orders at several rates."""

    def __init__(self, broker: Broker, recommender: Recommender) -> None:
        self._broker = broker
        self._recommender = recommender
        self.figures: dict[str, dict[str, float]] = {}

    async def idle(self) -> None:
        """Wait until it has counted, published and ranked all that is there."""

        async def done() -> bool:
            status = await self._recommender.status()
            topics = (ORDERS.name, RETURNS.name, BASKET_DELTAS.name)
            counted = await self._broker.done(RECOMMENDER_APP, topics)
            return counted and not status.get("unpublished", 1) and not status.get("unranked", 1)

        await until(self._recommender.is_ready, "ready", LIMIT_SECONDS)
        for _ in range(_STEADY_LOOKS):
            await until(done, "idle", LIMIT_SECONDS)
            await asyncio.sleep(1)

    async def at(self, rate: int, rows: Sequence[Row]) -> None:
        """Load it, wait until it is idle, and keep what the probes say."""
        used = self._recommender.cpu_seconds
        producer = make_producer(self._broker.bootstrap, linger_ms=0)
        await producer.start()
        try:
            sent = await load(producer, rows, rate)
        finally:
            await producer.stop()
        await self.idle()
        cores = (self._recommender.cpu_seconds - used) * rate / len(rows)
        topics = {"counters": changelog_name(RECOMMENDER_APP, "pairs"), "complements": COMPLEMENTS.name}
        for name, topic in topics.items():
            seen = await first_seen(self._broker, topic, sent.acknowledged)
            missing = len(sent.acknowledged) - len(seen)
            self.figures[f"{name}_at_{rate}"] = {**percentiles(list(seen.values())), "missing": missing}
            self._tell(name, rate, missing)
        self.figures[f"load_at_{rate}"] = {
            "late_seconds": round(sent.late_seconds, 3),
            "cores": round(cores, 3),
        }
        sys.stdout.write(f"{'cores':<12} at {rate:>5} orders/s  {cores:.2f}\n")

    def _tell(self, name: str, rate: int, missing: int) -> None:
        figures = self.figures[f"{name}_at_{rate}"]
        shown = "".join(f"{of} {figures[of]:>8.2f} s  " for of in figures if of != "missing")
        goal = f"goal: {GOALS[name, rate]:.0f} s" if (name, rate) in GOALS else ""
        lost = f"  {missing} never came" if missing else ""
        sys.stdout.write(f"{name:<12} at {rate:>5} orders/s  {shown}{goal}{lost}\n")
        sys.stdout.flush()


async def measure(folder: Path, rates: Sequence[int], seconds: float) -> dict[str, dict[str, float]]:
    """Count the past, then load at each rate."""
    numbers = [int(rate * seconds) for rate in rates]
    rows = iter(make(PAST_ORDERS + sum(numbers)).rows)
    with EmbeddedKafka(folder / "kafka") as kafka:
        settings = Settings(kafka_bootstrap_servers=kafka.bootstrap, topic_partitions=PARTITIONS)
        await apply_topics(settings)
        async with connect(kafka.bootstrap) as broker:
            await broker.fill(ORDERS.name, list(islice(rows, PAST_ORDERS)))
            with Recommender(kafka.bootstrap, folder) as recommender:
                watched = Watched(broker, recommender)
                await watched.idle()
                for rate, number in zip(rates, numbers, strict=True):
                    await watched.at(rate, list(islice(rows, number)))
                return watched.figures


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rates", default="50,500", help="orders a second, comma-separated")
    parser.add_argument("--seconds", type=float, default=30.0, help="at each rate")
    parser.add_argument("--json", action="store_true", help="print the figures as JSON on the last line")
    asked = parser.parse_args()
    log.configure("bench", "error")
    logging.getLogger("aiokafka").setLevel(logging.ERROR)
    rates = [int(rate) for rate in asked.rates.split(",")]
    with tempfile.TemporaryDirectory(prefix="orderwake-bench-") as name:
        figures = asyncio.run(measure(Path(name), rates, asked.seconds))
    if asked.json:
        goals = {f"{name}_at_{rate}": seconds for (name, rate), seconds in GOALS.items()}
        sys.stdout.write(json.dumps({**figures, "goals": goals}) + "\n")


if __name__ == "__main__":
    main()
