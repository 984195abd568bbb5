"""Discount codes of customers' own: pools that shops fill, codes that we make, and what became of each."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any
from uuid import UUID

from services.scheduler.domain.signing import as_made
from services.scheduler.spending.budgets import Connection, queries


@dataclass(frozen=True, slots=True)
class Given:
    """A code with the message that it goes with. `pool` is None for one that we made; `value` and `currency` are the incentive's."""

    shop: str
    code: str
    pool: str | None
    message_id: UUID
    journey: str
    step: str
    kind: str
    value: Decimal | None
    currency: str | None
    issued_at: datetime
    expires_at: datetime | None
    redeemed_at: datetime | None = None
    redeemed_by: str | None = None


@dataclass(frozen=True, slots=True)
class Drawn:
    """Codes that nobody has, held by this transaction, in the order of the pool. `more`: others there are, held by others."""

    codes: tuple[str, ...]
    more: bool


@dataclass(frozen=True, slots=True)
class Stock:
    """A pool: how many codes wait, were given to customers, and were redeemed."""

    shop: str
    pool: str
    waiting: int
    issued: int = 0
    redeemed: int = 0


async def due_in(
    connection: Connection, shop: str, customers: Sequence[str], journeys: Iterable[str], now: datetime
) -> int:
    """Count the steps of these journeys that are due for these customers: no more codes can be needed."""
    return int(await connection.fetchval(queries.due_in, shop, customers, sorted(journeys), now))


async def draw(connection: Connection, shop: str, pool: str, count: int) -> Drawn:
    """Hold up to `count` codes of a pool until the transaction ends, passing over those that are held already."""
    codes = [row["code"] for row in await connection.fetch(queries.draw_codes, shop, pool, count)]
    more = await connection.fetchval(queries.more_codes, shop, pool, codes)
    return Drawn(tuple(codes), bool(more))


async def issue_drawn(connection: Connection, given: Sequence[Given]) -> None:
    """Give codes that this transaction holds to their messages, for good."""
    if given:
        await connection.execute(queries.issue_drawn, *_columns(given))


async def issue_made(connection: Connection, given: Sequence[Given], recorded_at: datetime) -> set[UUID]:
    """Write down codes that we made. Returns the messages whose code is another's already: these have none yet."""
    if not given:
        return set()
    rows = await connection.fetch(queries.issue_made, *_columns(given), recorded_at)
    return {each.message_id for each in given} - {row["message_id"] for row in rows}


async def add(
    connection: Connection, shop: str, pool: str, codes: Sequence[str], recorded_at: datetime
) -> set[str]:
    """Put codes into a pool; returns those that were new. A code that the shop has, in any pool, stays as it is."""
    rows = await connection.fetch(queries.add_codes, shop, pool, list(codes), recorded_at)
    return {row["code"] for row in rows}


async def left(connection: Connection) -> list[Stock]:
    """Count the codes that wait, by shop and pool; a pool that is empty is not in it."""
    rows = await connection.fetch(queries.codes_left, None)
    return [Stock(row["shop_id"], row["pool"], row["waiting"]) for row in rows]


async def pools(connection: Connection, shop: str | None) -> list[Stock]:
    """List a shop's pools, or all, empty ones too."""
    rows = await connection.fetch(queries.pools, shop)
    return [
        Stock(row["shop_id"], row["pool"], row["waiting"], row["issued"], row["redeemed"]) for row in rows
    ]


async def issued(connection: Connection, shop: str, pool: str | None, limit: int) -> list[Given]:
    """List the codes given to customers last, of one pool or of any source."""
    return [_given(row) for row in await connection.fetch(queries.issued_codes, shop, pool, limit)]


class Standing(StrEnum):
    """What a code is good for."""

    VALID = "valid"
    REDEEMED = "redeemed"
    EXPIRED = "expired"
    WAITING = "waiting"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Look:
    """How a code stands, and whom it was given to if to anybody."""

    standing: Standing
    given: Given | None = None


async def look(connection: Connection, shop: str, code: str, now: datetime) -> Look:
    """Tell how a code stands at business time `now`, as typed or as we would have written it."""
    return _look(await _find(connection, queries.code, shop, code), now)


class Redemption(StrEnum):
    """What became of a wish to redeem a code: done now, done before for the same order, or refused and why."""

    DONE = "done"
    AGAIN = "again"
    OTHER_ORDER = "other_order"
    EXPIRED = "expired"
    NOT_GIVEN = "not_given"
    UNKNOWN = "unknown"


async def redeem(connection: Connection, shop: str, code: str, order_id: str, at: datetime) -> Redemption:
    """Note that an order of business time `at` used a code; a code is good for one order. Call it in a transaction."""
    row = await _find(connection, queries.lock_code, shop, code)
    seen = _look(row, at)
    if row is None or seen.given is None:
        return Redemption.UNKNOWN if row is None else Redemption.NOT_GIVEN
    if seen.standing is Standing.REDEEMED:
        return Redemption.AGAIN if seen.given.redeemed_by == order_id else Redemption.OTHER_ORDER
    if seen.standing is Standing.EXPIRED:
        return Redemption.EXPIRED
    await connection.execute(queries.redeem, shop, row["code"], at, order_id)
    return Redemption.DONE


async def _find(connection: Connection, query: str, shop: str, code: str) -> Mapping[str, Any] | None:
    for text in dict.fromkeys((code.strip(), as_made(code))):
        row: Mapping[str, Any] | None = await connection.fetchrow(query, shop, text)
        if row is not None:
            return row
    return None


def _look(row: Mapping[str, Any] | None, now: datetime) -> Look:
    if row is None:
        return Look(Standing.UNKNOWN)
    if row["message_id"] is None:
        return Look(Standing.WAITING)
    given = _given(row)
    if given.redeemed_by is not None:
        return Look(Standing.REDEEMED, given)
    expired = given.expires_at is not None and given.expires_at <= now
    return Look(Standing.EXPIRED if expired else Standing.VALID, given)


def _given(row: Mapping[str, Any]) -> Given:
    names = Given.__dataclass_fields__.keys() - {"shop"}
    return Given(shop=row["shop_id"], **{name: row[name] for name in names})


def _columns(given: Sequence[Given]) -> tuple[list[Any], ...]:
    names = ("shop", "code", "message_id", "journey", "step", "kind", "value", "currency")
    return tuple([getattr(each, name) for each in given] for name in (*names, "issued_at", "expires_at"))
