"""The thank-you page as its own process, on one core: how long an offer takes at a given rate of orders.

    make bench-thank-you ARGS="--rate 500 --seconds 20 --json"

Customers of the skincare shop with eight orders and fifteen messages behind them (bench/scheduler_people.py) stand in a real
PostgreSQL, the shop's products and what goes with them on a real broker. The page, held to one core, decides on the journey as
it stands in `journeys/`. Each customer places one order, which the page sends before its event has arrived, so every request is a
decision by all rules, recorded with its facts, its outbox record and its answer in one transaction. Requests leave at fixed
moments from the other core, whether or not earlier ones were answered; PostgreSQL, the broker and the client share that core. A
request's time, and so p50, p99 and max, runs from the moment at which it was due. `late_p99_ms` is the client's own delay. No
scheduler runs: that partitions are read to their ends is written for it, and the outbox fills.
"""

import argparse
import asyncio
import json
import logging
import os
import re
import secrets
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import aiohttp
import asyncpg
import uvloop

from bench import scheduler_people as people
from bench.http_load import posted, send
from bench.recommendations import divide, told
from bench.service import CLOCK, Service, until
from services.scheduler import store
from services.scheduler.intake import TOPICS
from services.scheduler.page.app import partitioner
from services.scheduler.publish import Publisher
from services.scheduler.views import Views
from shared import events, log
from shared.clock import Scale, ScaledClock
from shared.db import create_pool, load_queries, migrate
from shared.embedded import choose
from shared.events import Event
from shared.ids import partition_key
from shared.kafka.admin import apply_topics
from shared.kafka.producer import make_producer
from shared.law import ContactHours
from shared.settings import Settings
from shared.topics import CATALOG, COMPLEMENTS

GOAL_P99_MS = 20.0
WARM_UP_SECONDS = 3.0
READY_SECONDS = 120.0
MODELS = 60
SCHEMA = "scheduler"
SHOP = people.SHOP
queries = load_queries(Path(__file__).with_name("thank_you.sql"))
_RESULT = re.compile(
    r'^orderwake_page_answers_total\{result="(?P<result>[^"]+)"\} (?P<count>[0-9.e+]+)$', re.MULTILINE
)


@dataclass(frozen=True)
class Stand:
    """Where the page works."""

    settings: Settings
    clock: ScaledClock
    key: str
    pool: asyncpg.Pool


def news(known: Views) -> Iterator[tuple[str, str, Event]]:
    """Tell what the shop sells and what goes with what: topic, product, event."""
    for number in range(people.PRODUCTS):
        name = f"p-{number}"
        product = known.catalogue(SHOP).get(name)
        if product is not None:
            listed = events.ProductRecorded(**people.frame(SHOP, None, people.NOW, name), data=product)
            yield CATALOG.name, name, listed
        found = known.proposals(SHOP, [name])
        data = events.Complements(product_id=name, version=7, candidates=found.candidates)
        yield (
            COMPLEMENTS.name,
            name,
            events.ComplementsUpdated(**people.frame(SHOP, None, people.NOW, name), data=data),
        )


async def fill_topics(settings: Settings, known: Views) -> None:
    """Put the shop on the topics."""
    await apply_topics(settings)
    producer = make_producer(settings.kafka_bootstrap_servers, linger_ms=20)
    await producer.start()
    for topic, subject, event in news(known):
        await producer.send(topic, event.encode(), key=partition_key(SHOP, subject))
    await producer.stop()


async def fill_store(stand: Stand, known: Views, customers: int) -> None:
    """Store customers, each with the life of one of some models, and put the journey in force."""
    plan, law = people.published(), ContactHours.load()
    models = [people.person(number, SHOP, plan, known, law) for number in range(MODELS)]
    partition_of = partitioner(stand.settings.topic_partitions)
    rows = []
    for number in range(customers):
        model, name = models[number % MODELS], people.name_of(number)
        text = model.dump().replace(model.customer_id, name)
        rows.append((SHOP, name, partition_of(SHOP, name), store.pack(text)))
    columns = ["shop_id", "customer_id", "partition_number", "state"]
    await stand.pool.copy_records_to_table("customers", records=rows, columns=columns)
    publisher = Publisher(stand.pool, plan, stand.clock)
    while not publisher.published.is_set():
        await publisher.run_once()
    await stand.pool.execute(queries.settle)


async def keep_fresh(stand: Stand) -> None:
    """Say once a second, as a scheduler would, that every topic is read to its end."""
    partitions = range(stand.settings.topic_partitions)
    while True:
        now = stand.clock.machine()
        rows = [(topic.name, partition, now) for topic in TOPICS for partition in partitions]
        await stand.pool.executemany(queries.set_position, rows)
        await asyncio.sleep(1)


