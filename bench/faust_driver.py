"""The batch driver against stock Faust: orders counted by customer, one table write each, on one worker.

    make bench-driver ARGS="--orders 100000 --json"

Both read the same topic in the same run. The clock starts with the first order in stock Faust's agent, and when ours is
ready for it; it stops when the last one is counted and its changelog record acknowledged. Stock Faust gets a tenth of
the orders: its rate does not depend on it.
"""

import argparse
import asyncio
import json
import os
import secrets
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import faust
import orjson
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from bench.broker import PARTITIONS
from bench.worker_ours import BATCH, counting
from shared import log
from shared.clock import SystemClock
from shared.embedded import choose
from shared.kafka.faust import run
from shared.kafka.faust.stores import Kind
from shared.kafka.producer import make_producer
from shared.settings import Settings
from shared.topics import changelog_name

CUSTOMERS = 10_000
STOCK_SHARE = 10
STORES: tuple[Kind, ...] = ("memory", "rocksdb")
CLOCK = SystemClock()


@dataclass(frozen=True)
class Run:
    """One worker's task: count `orders` records of `topic`. The folder's name is part of the group's."""

    bootstrap: str
    topic: str
    orders: int
    store: Kind
    folder: Path

    @property
    def app_id(self) -> str:
        """A group that no other run uses."""
        return f"{self.topic}-{self.folder.name}"


def order(number: int) -> bytes:
    """One order of two lines, about 300 bytes."""
    lines = [{"product_id": f"p-{number % 997}", "quantity": 1, "unit_price": "19.90"} for _ in range(2)]
    data = {"order_id": f"o-{number}", "currency": "USD", "total": "39.80", "lines": lines}
    return orjson.dumps({"specversion": "1.0", "id": str(number), "source": "/bench", "data": data})


async def create(bootstrap: str, *names: str) -> None:
    """Create topics of equal partition counts."""
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    await admin.create_topics([NewTopic(name, PARTITIONS, 1) for name in names])
    await admin.close()


async def fill(bootstrap: str, topic: str, orders: int) -> None:
    """Write the orders."""
    producer = make_producer(bootstrap, linger_ms=20)
    await producer.start()
    for number in range(orders):
        await producer.send(topic, order(number), key=f"shop|c-{number % CUSTOMERS}".encode())
    await producer.stop()


async def bare(task: Run) -> float:
    """Return the ceiling: aiokafka alone, decoding only, in orders a second."""
    consumer = AIOKafkaConsumer(bootstrap_servers=task.bootstrap, auto_offset_reset="earliest")
    await consumer.start()
    consumer.assign([TopicPartition(task.topic, part) for part in range(PARTITIONS)])
    seen, started = 0, 0.0
    while seen < task.orders:
        for records in (await consumer.getmany(timeout_ms=200, max_records=BATCH)).values():
            started = started or CLOCK.monotonic()
            for record in records:
                orjson.loads(record.value)
            seen += len(records)
    await consumer.stop()
    return seen / (CLOCK.monotonic() - started)


async def ours(task: Run) -> float:
    """Return the orders a second of the batch driver."""
    settings = Settings(kafka_bootstrap_servers=task.bootstrap, data_dir=task.folder, batch_records=BATCH)
    app = counting(settings, task.topic, task.app_id, task.store)
    stop = asyncio.Event()
    worker = asyncio.create_task(run(app, stop))
    ready = asyncio.create_task(app.driver.ready.wait())
    await asyncio.wait([worker, ready], return_when=asyncio.FIRST_COMPLETED)
    started = CLOCK.monotonic()
    while sum(app.driver.done.values()) < task.orders and not worker.done():  # noqa: ASYNC110  only polling shows the end
        await asyncio.sleep(0.005)
    seconds = CLOCK.monotonic() - started
    stop.set()
    ready.cancel()
    await worker
    return task.orders / seconds


async def stock(task: Run) -> float:
    """Return the orders a second of an agent as Faust's documentation writes it."""
    app = faust.App(
        task.app_id,
        broker=f"kafka://{task.bootstrap}",
        store=f"{task.store}://",
        datadir=task.folder,
        web_enabled=False,
        table_standby_replicas=0,
        topic_allow_declare=False,
        topic_disable_leader=True,
        consumer_auto_offset_reset="earliest",
    )
    source = app.topic(task.topic, key_type=bytes, value_type=bytes, value_serializer="raw")
    counts = app.Table("counts", default=int, partitions=PARTITIONS, key_type=bytes)
    started, seen, enough = 0.0, 0, asyncio.Event()

    @app.agent(source)
    async def count(stream: Any) -> None:  # noqa: ANN401  Faust's stream is untyped
        nonlocal started, seen
        async for key, value in stream.items():
            started = started or CLOCK.monotonic()
            orjson.loads(value)
            counts[key] += 1
            seen += 1
            if seen == task.orders:
                enough.set()

    starting = asyncio.create_task(app.start())
    await enough.wait()
    while app.producer.buffer.size:  # noqa: ASYNC110  its flush gives up before it is empty
        await asyncio.sleep(0.005)
    await app.producer.flush()
    seconds = CLOCK.monotonic() - started
    starting.cancel()
    await app.stop()
    return task.orders / seconds


async def compare(bootstrap: str, folder: Path, orders: int) -> dict[str, float]:
    """Run each case once, one after the other."""
    topic, short = (f"bench-{secrets.token_hex(3)}-{size}" for size in ("long", "short"))
    await create(bootstrap, topic, short)
    await fill(bootstrap, topic, orders)
    await fill(bootstrap, short, orders // STOCK_SHARE)
    blank = Run(bootstrap, topic, orders, "memory", folder)
    found = {"bare aiokafka, decode only": await bare(blank)}
    for store in STORES:
        for name, case, source, count in (
            ("stock Faust", stock, short, orders // STOCK_SHARE),
            ("batch driver", ours, topic, orders),
        ):
            task = Run(bootstrap, source, count, store, Path(tempfile.mkdtemp(dir=folder)))
            await create(bootstrap, changelog_name(task.app_id, "counts"))
            found[f"{name}, {store}"] = await case(task)
    return found


def table(found: dict[str, float]) -> str:
    """Lay the rates out, with ours as a multiple of stock Faust's."""
    lines = [f"{'one worker, one table write each':<34}{'orders/s':>12}{'ratio':>8}"]
    for name, rate in found.items():
        peer = found.get(name.replace("batch driver", "stock Faust")) if name.startswith("batch") else None
        ratio = f"{rate / peer:.1f}" if peer else ""
        lines.append(f"{name:<34}{rate:>12,.0f}{ratio:>8}")
    return "\n".join(lines)


def main() -> None:
    """Start a broker unless one is given, compare, print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--orders", type=int, default=100_000)
    parser.add_argument("--json", action="store_true", help="print the figures as JSON on the last line")
    arguments = parser.parse_args()
    log.configure("bench", "warning")
    with tempfile.TemporaryDirectory(prefix="orderwake-bench-") as name:
        kafka = choose(Path(name), os.environ).kafka
        kafka.start()
        try:
            found = asyncio.run(compare(kafka.bootstrap, Path(name), arguments.orders))
        finally:
            kafka.stop()
    sys.stdout.write(table(found) + "\n")
    if arguments.json:
        sys.stdout.write(json.dumps({name: round(rate) for name, rate in found.items()}) + "\n")


if __name__ == "__main__":
    main()
