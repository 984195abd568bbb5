"""PostgreSQL access of reporting: writes batches of events, reads what the reports stand on."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import asyncpg

from services.reporting.domain.attribution import Sale, Touch, worth_of_return
from services.reporting.domain.lift import Arm, Person
from shared.db import load_queries
from shared.events import DecisionRecorded, EngagementRecorded, Event, OrderRecorded, ReturnRecorded
from shared.kafka.records import Admitted

SCHEMA = "reporting"
MIGRATIONS = Path(__file__).with_name("migrations")
queries = load_queries(Path(__file__).with_name("queries.sql"))

_STATES = ("accepted", "rejected", "withheld", "unknown", "bounced")
Row = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Scope:
    """What a report looks at: one shop or all, from `since` on and before `until` (business time)."""

    shop: str | None = None
    since: datetime | None = None
    until: datetime | None = None

    def covers(self, moment: datetime) -> bool:
        """Whether a moment lies in the span."""
        return (self.since is None or moment >= self.since) and (self.until is None or moment < self.until)


async def record(connection: Any, batch: Sequence[Admitted]) -> None:  # noqa: ANN401  asyncpg's connection or a pool's proxy
    """Write a batch in the caller's transaction. Writing it again, or in another order, changes nothing."""
    rows: dict[str, list[Row]] = defaultdict(list)
    for admitted in batch:
        if admitted.event is not None:
            for query, row in _rows(admitted.event):
                rows[query].append(row)
    # In one order everywhere, so that two workers never wait for each other crosswise.
    for query in sorted(rows):
        await connection.executemany(
            getattr(queries, query), sorted(rows[query], key=lambda row: (str(row[0]), str(row[1])))
        )


def _rows(event: Event) -> list[tuple[str, Row]]:
    if isinstance(event, DecisionRecorded):
        return [("put_decision", _decision_row(event))]
    if isinstance(event, EngagementRecorded):
        return _engagement_rows(event)
    if isinstance(event, OrderRecorded):
        return [("put_order", _order_row(event))]
    if isinstance(event, ReturnRecorded):
        return [("put_return", _return_row(event))]
    return []


def _decision_row(event: DecisionRecorded) -> Row:
    made = event.data
    return (
        made.decision_id,
        str(made.message_id),
        event.shopid,
        event.customerid,
        made.journey,
        made.step,
        made.channel,
        made.attempt,
        made.due_at,
        made.decided_at,
        made.verdict,
        made.reason,
        made.model_dump(mode="json"),
    )


def _engagement_rows(event: EngagementRecorded) -> list[tuple[str, Row]]:
    fact = event.data
    told = (
        event.shopid,
        event.id,
        fact.provider_reference or "",
        event.customerid,
        fact.message_id,
        fact.channel,
        fact.kind,
        fact.occurred_at,
        fact.reason,
        fact.answer,
        fact.provider,
    )
    if fact.message_id is None or fact.kind not in _STATES:
        return [("put_engagement", told)]
    times = (fact.occurred_at if state == fact.kind else None for state in _STATES)
    return [("put_engagement", told), ("put_send", (event.shopid, fact.message_id, *times))]


def _order_row(event: OrderRecorded) -> Row:
    order = event.data
    return (
        event.shopid,
        order.order_id,
        event.customerid,
        order.version,
        order.status_at or order.placed_at,
        order.placed_at,
        order.status,
        order.test,
        order.history,
        order.currency,
        order.total,
        [
            line.model_dump(mode="json", include={"product_id", "quantity", "unit_price"})
            for line in order.lines
        ],
    )


def _return_row(event: ReturnRecorded) -> Row:
    back = event.data
    return (
        event.shopid,
        back.return_id,
        back.order_id,
        back.version,
        back.occurred_at,
        back.status,
        back.refund,
        [line.model_dump(mode="json") for line in back.lines],
    )


async def sales(pool: asyncpg.Pool, shop: str | None) -> list[Sale]:
    """Every order that counts (placed, neither test nor history), with what came back of it."""
    returned: dict[tuple[str, str], Decimal] = defaultdict(Decimal)
    for row in await pool.fetch(queries.returned, shop):
        units: dict[str, int] = defaultdict(int)
        for line in row["lines"]:
            units[line["product_id"]] += line["quantity"]
        bought = [
            (line["product_id"], line["quantity"], Decimal(line["unit_price"])) for line in row["order_lines"]
        ]
        returned[row["shop"], row["order_id"]] += worth_of_return(row["refund"], units, bought)
    return [
        Sale(**row, returned=returned.get((row["shop"], row["order_id"]), Decimal(0)))
        for row in await pool.fetch(queries.sales, shop)
    ]


async def touches(pool: asyncpg.Pool, shop: str | None) -> list[Touch]:
    """Every message that was accepted and did not bounce."""
    return [Touch(**row) for row in await pool.fetch(queries.touches, shop)]


async def eligible(pool: asyncpg.Pool, scope: Scope) -> list[Person]:
    """Everyone with a send or a ghost in the span, on the side of their first one."""
    rows = await pool.fetch(queries.eligible, scope.shop, scope.since, scope.until)
    return [
        Person(
            row["shop"],
            row["customer_id"],
            Arm.TREATED if row["verdict"] == "send" else Arm.HELD_OUT,
            row["decided_at"],
        )
        for row in rows
    ]
