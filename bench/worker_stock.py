"""A Faust worker as Faust's documentation writes one: python -m bench.worker_stock BOOTSTRAP TOPIC GROUP FOLDER JOB.

JOB `driver` counts orders by customer; `pairs` keeps each customer's orders, sends each product of a basket to a
partition by product, and counts orders and pairs there, one table key each: the layout in which it writes least.
"""

import asyncio
import signal
import sys
from datetime import datetime
from typing import Any

import faust
import orjson

from bench.broker import PARTITIONS
from bench.orders import bucket_of
from shared import log
from shared.clock import SystemClock

_CLOCK = SystemClock()


class Started:
    """Tells the parent, once, that the first record is here."""

    def __init__(self) -> None:
        self._told = False

    def tell(self) -> None:
        """Write the time, in seconds since 1970, on standard output."""
        if not self._told:
            self._told = True
            sys.stdout.write(f"{_CLOCK.machine().timestamp()}\n")
            sys.stdout.flush()


def make(bootstrap: str, group: str, folder: str) -> faust.App:
    """Make an app with Faust's own driver and tables."""
    return faust.App(
        group,
        broker=f"kafka://{bootstrap}",
        store="rocksdb://",
        datadir=folder,
        web_enabled=False,
        table_standby_replicas=0,
        topic_allow_declare=False,
        topic_disable_leader=True,
        broker_commit_interval=1.0,
        consumer_auto_offset_reset="earliest",
    )


def count_orders(app: faust.App, topic: str) -> None:
    """One table write per order."""
    source = app.topic(topic, key_type=bytes, value_type=bytes, value_serializer="raw")
    counts = app.Table("counts", default=int, partitions=PARTITIONS, key_type=bytes)
    started = Started()

    @app.agent(source)
    async def count(stream: Any) -> None:  # noqa: ANN401  Faust's stream is untyped
        async for key, value in stream.items():
            started.tell()
            orjson.loads(value)
            counts[key] += 1


def count_pairs(app: faust.App, topic: str) -> None:
    """History by customer, then orders and pairs by product."""
    source = app.topic(topic, key_type=bytes, value_type=bytes, value_serializer="raw")
    deltas = app.topic(deltas_of(topic), key_type=bytes, value_type=bytes, value_serializer="raw")
    history = app.Table("history", partitions=PARTITIONS, key_type=str)
    pairs = app.Table("pairs", default=int, partitions=PARTITIONS, key_type=str)
    started = Started()

    @app.agent(source)
    async def learn(stream: Any) -> None:  # noqa: ANN401  as above
        async for key, value in stream.items():
            started.tell()
            event = orjson.loads(value)
            order = event["data"]
            bucket = bucket_of(datetime.fromisoformat(order["placed_at"]))
            products = sorted({line["product_id"] for line in order["lines"]})
            history[f"{key.decode()}|{order['order_id']}"] = {"bucket": bucket, "products": products}
            for product in products:
                delta = {"bucket": bucket, "others": [other for other in products if other != product]}
                await deltas.send(key=f"{event['shopid']}|{product}".encode(), value=orjson.dumps(delta))

    @app.agent(deltas)
    async def count(stream: Any) -> None:  # noqa: ANN401  as above
        async for key, value in stream.items():
            delta = orjson.loads(value)
            for other in ("", *delta["others"]):
                pairs[f"{key.decode()}|{delta['bucket']}|{other}"] += 1

    del learn, count


def deltas_of(topic: str) -> str:
    """Name of the topic between the two stages."""
    return f"{topic}-deltas"


async def work(app: faust.App) -> None:
    """Run until SIGTERM."""
    stopping = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopping.set)
    starting = asyncio.create_task(app.start())
    await stopping.wait()
    starting.cancel()
    await app.stop()


def main(bootstrap: str, topic: str, group: str, folder: str, job: str) -> None:
    """Put the worker together and run it."""
    log.configure("bench", "warning")

    async def run() -> None:
        app = make(bootstrap, group, folder)
        (count_orders if job == "driver" else count_pairs)(app, topic)
        await work(app)

    asyncio.run(run())


if __name__ == "__main__":
    main(*sys.argv[1:])
