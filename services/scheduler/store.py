"""PostgreSQL access of the scheduler: everything in the caller's transaction, on sets of rows."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import cramjam

from shared.db import load_queries
from shared.kafka.freshness import Position
from shared.switches import Scope

queries = load_queries(Path(__file__).with_name("queries.sql"))

CustomerKey = tuple[str, str]
_ROWS_LOOKED_AT = (4, 512)  # for each customer wanted
_LZ4 = b"\x01"

Connection = Any
"""asyncpg's connection or a pool's proxy of one."""


@dataclass(frozen=True, slots=True)
class Locked:
    """A customer whose row this transaction holds; `state` is the text last saved, empty for a new one."""

    shop_id: str
    customer_id: str
    partition: int
    state: str

    @property
    def key(self) -> CustomerKey:
        """Shop and customer."""
        return self.shop_id, self.customer_id


@dataclass(frozen=True, slots=True)
class Waiting:
    """An occurrence without a final verdict: `attempt` counts its defers, `next_at` is when to decide it."""

    message_id: UUID
    shop_id: str
    customer_id: str
    partition: int
    enrolment_id: UUID
    journey: str
    step: str
    occurrence: int
    channel: str
    due_at: datetime
    next_at: datetime
    attempt: int

    @property
    def timing(self) -> "Timing":
        """What may change while it waits."""
        return self.due_at, self.next_at, self.attempt


Timing = tuple[datetime, datetime, int]


@dataclass(frozen=True, slots=True)
class Span:
    """After `after` (None: from the beginning), up to `until`."""

    after: datetime | None
    until: datetime


_BEGINNING = datetime(1, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class InForce:
    """The journeys that all processes go by, and the last customer derived anew since they do.

    `shops`: whose customers are derived anew (None: all). What that has changed so far among waiting steps is counted.
    """

    fingerprint: str
    reached: CustomerKey
    complete: bool
    shops: tuple[str, ...] | None = None
    gained: int = 0
    lost: int = 0
    moved: int = 0


@dataclass(frozen=True, slots=True)
class Difference:
    """What turns the rows that exist into those that should. Of those put, `gained` were not there."""

    gone: tuple[UUID, ...]
    put: tuple[Waiting, ...]
    gained: int = field(default=0, compare=False)


def difference(present: Mapping[UUID, Timing], wanted: Iterable[Waiting]) -> Difference:
    """Compare the rows of some customers with the steps that are derived for them."""
    by_id = {step.message_id: step for step in wanted}
    return Difference(
        tuple(sorted(present.keys() - by_id.keys())),
        tuple(by_id[each] for each in sorted(by_id) if present.get(each) != by_id[each].timing),
        len(by_id.keys() - present.keys()),
    )


def pack(state: str) -> bytes:
    """Return a state as `customers.state` holds it: a byte that says how, then the text, compressed."""
    return _LZ4 + bytes(cramjam.lz4.compress_block(state.encode()))


def unpack(stored: bytes) -> str:
    """Return the state that was stored; the oldest are the text itself."""
    if stored[:1] != _LZ4:
        return stored.decode()
    return bytes(cramjam.lz4.decompress_block(stored[1:])).decode()


async def lock(connection: Connection, wanted: Mapping[CustomerKey, int]) -> list[Locked]:
    """Lock customers (given with their partitions) in the order of their keys; add those not known."""
    keys = sorted(wanted)
    shops, customers = _columns(keys)
    await connection.execute(queries.add_customers, shops, customers, [wanted[key] for key in keys])
    return [_locked(row) for row in await connection.fetch(queries.lock_customers, shops, customers)]


async def claim(
    connection: Connection, due: Span, partitions: Sequence[int], paused: Sequence[Scope], limit: int
) -> list[Locked]:
    """Lock up to `limit` customers who have a step due in a span, passing over those that are held already.

    Shops take turns: one with a million overdue steps delays another's only by its own share. Where others hold all
    that a short look finds, a long one is taken: a worker that stands still must not keep the rest waiting.
    """
    scopes, after = _paused_columns(paused), due.after or _BEGINNING
    for width in _ROWS_LOOKED_AT:
        rows = await connection.fetch(queries.claim, due.until, partitions, *scopes, limit, after, width)
        if rows:
            return [_locked(row) for row in rows]
    return []


async def timings(connection: Connection, customers: Iterable[CustomerKey]) -> dict[UUID, Timing]:
    """Return the due steps of customers as they are stored."""
    rows = await connection.fetch(queries.steps_of, *_columns(customers))
    return {row["message_id"]: (row["due_at"], row["next_at"], row["attempt"]) for row in rows}


async def save(connection: Connection, states: Mapping[CustomerKey, str]) -> None:
    """Write the states of customers that this transaction holds."""
    if states:
        await connection.execute(
            queries.save_customers, *_columns(states), [pack(state) for state in states.values()]
        )


async def write_steps(connection: Connection, change: Difference, customers: Iterable[CustomerKey]) -> None:
    """Write a difference of these customers' due steps."""
    if change.gone:
        await connection.execute(queries.remove_steps, *_columns(customers), change.gone)
    if change.put:
        columns = zip(*(_row(step) for step in change.put), strict=True)
        await connection.execute(queries.put_steps, *columns)