def orders(first: int, number: int, key: str) -> list[bytes]:
    """Return the requests of so many customers' thank-you pages, from customer `first` on."""
    found = []
    for customer in range(first, first + number):
        order = people.order(customer, SHOP, people.ORDERS, people.NOW).data
        body = {
            "customer_id": people.name_of(customer),
            "order_id": order.order_id,
            "currency": order.currency,
            "total": str(order.total),
            "lines": [each.model_dump(mode="json", exclude_none=True) for each in order.lines],
        }
        found.append(posted("/v1/offers/thank-you", json.dumps(body).encode(), {"X-Orderwake-Key": key}))
    return found


async def answers(service: Service) -> dict[str, float]:
    """Return how many requests the page answered with an offer, and with each reason for none."""
    async with aiohttp.ClientSession() as client, client.get(f"{service.base}/metrics") as page:
        text = await page.text()
    return {found["result"]: float(found["count"]) for found in _RESULT.finditer(text)}


async def measure(stand: Stand, service: Service, rate: int, seconds: float) -> dict[str, float]:
    """Wait for the page, warm it up, send the load, and say what came of it."""
    await until(service.is_ready, "ready", READY_SECONDS)
    warm, number = int(rate * WARM_UP_SECONDS), int(rate * seconds)
    await send(service.port, orders(0, warm, stand.key), rate)
    asked = orders(warm, number, stand.key)
    before, counted, since = service.cpu_seconds, await answers(service), CLOCK.monotonic()
    taken = await send(service.port, asked, rate)
    spent = service.cpu_seconds - before
    cores = spent / (CLOCK.monotonic() - since)
    found = {name: count - counted.get(name, 0) for name, count in (await answers(service)).items()}
    again = await send(service.port, asked[: rate * 3], rate)
    return {
        **told(taken),
        **{f"answered_{name}": count for name, count in sorted(found.items())},
        "again_p99_ms": told(again)["p99_ms"],
        "page_cpu_ms_each": round(1000 * spent / number, 3),
        "page_cores": round(cores, 3),
        "page_mb": round(service.process.memory_info().rss / 1e6, 1),
    }


async def bench(
    folder: Path, settings: Settings, rate: int, seconds: float, core: set[int]
) -> dict[str, float]:
    """Fill topics and store, start the page on `core`, measure it, stop it."""
    url = settings.database_url.get_secret_value()
    await migrate(url, SCHEMA, Path(store.__file__).with_name("migrations"))
    scale = Scale(people.NOW + timedelta(minutes=2), CLOCK.machine(), 1)
    pool = await create_pool(settings, SCHEMA)
    stand = Stand(settings, ScaledClock(scale), f"sk_{secrets.token_hex(8)}", pool)
    known = people.views()
    await fill_topics(settings, known)
    await fill_store(stand, known, int(rate * (seconds + WARM_UP_SECONDS)) + 1)
    fresh = asyncio.ensure_future(keep_fresh(stand))
    environment = {
        "KAFKA_BOOTSTRAP_SERVERS": settings.kafka_bootstrap_servers,
        "DATABASE_URL": url,
        "ORDERWAKE_BUSINESS_TIME": str(scale),
        "ORDERWAKE_THANK_YOU_SECRET_KEYS": f"{SHOP}:{stand.key}",
    }
    try:
        with Service("offers", environment, folder / "offers.log", core) as service:
            return await measure(stand, service, rate, seconds)
    finally:
        fresh.cancel()
        await pool.close()


def show(found: dict[str, float]) -> None:
    """Print a table."""
    for figure, value in found.items():
        goal = f"   (goal: under {GOAL_P99_MS:.0f})" if figure == "p99_ms" else ""
        sys.stdout.write(f"{figure:<24}{value:>12,.2f}{goal}\n")


def main(arguments: Sequence[str] | None = None) -> None:
    """Start broker and database unless they are given, measure, print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rate", type=int, default=500, help="orders a second")
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--json", action="store_true", help="print the figures as JSON on the last line")
    given = parser.parse_args(arguments)
    log.configure("bench", "warning")
    # Topics just made have no leader yet; it tries again.
    logging.getLogger("aiokafka").setLevel(logging.ERROR)
    core = divide()
    with tempfile.TemporaryDirectory(prefix="orderwake-bench-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        infrastructure = choose(folder, os.environ)
        infrastructure.kafka.start()
        infrastructure.postgres.start()
        try:
            settings = Settings(
                kafka_bootstrap_servers=infrastructure.bootstrap_servers,
                database_url=infrastructure.database_url,
            )
            found = uvloop.run(bench(folder, settings, given.rate, given.seconds, core))
        finally:
            infrastructure.postgres.stop()
            infrastructure.kafka.stop()
    show(found)
    if given.json:
        sys.stdout.write(json.dumps({**found, "goal_p99_ms": GOAL_P99_MS}) + "\n")


if __name__ == "__main__":
    main()
