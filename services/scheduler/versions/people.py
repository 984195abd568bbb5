"""Customers as they are stored, read by the thousand and without a lock, for who only looks at them."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from services.scheduler.store import Connection, CustomerKey, Locked, unpack
from shared.db import load_queries

queries = load_queries(Path(__file__).with_name("people.sql"))


async def marks(connection: Connection, shops: Sequence[str], every: int) -> list[CustomerKey]:
    """Return each `every`th key of these shops' customers, and the last."""
    rows = await connection.fetch(queries.marks, list(shops), every)
    return [(row["shop_id"], row["customer_id"]) for row in rows]


async def count_customers(connection: Connection, shops: Sequence[str]) -> int:
    """Count these shops' customers."""
    return int(await connection.fetchval(queries.count_customers, list(shops)))


async def between(
    connection: Connection, shops: Sequence[str], after: CustomerKey, until: CustomerKey
) -> list[Locked]:
    """Return customers of these shops whose keys come after the one and up to the other, without locking them."""
    rows = await connection.fetch(queries.between, list(shops), *after, *until)
    return [_person(row) for row in rows]


async def customer(connection: Connection, key: CustomerKey) -> Locked | None:
    """Return one customer without locking them, if known."""
    row = await connection.fetchrow(queries.customer, *key)
    return _person(row) if row else None


def _person(row: Mapping[str, Any]) -> Locked:
    return Locked(row["shop_id"], row["customer_id"], row["partition_number"], unpack(row["state"]))
