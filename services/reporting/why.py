"""Why a customer got something, or did not: every decision with every rule, and what came of it."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import asyncpg

from services.reporting.store import queries


@dataclass(frozen=True, slots=True)
class Explained:
    """What is known of a customer; `blocks` hold the newest occurrences first, of `occurrences` in all.

    A block is one occurrence of a step: who and what, `attempts` (the decision records, newest first), the
    message's `state` (null when none was sent) and its `events` in the order in which they happened.
    """

    orders: int
    decisions: int
    occurrences: int
    blocks: list[dict[str, Any]]


async def explain(
    pool: asyncpg.Pool, customer: str, shop: str | None = None, steps: Sequence[str] = (), limit: int = 10
) -> Explained:
    """Every decision about a customer, grouped by occurrence, at most `limit` occurrences."""
    (known,) = await pool.fetch(queries.customer_known, customer, shop)
    found = await pool.fetch(queries.customer_occurrences, customer, shop, list(steps) or None, limit)
    keys = [(row["shop"], row["message_id"]) for row in found]
    return Explained(
        orders=known["orders"],
        decisions=known["decisions"],
        occurrences=found[0]["occurrences"] if found else 0,
        blocks=await _blocks(pool, keys),
    )


async def _blocks(pool: asyncpg.Pool, keys: Sequence[tuple[str, str]]) -> list[dict[str, Any]]:
    shops, messages = [shop for shop, _ in keys], [message for _, message in keys]
    attempts = _grouped(await pool.fetch(queries.attempts, shops, messages))
    events = _grouped(await pool.fetch(queries.message_events, shops, messages))
    states = _grouped(await pool.fetch(queries.send_states, shops, messages))
    return [
        _block(
            key, [row["record"] for row in attempts[key]], states[key], [_event(row) for row in events[key]]
        )
        for key in keys
    ]


def _grouped(rows: Sequence[Any]) -> defaultdict[tuple[str, str], list[Any]]:
    groups: defaultdict[tuple[str, str], list[Any]] = defaultdict(list)
    for row in rows:
        groups[row["shop"], row["message_id"]].append(row)
    return groups


def _block(
    key: tuple[str, str], attempts: list[dict[str, Any]], states: Sequence[Any], events: list[dict[str, Any]]
) -> dict[str, Any]:
    latest = attempts[0]
    sent = latest["verdict"] == "send"
    return {
        "shop": key[0],
        "message_id": key[1],
        **{
            name: latest[name]
            for name in ("journey", "journey_version", "step", "occurrence", "channel", "order_id", "due_at")
        },
        "verdict": latest["verdict"],
        "reason": latest["reason"],
        "state": (states[0]["state"] if states else "pending") if sent else None,
        "attempts": attempts,
        "events": events,
    }


def _event(row: Any) -> dict[str, Any]:  # noqa: ANN401  asyncpg's record
    return {
        name: row[name]
        for name in ("kind", "occurred_at", "reason", "answer", "provider", "provider_reference")
    }