async def postpone(
    connection: Connection, customers: Iterable[CustomerKey], now: datetime, until: datetime
) -> None:
    """Look at what is due by `now` of customers that this transaction holds again later; no verdict is made of it."""
    await connection.execute(queries.postpone, *_columns(customers), now, until)


async def positions(connection: Connection) -> list[Position]:
    """Return how far each partition has been consumed, as their owners say."""
    rows = await connection.fetch(queries.positions)
    return [
        Position(
            row["topic"], row["partition_number"], row["position"], row["observed_at"], row["behind_since"]
        )
        for row in rows
    ]


async def tally(connection: Connection, slot: int, verdicts: Counter[tuple[str, str]]) -> None:
    """Count decisions by (verdict, reason)."""
    kinds = sorted(verdicts)
    await connection.execute(
        queries.tally,
        slot,
        [verdict for verdict, _ in kinds],
        [reason for _, reason in kinds],
        [verdicts[kind] for kind in kinds],
    )


async def share_in_force(connection: Connection) -> None:
    """Let nobody change what is in force until this transaction ends; others may share."""
    await connection.execute(queries.share_in_force)


async def in_force(connection: Connection) -> InForce | None:
    """Return what is in force, or None before the first start."""
    return _in_force(await connection.fetchrow(queries.in_force))


async def lock_in_force(connection: Connection) -> InForce | None:
    """Wait for all who share what is in force and return it; it is this transaction's to change."""
    await connection.execute(queries.lock_in_force)
    return await in_force(connection)


async def lock_reached(connection: Connection) -> InForce | None:
    """Return what is in force; how far customers are derived anew is this transaction's to change."""
    await connection.execute(queries.enter_in_force)
    return _in_force(await connection.fetchrow(queries.lock_reached))


async def put_in_force(
    connection: Connection, fingerprint: str, now: datetime, shops: Sequence[str] | None = None
) -> None:
    """Put others in force, with no customer of these shops (by default, of any) derived anew yet."""
    complete = shops is not None and not shops
    await connection.execute(queries.put_in_force, fingerprint, now, shops, complete)


async def advance_in_force(
    connection: Connection, reached: CustomerKey, change: Difference, *, complete: bool
) -> None:
    """Note the last customer derived anew, what changed for them, and whether none is left."""
    moved = len(change.put) - change.gained
    await connection.execute(
        queries.advance_in_force, *reached, complete, change.gained, len(change.gone), moved
    )


async def lock_next(
    connection: Connection, after: CustomerKey, limit: int, shops: Sequence[str] | None = None
) -> list[Locked]:
    """Lock the next customers (of `shops`, or of any), in the order of their keys, whose keys come after `after`."""
    return [_locked(row) for row in await connection.fetch(queries.lock_next, *after, limit, shops)]


async def count_steps(
    connection: Connection, now: datetime, horizon: datetime | None = None
) -> dict[str, int]:
    """Count what waits: in the future, overdue, deferred at least once, overdue without any verdict, due by `horizon`."""
    return dict(await connection.fetchrow(queries.count_steps, now, horizon))


async def count_outbox(connection: Connection) -> int:
    """Count the rows that the relay has yet to publish."""
    return int(await connection.fetchval(queries.count_outbox))


async def tallies(connection: Connection) -> list[tuple[str, str, int]]:
    """List all decisions so far as (verdict, reason, count)."""
    rows = await connection.fetch(queries.tallies)
    return [(row["verdict"], row["reason"], row["decisions"]) for row in rows]


def _in_force(row: Mapping[str, Any] | None) -> InForce | None:
    if row is None:
        return None
    return InForce(
        row["fingerprint"],
        (row["reached_shop"], row["reached_customer"]),
        row["complete"],
        None if row["shops"] is None else tuple(row["shops"]),
        row["gained"],
        row["lost"],
        row["moved"],
    )


def _locked(row: Mapping[str, Any]) -> Locked:
    return Locked(row["shop_id"], row["customer_id"], row["partition_number"], unpack(row["state"]))


def _row(step: Waiting) -> tuple[object, ...]:
    return (
        *(step.message_id, step.shop_id, step.customer_id, step.partition, step.enrolment_id, step.journey),
        *(step.step, step.occurrence, step.channel, step.due_at, step.next_at, step.attempt),
    )


def _columns(keys: Iterable[CustomerKey]) -> tuple[list[str], list[str]]:
    keys = list(keys)
    return [shop for shop, _ in keys], [customer for _, customer in keys]


def _paused_columns(paused: Sequence[Scope]) -> tuple[list[str | None], list[str | None], list[str | None]]:
    return (
        [each.shop for each in paused],
        [each.journey for each in paused],
        [each.channel for each in paused],
    )
