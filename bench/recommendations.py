"""The recommendation API as its own process: how long answers take at a given rate of requests.

    make bench-recommendations ARGS="--rate 1000 --seconds 10 --json"

A shop of 5,000 products is put on the topics of a real broker; the API reads them. Then requests leave at fixed moments,
whether or not earlier ones were answered: half about one product, a third about baskets of three with a price bound, the
rest about products that nobody knows. A request's time runs from the moment at which it was due, so that one that had to
wait for the one before it shows that. Client and API share the machine: the client's own delays are in the figures;
`api_within_1_ms` is the share of requests that the API itself says it took no longer for.
"""

import argparse
import asyncio
import json
import logging
import os
import random
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import aiohttp
import psutil

from shared import log
from shared.clock import SystemClock
from shared.embedded import choose
from shared.events import (
    Candidate,
    Complements,
    ComplementsUpdated,
    Event,
    PairCounts,
    PairCountsUpdated,
    Product,
    ProductRecorded,
)
from shared.ids import partition_key
from shared.kafka.admin import apply_topics
from shared.kafka.producer import make_producer
from shared.settings import Settings
from shared.topics import CATALOG, COMPLEMENTS, PAIR_COUNTS

SHOP = "bench"
PRODUCTS = 5000
CATEGORIES = 50
NEIGHBOURS = 200
TOP = 10
WARM_UP_SECONDS = 2
READY_SECONDS = 120
CONNECTIONS = 64
MILLISECOND = "0.001"
CLOCK = SystemClock()
NOW = datetime(2026, 3, 2, tzinfo=UTC)


@dataclass(frozen=True)
class Load:
    """`rate` requests a second for `seconds`."""

    rate: int
    seconds: float


