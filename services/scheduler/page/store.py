"""PostgreSQL access of the thank-you page."""

from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import UUID

from services.scheduler import store
from services.scheduler.store import Connection, CustomerKey, Locked
from shared.db import load_queries
from shared.kafka.freshness import Position
from shared.kafka.outbox import Outgoing

queries = load_queries(Path(__file__).with_name("queries.sql"))


@dataclass(frozen=True, slots=True)
class Kept:
    """An answer as it was given: the offer's JSON without its token, or the reason why there was none."""

    reason: str | None
    message_id: UUID | None
    body: str | None
    expires_at: datetime | None
    accepted_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Held:
    """An offer whose row this transaction holds."""

    shop_id: str
    customer_id: str
    order_id: str
    body: str
    expires_at: datetime
    accepted_at: datetime | None


@dataclass(frozen=True, slots=True)
class Webhook:
    """A webhook that is being delivered for the `attempts`-th time."""

    webhook_id: str
    shop_id: str
    body: str
    attempts: int


async def answer(connection: Connection, shop: str, customer: str, order: str) -> Kept | None:
    """Return what was answered for an order, if anything was."""
    row = await connection.fetchrow(queries.answer, shop, customer, order)
    return Kept(**row) if row else None


@asynccontextmanager
async def transaction(connection: Connection, committing: Callable[[], None]) -> AsyncIterator[None]:
    """Hold what is in force, as `in_force.hold` does, until the block ends; `committing` is called before the commit, and may raise."""
    await connection.execute(queries.begin)
    try:
        yield
        committing()
    except BaseException:
        await connection.execute(queries.rollback)
        raise
    await connection.execute(queries.commit)


async def lock(connection: Connection, shop: str, customer: str, partition: int) -> tuple[Locked, str | None]:
    """Lock a customer's row, and return with it the fingerprint of what is in force; one not known is added."""
    row = await connection.fetchrow(queries.lock_customer, shop, customer)
    if row is None:
        (locked,) = await store.lock(connection, {(shop, customer): partition})
        standing = await store.in_force(connection)
        return locked, standing.fingerprint if standing else None
    return Locked(shop, customer, row["partition_number"], store.unpack(row["state"])), row["fingerprint"]


async def positions(connection: Connection, partition: int) -> list[Position]:
    """Return how far a partition of each topic has been consumed."""
    rows = await connection.fetch(queries.positions, partition)
    return [Position(*row.values()) for row in rows]


@dataclass(frozen=True, slots=True)
class Decided:
    """All that a page leaves behind: facts, records for the outbox, counts in a slot, and the answer."""

    state: str
    order_id: str
    decided_at: datetime
    kept: Kept
    outgoing: Sequence[Outgoing]
    slot: int
    verdicts: Counter[tuple[str, str]]


async def write(connection: Connection, customer: CustomerKey, decided: Decided) -> None:
    """Write it for a customer whom this transaction holds."""
    kept, outgoing, kinds = decided.kept, decided.outgoing, sorted(decided.verdicts)
    await connection.execute(
        queries.write,
        *customer,
        store.pack(decided.state),
        decided.order_id,
        decided.decided_at,
        *(kept.reason, kept.message_id, kept.body, kept.expires_at),
        *(
            [each.topic for each in outgoing],
            [each.key for each in outgoing],
            [each.value for each in outgoing],
        ),
        decided.slot,
        *([verdict for verdict, _ in kinds], [reason for _, reason in kinds]),
        [decided.verdicts[kind] for kind in kinds],
    )


async def lock_offer(connection: Connection, message_id: UUID) -> Held | None:
    """Lock the row of an offer that was made."""
    row = await connection.fetchrow(queries.lock_offer, message_id)
    return Held(**row) if row else None


async def accept(connection: Connection, message_id: UUID, now: datetime) -> None:
    """Write down when an offer was accepted."""
    await connection.execute(queries.accept, message_id, now)


async def put_webhook(connection: Connection, webhook_id: str, shop: str, body: str, now: datetime) -> None:
    """Have a webhook delivered from machine time `now` on."""
    await connection.execute(queries.put_webhook, webhook_id, shop, body, now)


async def take_webhooks(
    connection: Connection, now: datetime, until: datetime, addresses: Mapping[str, str], limit: int
) -> list[Webhook]:
    """Take webhooks to the addresses (by shop) that are due; until machine time `until` no other takes them."""
    shops, urls = list(addresses), list(addresses.values())
    rows = await connection.fetch(queries.take_webhooks, now, until, shops, urls, limit)
    return [Webhook(**row) for row in rows]


async def settle_webhook(
    connection: Connection, taken: Webhook, state: str, next_at: datetime, outcome: str
) -> None:
    """Write what came of an attempt, unless another has taken the webhook since."""
    await connection.execute(
        queries.settle_webhook, taken.webhook_id, taken.attempts, state, next_at, outcome
    )


async def address_is_gone(connection: Connection, shop: str, url: str, now: datetime) -> None:
    """Send nothing more to an address."""
    await connection.execute(queries.address_is_gone, shop, url, now)


async def enable(connection: Connection, shop: str) -> None:
    """Send to a shop's address again."""
    await connection.execute(queries.enable_addresses, shop)


async def redeliver(connection: Connection, webhook_id: str | None, now: datetime) -> int:
    """Begin anew with a failed webhook, or with all of them; returns how many."""
    return int((await connection.execute(queries.redeliver, webhook_id, now)).split()[-1])


async def undelivered(connection: Connection, limit: int) -> Sequence[dict[str, Any]]:
    """List the webhooks that no shop has taken, oldest first."""
    return [dict(row) for row in await connection.fetch(queries.undelivered, limit)]


async def count_webhooks(connection: Connection) -> dict[str, int]:
    """Count webhooks by state."""
    return {row["state"]: row["webhooks"] for row in await connection.fetch(queries.count_webhooks)}


async def forget(connection: Connection, decided_before: datetime, sent_before: datetime) -> None:
    """Forget answers decided before a business time, and webhooks that were delivered, of before a machine time."""
    await connection.execute(queries.forget_answers, decided_before)
    await connection.execute(queries.forget_webhooks, sent_before)
