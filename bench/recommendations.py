"""The recommendation API as its own process, on one core: how long answers take at a given rate of requests.

    make bench-recommendations ARGS="--rate 1000 --seconds 10 --json"

A made shop (bench/catalogue.py) is put on the topics of a real broker; the API, held to one core, reads them. Then requests
for products, baskets and customers leave at fixed moments, whether or not earlier ones were answered, from another core. A
request's time, and so p50, p99 and max, runs from the moment at which it was due: waiting behind others counts. `sent_*` runs
from the moment at which it was written; `late_p99_ms` is how long after its due moment that was, the client's own delay.
`api_within_1_ms` is the share of requests that the API itself says it took no longer for. With fewer than two cores both
share one, and it says so.
"""

import argparse
import asyncio
import json
import logging
import os
import random
import secrets
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import aiohttp
import uvloop

from bench.catalogue import SHOP, news, questions
from bench.http_load import Taken, drive
from bench.service import CLOCK, Service, until
from shared import log
from shared.embedded import choose
from shared.ids import partition_key
from shared.kafka.admin import apply_topics
from shared.kafka.producer import make_producer
from shared.settings import Settings

GOAL_P99_MS = 5.0
WARM_UP_SECONDS = 3.0
READY_SECONDS = 120.0
MILLISECOND = "0.001"


async def fill(settings: Settings, chance: random.Random) -> None:
    """Put the shop on the topics."""
    await apply_topics(settings)
    producer = make_producer(settings.kafka_bootstrap_servers, linger_ms=20)
    await producer.start()
    for topic, subject, event in news(chance):
        await producer.send(topic, event.encode(), key=partition_key(SHOP, subject))
    await producer.stop()


async def share_within(base: str, limit: str) -> float:
    """Ask the API for the share of requests that it answered within one of its histogram's limits."""
    async with aiohttp.ClientSession() as client, client.get(f"{base}/metrics") as answer:
        lines = (await answer.text()).splitlines()
    name = "orderwake_recommendation_seconds_bucket"
    counts = {line.split()[0]: float(line.split()[1]) for line in lines if line.startswith(name)}
    return counts[f'{name}{{le="{limit}"}}'] / counts[f'{name}{{le="+Inf"}}']


def milliseconds(seconds: Sequence[float], share: float) -> float:
    """Return the quantile, in milliseconds."""
    return round(1000 * sorted(seconds)[min(int(len(seconds) * share), len(seconds) - 1)], 3)


def told(taken: Taken) -> dict[str, float]:
    """Say what came of a load."""
    return {
        "requests_per_second": round(len(taken.since_due) / taken.elapsed, 1),
        "p50_ms": milliseconds(taken.since_due, 0.5),
        "p99_ms": milliseconds(taken.since_due, 0.99),
        "max_ms": milliseconds(taken.since_due, 1.0),
        "sent_p50_ms": milliseconds(taken.since_sent, 0.5),
        "sent_p99_ms": milliseconds(taken.since_sent, 0.99),
        "late_p99_ms": milliseconds(taken.late, 0.99),
    }


async def measure(service: Service, key: str, rate: int, seconds: float) -> dict[str, float]:
    """Wait for the API, warm it up, send the load, and say what came of it."""
    headers: Mapping[str, str] = {"X-Orderwake-Key": key}
    started = await until(service.is_ready, "ready", READY_SECONDS)
    asked = questions(random.Random(7))  # noqa: S311  a load, not a secret
    await drive(service.port, asked, rate, WARM_UP_SECONDS, headers)
    before, since = service.cpu_seconds, CLOCK.monotonic()
    taken = await drive(service.port, asked, rate, seconds, headers)
    cores = (service.cpu_seconds - before) / (CLOCK.monotonic() - since)
    return {
        **told(taken),
        "api_within_1_ms": round(await share_within(service.base, MILLISECOND), 4),
        "api_cores": round(cores, 3),
        "api_mb": round(service.process.memory_info().rss / 1e6, 1),
        "ready_seconds": round(started, 2),
    }


def bench(folder: Path, bootstrap: str, rate: int, seconds: float, core: set[int]) -> dict[str, float]:
    """Fill the topics, start the API on `core`, measure it, stop it."""
    asyncio.run(fill(Settings(kafka_bootstrap_servers=bootstrap), random.Random(1)))  # noqa: S311  a shop, not a secret
    key = f"sk_{secrets.token_hex(8)}"
    environment = {
        "KAFKA_BOOTSTRAP_SERVERS": bootstrap,
        "ORDERWAKE_RECOMMENDATION_SECRET_KEYS": f"{SHOP}:{key}",
    }
    with Service("recommendations", environment, folder / "recommendations.log", core) as service:
        return uvloop.run(measure(service, key, rate, seconds))


def divide() -> set[int]:
    """Keep this process, and what it starts, off the last core; returns that core for the API (all, if there is one)."""
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) > 1:
        os.sched_setaffinity(0, cores[:-1])
        return {cores[-1]}
    sys.stderr.write("one core only: client and API share it\n")
    return set(cores)


def main() -> None:
    """Start a broker unless one is given, measure, print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rate", type=int, default=1000, help="requests a second")
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--json", action="store_true", help="print the figures as JSON on the last line")
    arguments = parser.parse_args()
    log.configure("bench", "warning")
    logging.getLogger("aiokafka").setLevel(
        logging.ERROR
    )  # topics just made have no leader yet; it tries again
    core = divide()
    with tempfile.TemporaryDirectory(prefix="orderwake-bench-") as name:
        folder = Path(name)
        kafka = choose(folder, os.environ).kafka
        kafka.start()
        try:
            found = bench(folder, kafka.bootstrap, arguments.rate, arguments.seconds, core)
        finally:
            kafka.stop()
    for figure, value in found.items():
        goal = f"   (goal: under {GOAL_P99_MS:.0f})" if figure == "p99_ms" else ""
        sys.stdout.write(f"{figure:<22}{value:>12,.2f}{goal}\n")
    if arguments.json:
        sys.stdout.write(json.dumps({**found, "goal_p99_ms": GOAL_P99_MS}) + "\n")


if __name__ == "__main__":
    main()
