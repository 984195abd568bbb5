"""Reads a shop's past from Parquet files: orders, returns, catalogue."""

from collections import defaultdict
from collections.abc import Callable, Iterator
from datetime import datetime
from math import isnan
from pathlib import Path
from typing import Any

from services.recommender.domain.learner import Purchase
from services.recommender.offline import CameBack, Product, Shop
from services.recommender.queries import DAY, RecommendError, day_of

ORDER_COLUMNS = ("order_id", "customer", "ts", "item", "qty", "price")
RETURN_COLUMNS = ("customer", "ts", "item", "qty")
TICKS = {"s": 1, "ms": 1e3, "us": 1e6, "ns": 1e9}
Row = dict[str, Any]


def read(orders: Path, returns: Path | None = None, catalogue: Path | None = None) -> dict[str | None, Shop]:
    """Shops by name; by None where the orders have no column `shop`.

    An order's moment is that of its last line. Times without a zone are UTC. Lines of no positive quantity are left out;
    so are returns of guests. Ids that came as whole floats (7.0, as some tools write a column with gaps) are read as 7.
    Raises RecommendError: a file that is no Parquet, a missing column, a line that lacks a value.
    """
    shops: dict[str | None, Shop] = defaultdict(Shop)
    _read_orders(orders, shops)
    for row in _rows(returns, RETURN_COLUMNS) if returns else ():
        customer, quantity = _text(row["customer"]), _number(row["qty"])
        if customer is not None and quantity:
            item = CameBack(_day(row, returns), customer, str(_text(row["item"])), abs(quantity))
            shops[_text(row.get("shop"))].returns.append(item)
    for row in _rows(catalogue, ("item",)) if catalogue else ():
        for name, shop in shops.items():
            if "shop" not in row or _text(row["shop"]) == name:
                shop.products[str(_text(row["item"]))] = Product(
                    _text(row.get("category")), _number(row.get("price")), _number(row.get("stock"))
                )
    for shop in shops.values():
        shop.orders.sort(key=lambda purchase: (purchase.day, purchase.order_id))
        shop.returns.sort(key=lambda item: (item.day, item.customer, item.product))
        for sales in shop.prices.values():
            sales.sort()
    return dict(shops)


def _read_orders(path: Path, shops: dict[str | None, Shop]) -> None:
    table = _table(path, ORDER_COLUMNS)
    lines = zip(
        _texts(table, "shop"),
        _texts(table, "order_id"),
        _texts(table, "customer"),
        _days(table, path),
        _texts(table, "item"),
        table["qty"].to_pylist(),
        table["price"].to_pylist(),
        _texts(table, "category"),
        strict=True,
    )
    purchases: dict[tuple[str | None, str], Purchase] = {}
    for name, order, customer, day, item, units, paid, category in lines:
        quantity = _number(units)
        if item is None or quantity is None or quantity <= 0:
            continue
        shop, order_id = shops[name], str(order)
        purchase = purchases.get((name, order_id))
        if purchase is None:
            purchase = purchases[name, order_id] = Purchase(order_id, customer, day, {})
            shop.orders.append(purchase)
        purchase.day = max(purchase.day, day)
        purchase.quantities[item] = purchase.quantities.get(item, 0.0) + quantity
        price = _number(paid)
        if price is not None:
            shop.prices.setdefault(item, []).append((day, price))
        if category is not None and (item not in shop.products or day < shop.products[item].since):
            shop.products[item] = Product(category, since=day)


def _texts(table: Any, name: str) -> list[str | None]:  # noqa: ANN401  pyarrow ships no types
    if name not in table.column_names:
        return [None] * len(table)
    known: dict[Any, str | None] = {}
    found = []
    for value in table[name].to_pylist():
        if value not in known:
            known[value] = _text(value)
        found.append(known[value])
    return found


def _days(table: Any, path: Path) -> list[float]:  # noqa: ANN401  as above
    moments = table["ts"]
    if not str(moments.type).startswith("timestamp") or moments.null_count:
        for row in table.select(["ts"]).to_pylist():
            _day(row, path)
    ticks = TICKS[moments.type.unit]
    return [number / ticks / DAY for number in moments.cast("int64").to_pylist()]


def _text(value: Any) -> str | None:  # noqa: ANN401  whatever a column holds
    if isinstance(value, float):
        if isnan(value):
            return None
        value = int(value) if value.is_integer() else value
    return None if value is None else str(value)


def _number(value: Any) -> float | None:  # noqa: ANN401  whatever number a column holds
    return None if value is None or isnan(value) else float(value)


def _day(row: Row, path: Path | None) -> float:
    if not isinstance(row["ts"], datetime):
        message = f"{path}: ts must be a timestamp in every line, found {row['ts']!r}"
        raise RecommendError(message)
    return day_of(row["ts"])


def _rows(path: Path, needed: tuple[str, ...]) -> Iterator[Row]:
    for batch in _table(path, needed).to_batches(max_chunksize=20_000):
        yield from batch.to_pylist()


def _table(path: Path, needed: tuple[str, ...]) -> Any:  # noqa: ANN401  pyarrow ships no types
    table = _reader()(path)
    missing = [name for name in needed if name not in table.column_names]
    if missing:
        message = f"{path}: no column {', '.join(missing)} (needed: {', '.join(needed)})"
        raise RecommendError(message)
    return table


def _reader() -> Callable[[Path], Any]:
    try:
        import pyarrow as pa  # noqa: PLC0415  an extra: said plainly when it is missing
        import pyarrow.parquet as pq  # noqa: PLC0415  as above
    except ImportError:
        message = "reading Parquet needs pyarrow: pip install 'orderwake[demo]'"
        raise RecommendError(message) from None

    def read_table(path: Path) -> Any:  # noqa: ANN401  pyarrow ships no types
        try:
            return pq.read_table(path)
        except (pa.ArrowInvalid, OSError) as error:
            reason = str(error).splitlines()[0]
            message = f"{path}: cannot be read as Parquet: {reason}"
            raise RecommendError(message) from None

    return read_table
