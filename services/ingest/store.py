"""Ingest's PostgreSQL: ids seen, owners of orders, parked records, newest versions.

Every function works in the caller's transaction.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import UUID

from services.ingest.domain.identity import OrderKey
from shared.db import load_queries
from shared.ids import CustomerId, OrderId, ShopId
from shared.kafka.records import Record

SCHEMA = "ingest"
queries = load_queries(Path(__file__).with_name("queries.sql"))

Connection = Any  # asyncpg's connection or a pool's proxy for one
VersionKey = tuple[str, bytes]


@dataclass(frozen=True, slots=True)
class Parked:
    """A record that waits, or waited, for its order. `identity` is the event's in `seen_events`."""

    order: OrderKey
    record: Record
    identity: UUID


async def note_seen(connection: Connection, identities: Collection[UUID], seen_at: datetime) -> set[UUID]:
    """Remember events; returns those not known before. Waits for a worker that is just taking one of them."""
    return {row["identity"] for row in await connection.fetch(queries.note_seen, list(identities), seen_at)}


async def forget_seen(connection: Connection, before: datetime, limit: int) -> None:
    """Forget up to `limit` events seen before a moment."""
    await connection.execute(queries.forget_seen, before, limit)


async def unsee(connection: Connection, identities: Collection[UUID]) -> None:
    """Forget these events, whose dead letters are being written: sent again, they are new."""
    await connection.execute(queries.unsee, list(identities))


async def note_owners(connection: Connection, owners: Mapping[OrderKey, CustomerId]) -> None:
    """Remember whose each order is. The first owner stays."""
    shops, orders = _columns(owners)
    await connection.execute(queries.note_owners, shops, orders, list(owners.values()))


async def owners_of(connection: Connection, orders: Collection[OrderKey]) -> dict[OrderKey, CustomerId]:
    """The owners of those orders that are known."""
    rows = await connection.fetch(queries.owners, *_columns(orders))
    return {(ShopId(row["shop"]), OrderId(row["order_id"])): CustomerId(row["customer_id"]) for row in rows}


async def park(connection: Connection, waiting: Sequence[Parked], parked_at: datetime) -> None:
    """Keep records until their order comes; `parked_at` is business time."""
    shops, orders = _columns(item.order for item in waiting)
    records = [item.record for item in waiting]
    await connection.execute(
        queries.park,
        shops,
        orders,
        [record.topic for record in records],
        [record.partition for record in records],
        [record.offset for record in records],
        [record.key for record in records],
        [record.value for record in records],
        [item.identity for item in waiting],
        parked_at,
    )


async def take_parked_of(connection: Connection, orders: Collection[OrderKey]) -> list[Parked]:
    """Take out the records that wait for these orders, oldest first."""
    return _parked(await connection.fetch(queries.take_parked_of, *_columns(orders)))


async def take_parked_with_owner(connection: Connection, limit: int) -> list[Parked]:
    """Take out records whose order is known by now and that no other worker holds, oldest first."""
    return _parked(await connection.fetch(queries.take_parked_with_owner, limit))


async def take_parked_before(connection: Connection, before: datetime, limit: int) -> list[Parked]:
    """Take out records parked before a moment (business time) whose order is still unknown."""
    return _parked(await connection.fetch(queries.take_parked_before, before, limit))


async def count_parked(connection: Connection) -> int:
    """How many records wait for their order."""
    return int(await connection.fetchval(queries.count_parked))


async def lag(connection: Connection) -> int:
    """Records on `inbound.*` that have not been worked, as of the last look at the log ends."""
    return int(await connection.fetchval(queries.lag))


async def lock_newest(connection: Connection, keys: Collection[VersionKey]) -> dict[VersionKey, int]:
    """The newest version published for each key (-1: none), locked until the transaction ends.

    The lock is what keeps two workers from publishing two states of one thing in the wrong order.
    """
    rows = await connection.fetch(queries.lock_newest, [topic for topic, _ in keys], [key for _, key in keys])
    return {(row["topic"], row["key"]): row["version"] for row in rows}


async def raise_newest(connection: Connection, versions: Mapping[VersionKey, int]) -> None:
    """Set the newest versions of keys that were locked."""
    topics, keys = [topic for topic, _ in versions], [key for _, key in versions]
    await connection.execute(queries.raise_newest, topics, keys, list(versions.values()))


def _columns(orders: Iterable[OrderKey]) -> tuple[list[str], list[str]]:
    pairs = list(orders)
    return [shop for shop, _ in pairs], [order for _, order in pairs]


def _parked(rows: Sequence[Any]) -> list[Parked]:
    return [
        Parked(
            (ShopId(row["shop"]), OrderId(row["order_id"])),
            Record(row["topic"], row["partition_number"], row["record_offset"], row["key"], row["value"]),
            row["identity"],
        )
        for row in sorted(rows, key=lambda row: int(row["id"]))
    ]
