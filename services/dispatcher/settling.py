"""What people settle: which messages are unknown, what is known of one, and the verdicts, each kept with who and why."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg

from services.dispatcher.domain.states import Cause
from services.dispatcher.ledger import Ledger, Move
from services.dispatcher.people import Connection
from shared.clock import Clock
from shared.db import load_queries

queries = load_queries(Path(__file__).with_name("settling.sql"))


class Verdict(StrEnum):
    """What a person says of an unknown message."""

    TAKEN = "taken"
    NOT_TAKEN = "not_taken"
    SEND_AGAIN = "send_again"


_CAUSES = {
    Verdict.TAKEN: Cause.SETTLED_TAKEN,
    Verdict.NOT_TAKEN: Cause.SETTLED_NOT_TAKEN,
    Verdict.SEND_AGAIN: Cause.SENT_AGAIN,
}


@dataclass(frozen=True, slots=True)
class Settlement:
    """A verdict, by whom and why."""

    verdict: Verdict
    by: str
    why: str


async def list_unknown(
    pool: asyncpg.Pool, provider: str | None = None, before: datetime | None = None
) -> list[dict[str, Any]]:
    """Messages that may or may not have been taken, oldest first, without contact data."""
    return [dict(row) for row in await pool.fetch(queries.list_unknown, provider, before)]


async def show(pool: asyncpg.Pool, message: UUID) -> dict[str, Any] | None:
    """What the ledger knows of a message, with its proof of consent and its settlements; no contact data."""
    row = await pool.fetchrow(queries.show, message)
    if row is None:
        return None
    settlements = await pool.fetch(queries.settlements_of, message)
    return {**dict(row), "settlements": [dict(each) for each in settlements]}


async def settle(
    pool: asyncpg.Pool, ledger: Ledger, clock: Clock, messages: Sequence[UUID], settlement: Settlement
) -> list[UUID]:
    """Settle what is unknown of these; returns which were. What has expired or lost its content cannot go again."""
    now, cause = clock.machine(), _CAUSES[settlement.verdict]
    async with pool.acquire() as connection, connection.transaction():
        chosen = await _that_can_go(connection, clock, messages, cause)
        reason = "settled_not_taken" if cause is Cause.SETTLED_NOT_TAKEN else None
        next_try = now if cause is Cause.SENT_AGAIN else None
        moves = [Move(each, reason, None, next_try) for each in chosen]
        settled = sorted(row["message_id"] for row in await ledger.learn(connection, cause, moves))
        rows = [(each, now, settlement.verdict, settlement.by, settlement.why) for each in settled]
        await connection.executemany(queries.note_settlement, rows)
    return settled


async def _that_can_go(
    connection: Connection, clock: Clock, messages: Sequence[UUID], cause: Cause
) -> Sequence[UUID]:
    if cause is not Cause.SENT_AGAIN:
        return messages
    rows = await connection.fetch(queries.can_go_again, list(messages), clock.business())
    return [row["message_id"] for row in rows]
