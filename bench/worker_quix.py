"""A quixstreams worker, as its documentation writes one: python -m bench.worker_quix BOOTSTRAP TOPIC GROUP FOLDER JOB.

It runs in an environment of its own and so imports nothing of ours. JOB `driver` counts orders by customer; `pairs`
keeps each customer's orders, sends each product of a basket to a partition by product, and counts orders and pairs
there, one state key each. (One record for each product, as ours has, is as fast for it.)
"""

import sys
import time
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from quixstreams import Application, State  # type: ignore[import-not-found]  # it is not in our environment

_EPOCH = datetime.fromisoformat("1970-01-01T00:00:00+00:00")
_BUCKET_DAYS = 28
_started = False


def start() -> None:
    """Tell the parent, once, that the first record is here."""
    global _started  # noqa: PLW0603  the callbacks of a dataframe share nothing else
    if not _started:
        _started = True
        print(time.time(), flush=True)  # noqa: T201  that is how a worker tells


def count_orders(value: dict[str, Any], state: State) -> None:
    """One order more for the customer."""
    start()
    state.set("orders", state.get("orders", 0) + 1)
    del value


def learn(value: dict[str, Any], state: State) -> list[dict[str, Any]]:
    """Keep the order in the customer's history; say what it adds to each of its products."""
    start()
    order = value["data"]
    bucket = (datetime.fromisoformat(order["placed_at"]) - _EPOCH).days // _BUCKET_DAYS
    products = sorted({line["product_id"] for line in order["lines"]})
    state.set(order["order_id"], {"bucket": bucket, "products": products})
    return list(deltas(value["shopid"], bucket, products))


def deltas(shop: str, bucket: int, products: list[str]) -> Iterator[dict[str, Any]]:
    """One record per product of a basket."""
    for product in products:
        others = [other for other in products if other != product]
        yield {"key": f"{shop}|{product}", "bucket": bucket, "others": others}


def count_pairs(value: dict[str, Any], state: State) -> None:
    """One order more with the product, and with each other product."""
    for other in ("", *value["others"]):
        name = f"{value['bucket']}|{other}"
        state.set(name, state.get(name, 0) + 1)


def main(bootstrap: str, topic: str, group: str, folder: str, job: str) -> None:
    """Work until SIGTERM."""
    app = Application(
        broker_address=bootstrap,
        consumer_group=group,
        auto_offset_reset="earliest",
        commit_interval=1.0,
        state_dir=folder,
        loglevel="WARNING",
    )
    frame = app.dataframe(app.topic(topic, key_deserializer="bytes", value_deserializer="json"))
    if job == "driver":
        frame.update(count_orders, stateful=True)
    else:
        frame = frame.apply(learn, stateful=True, expand=True)
        frame = frame.group_by("key", key_serializer="str", key_deserializer="str")
        frame.update(count_pairs, stateful=True)
    app.run()


if __name__ == "__main__":
    main(*sys.argv[1:])