def news(chance: random.Random) -> Iterator[tuple[str, str, Event]]:
    """Yield topic, product and event of everything that the shop's topics say."""
    for number in range(PRODUCTS):
        name = f"p-{number}"
        others = [f"p-{chance.randrange(PRODUCTS)}" for _ in range(NEIGHBOURS)]
        frame = {"id": name, "source": "/bench", "time": NOW, "shopid": SHOP}
        listing = Product(
            product_id=name,
            updated_at=NOW,
            name=f"Product {number}",
            category=f"category {number % CATEGORIES}",
            price=Decimal(chance.randrange(100, 9900)) / 100,
            currency="USD",
            in_stock=number % 10 != 0,
        )
        candidates = tuple(
            Candidate(product_id=one, score=0.3 / rank, support=300 // rank, relation="pair")
            for rank, one in enumerate(dict.fromkeys(others[:TOP]), start=1)
        )
        complements = Complements(product_id=name, version=1, candidates=candidates)
        counts = PairCounts(product_id=name, orders=1000 - number // 10, pairs=dict.fromkeys(others, 7))
        yield CATALOG.name, name, ProductRecorded(**frame, data=listing)
        yield COMPLEMENTS.name, name, ComplementsUpdated(**frame, data=complements)
        yield PAIR_COUNTS.name, name, PairCountsUpdated(**frame, data=counts)


async def fill(settings: Settings, chance: random.Random) -> None:
    """Put the shop on the topics."""
    await apply_topics(settings)
    producer = make_producer(settings.kafka_bootstrap_servers, linger_ms=20)
    await producer.start()
    for topic, product, event in news(chance):
        await producer.send(topic, event.encode(), key=partition_key(SHOP, product))
    await producer.stop()


def questions(chance: random.Random) -> Iterator[Mapping[str, str]]:
    """Yield the parameters of request after request."""
    while True:
        kind = chance.random()
        some = [f"p-{int(PRODUCTS * chance.random() ** 2)}" for _ in range(3)]
        if kind < 1 / 2:
            yield {"shop": SHOP, "product": some[0], "k": "4"}
        elif kind < 5 / 6:
            yield {"shop": SHOP, "basket": ",".join(some), "k": "4", "max_price": "50"}
        else:
            yield {"shop": SHOP, "product": f"new-{some[0]}", "k": "4"}


async def ready(client: aiohttp.ClientSession, base: str) -> float:
    """Wait until the API is ready; returns the seconds that took."""
    started = CLOCK.monotonic()
    while CLOCK.monotonic() - started < READY_SECONDS:
        try:
            async with client.get(f"{base}/readyz") as answer:
                if answer.status == 200:  # noqa: PLR2004  OK
                    return CLOCK.monotonic() - started
        except aiohttp.ClientConnectionError:
            pass
        await asyncio.sleep(0.05)
    message = f"the API was not ready within {READY_SECONDS} s"
    raise RuntimeError(message)


async def drive(client: aiohttp.ClientSession, base: str, load: Load, chance: random.Random) -> list[float]:
    """Send the load; returns each answer's seconds. Raises when an answer is not 200."""
    took: list[float] = []
    asked = questions(chance)

    async def one(due: float) -> None:
        async with client.get(f"{base}/v1/recommendations", params=next(asked)) as answer:
            answer.raise_for_status()
            await answer.read()
        took.append(CLOCK.monotonic() - due)

    started = CLOCK.monotonic()
    async with asyncio.TaskGroup() as group:
        for number in range(int(load.rate * load.seconds)):
            due = started + number / load.rate
            if (early := due - CLOCK.monotonic()) > 0:
                await asyncio.sleep(early)
            group.create_task(one(due))
    return took


async def share_within(client: aiohttp.ClientSession, base: str, limit: str) -> float:
    """Ask the API for the share of requests that it answered within one of its histogram's limits."""
    async with client.get(f"{base}/metrics") as answer:
        lines = (await answer.text()).splitlines()
    name = "orderwake_recommendation_seconds_bucket"
    counts = {line.split()[0]: float(line.split()[1]) for line in lines if line.startswith(name)}
    return counts[f'{name}{{le="{limit}"}}'] / counts[f'{name}{{le="+Inf"}}']


async def measure(process: psutil.Process, port: int, load: Load) -> dict[str, float]:
    """Wait for the API, warm it up, send the load, and say what came of it."""
    base, chance = f"http://127.0.0.1:{port}", random.Random(7)  # noqa: S311  a load, not a secret
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=CONNECTIONS)) as client:
        started = await ready(client, base)
        await drive(client, base, Load(load.rate, WARM_UP_SECONDS), chance)
        before, since = sum(process.cpu_times()[:2]), CLOCK.monotonic()
        took = sorted(await drive(client, base, load, chance))
        elapsed = CLOCK.monotonic() - since
        cores = (sum(process.cpu_times()[:2]) - before) / elapsed
        within = await share_within(client, base, MILLISECOND)
    return {
        "requests_per_second": round(len(took) / elapsed, 1),
        "p50_ms": round(1000 * took[len(took) // 2], 3),
        "p99_ms": round(1000 * took[int(len(took) * 0.99)], 3),
        "max_ms": round(1000 * took[-1], 3),
        "api_within_1_ms": round(within, 4),
        "api_cores": round(cores, 3),
        "api_mb": round(process.memory_info().rss / 2**20, 1),
        "ready_seconds": round(started, 2),
    }


def bench(bootstrap: str, port: int, load: Load) -> dict[str, float]:
    """Fill the topics, start the API, measure it, stop it."""
    settings = Settings(kafka_bootstrap_servers=bootstrap)
    asyncio.run(fill(settings, random.Random(1)))  # noqa: S311  a shop, not a secret
    environment = {
        **os.environ,
        "KAFKA_BOOTSTRAP_SERVERS": bootstrap,
        "ORDERWAKE_HTTP_PORT": str(port),
        "ORDERWAKE_LOG_LEVEL": "warning",
    }
    command = [sys.executable, "-m", "services.cli", "recommendations"]
    with subprocess.Popen(command, env=environment) as process:  # noqa: S603  our own command line
        try:
            return asyncio.run(measure(psutil.Process(process.pid), port, load))
        finally:
            process.terminate()


def main() -> None:
    """Start a broker unless one is given, measure, print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rate", type=int, default=1000, help="requests a second")
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--port", type=int, default=18_480, help="where the API is to listen")
    parser.add_argument("--json", action="store_true", help="print the figures as JSON on the last line")
    arguments = parser.parse_args()
    log.configure("bench", "warning")
    logging.getLogger("aiokafka").setLevel(
        logging.ERROR
    )  # topics just made have no leader yet; it tries again
    with tempfile.TemporaryDirectory(prefix="orderwake-bench-") as name:
        kafka = choose(Path(name), os.environ).kafka
        kafka.start()
        try:
            found = bench(kafka.bootstrap, arguments.port, Load(arguments.rate, arguments.seconds))
        finally:
            kafka.stop()
    for figure, value in found.items():
        sys.stdout.write(f"{figure:<22}{value:>12,.2f}\n")
    if arguments.json:
        sys.stdout.write(json.dumps(found) + "\n")


if __name__ == "__main__":
    main()
