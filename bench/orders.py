"""A grocer's orders, the same for every case of a run, and what pairs come out of them."""

import random
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import orjson

from services.recommender.recount import Counts, recount
from shared.events import OrderRecorded, decode
from shared.ids import partition_key

SHOP = "grocer"
PRODUCTS, CUSTOMERS, DAYS = 1000, 10_000, 56
_SEED = 20261101
_FIRST = datetime(2026, 1, 1, tzinfo=UTC)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_BUCKET_DAYS = 28

Row = tuple[bytes, bytes]
Baskets = dict[bytes, dict[str, int]]
"""By product and bucket: baskets with the product (""), and of these, those with each other product."""


@dataclass(frozen=True)
class Orders:
    """Keys and values of `orders` records; `pair_updates` counts both directions of each pair of each basket."""

    rows: list[Row]
    lines: int
    pair_updates: int

    def expected(self) -> Counts:
        """Count all that ours counts in one pass, by no stream at all."""
        events = (decode(value, (OrderRecorded,)) for _, value in self.rows)
        return recount(event for event in events if isinstance(event, OrderRecorded))

    def baskets(self) -> Baskets:
        """Count what the peers count: baskets and pairs."""
        counts: Baskets = {}
        for _, value in self.rows:
            order = orjson.loads(value)["data"]
            bucket = bucket_of(datetime.fromisoformat(order["placed_at"]))
            products = [line["product_id"] for line in order["lines"]]
            for product in products:
                tally = counts.setdefault(b"%b|%d" % (partition_key(SHOP, product), bucket), {})
                for other in products:
                    name = "" if other == product else other
                    tally[name] = tally.get(name, 0) + 1
        return counts

    def first(self, number: int) -> "Orders":
        """The log's beginning."""
        return _of(self.rows[:number])


def make(number: int) -> Orders:
    """Orders of two or three different products, popular ones more often, over eight weeks; about 500 bytes each."""
    chance = random.Random(_SEED)  # noqa: S311  a log, the same every time
    return _of([_row(chance, order, number) for order in range(number)])


def _row(chance: random.Random, order: int, number: int) -> Row:
    size = chance.randint(2, 3)
    products: set[str] = set()
    while len(products) < size:
        products.add(f"p-{int(PRODUCTS * chance.random() ** 2)}")
    customer = f"c-{chance.randrange(CUSTOMERS)}"
    placed_at = (_FIRST + timedelta(days=DAYS * order / number)).isoformat()
    value = {
        "specversion": "1.0",
        "id": f"o-{order}/1",
        "source": "/bench",
        "type": OrderRecorded.type_name(),
        "time": placed_at,
        "datacontenttype": "application/json",
        "shopid": SHOP,
        "customerid": customer,
        "data": {
            "order_id": f"o-{order}",
            "placed_at": placed_at,
            "status": "placed",
            "currency": "USD",
            "total": f"{size * 19.9:.2f}",
            "lines": [_line(product) for product in sorted(products)],
        },
    }
    return partition_key(SHOP, customer), orjson.dumps(value)


def with_product(value: bytes, product: str) -> bytes:
    """Give an order a line more."""
    event = orjson.loads(value)
    event["data"]["lines"].append(_line(product))
    return orjson.dumps(event)


def _line(product: str) -> dict[str, object]:
    return {"product_id": product, "quantity": 1, "unit_price": "19.90"}


def _of(rows: list[Row]) -> Orders:
    sizes = [len(orjson.loads(value)["data"]["lines"]) for _, value in rows]
    return Orders(rows, sum(sizes), sum(size * (size - 1) for size in sizes))


def bucket_of(moment: datetime) -> int:
    """Number of whole 28-day spans between 1970-01-01 and the moment."""
    return (moment - _EPOCH).days // _BUCKET_DAYS


def counts_of(found: Iterable[tuple[str, int, str, int]]) -> Baskets:
    """Make counts of (product, bucket, other product, number); baskets with the product have no other ("")."""
    counts: Baskets = {}
    for product, bucket, other, number in found:
        tally = counts.setdefault(b"%b|%d" % (partition_key(SHOP, product), bucket), {"": 0})
        tally[other] = number
    return counts
