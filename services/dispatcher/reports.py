"""What providers report, applied in one transaction: the ledger, suppressions, and the events that tell of both.

A report that was seen before changes nothing. Reports of one message lead to the same state in any order.
"""

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg

from services.dispatcher import telling
from services.dispatcher.campaigns import Trip
from services.dispatcher.domain.faults import Fault
from services.dispatcher.domain.states import Cause
from services.dispatcher.ledger import Ledger, Move
from services.dispatcher.people import Connection, Failure
from services.dispatcher.providers.base import Report, Said
from shared import metrics
from shared.clock import Clock
from shared.db import load_queries
from shared.events import Channel, EngagementKind
from shared.ids import event_id
from shared.kafka import outbox
from shared.switches import Scope

queries = load_queries(Path(__file__).with_name("reports.sql"))

EARLY = timedelta(seconds=60)
"""For so long a report under an unknown reference may be ahead of the answer that brings the reference."""

_LONGEST_ID = 200

_CAUSES = {
    Said.TAKEN: Cause.PROOF_TAKEN,
    Said.DEFERRED: Cause.PROOF_TAKEN,
    Said.DELIVERED: Cause.EVIDENCE,
    Said.OPENED: Cause.EVIDENCE,
    Said.CLICKED: Cause.EVIDENCE,
    Said.COMPLAINED: Cause.EVIDENCE,
    Said.UNDELIVERED: Cause.FAILED,
}
_ONCE = {Said.DELIVERED: EngagementKind.DELIVERED, Said.COMPLAINED: EngagementKind.COMPLAINED}
_EACH = {Said.OPENED: EngagementKind.OPENED, Said.CLICKED: EngagementKind.CLICKED}


class TooEarly(Exception):  # noqa: N818  it names what was found
    """A report names a message by a reference that the ledger does not have yet: it is to come again."""


@dataclass(frozen=True, slots=True)
class _Heard:
    """A report, the row of the ledger that it is about, and the address's hash, where there are any."""

    report: Report
    row: Any
    address_hash: bytes | None


class Hearing:
    """Takes reports of one provider at a time; `told` hears of new events in the outbox.

    `refused` hears of each message whose content was refused, and may say what is to be held because of it.
    """

    def __init__(
        self,
        pool: asyncpg.Pool,
        ledger: Ledger,
        clock: Clock,
        told: Callable[[], None],
        refused: Callable[[Scope, str], Trip | None] = lambda _scope, _reason: None,
    ) -> None:
        self._pool = pool
        self._ledger = ledger
        self._people = ledger.people
        self._clock = clock
        self._told = told
        self._refused = refused

    async def take(self, provider: str, channel: Channel, reports: Sequence[Report]) -> int:
        """Apply what is new, and return how much was. Raises TooEarly, with nothing applied."""
        async with self._pool.acquire() as connection, connection.transaction():
            fresh = await self._fresh(connection, provider, reports)
            heard = await self._find(connection, provider, channel, fresh)
            moved = await self._move(connection, provider, heard)
            await self._learn(connection, provider, channel, heard, moved)
            await outbox.put(connection, list(self._events(provider, heard)))
        for one in fresh:
            metrics.REPORTS.labels(provider, one.said).inc()
        self._told()
        return len(fresh)

    async def prune(self, age: timedelta) -> None:
        """Forget what was reported longer ago than `age` (machine time)."""
        await self._pool.execute(queries.prune, self._clock.machine() - age)

    async def _fresh(self, connection: Connection, provider: str, reports: Sequence[Report]) -> list[Report]:
        by_id = {_kept(report.report_id): report for report in reports}
        rows = await connection.fetch(queries.note, provider, list(by_id), self._clock.machine())
        new = {row["report_id"] for row in rows}
        return [report for name, report in by_id.items() if name in new]

    async def _find(
        self, connection: Connection, provider: str, channel: Channel, reports: Sequence[Report]
    ) -> list[_Heard]:
        by_id = [report.message_id for report in reports if report.message_id]
        references = [report.reference for report in reports if report.reference and not report.message_id]
        found = (
            await connection.fetch(queries.about, by_id, references, provider) if by_id or references else []
        )
        rows: dict[UUID | str, Any] = {row["message_id"]: row for row in found}
        rows |= {row["provider_reference"]: row for row in found if row["provider_reference"]}
        heard = []
        for report in reports:
            row = rows.get(report.message_id or report.reference or "")
            if row is None and not report.message_id and report.reference and self._is_early(report):
                raise TooEarly
            hashed = self._people.hash(channel, report.address) if report.address else None
            heard.append(_Heard(report, row, (row["address_hash"] if row else None) or hashed))
        return heard

    def _is_early(self, report: Report) -> bool:
        return abs(self._clock.machine() - report.occurred_at) < EARLY

    async def _move(self, connection: Connection, provider: str, heard: Sequence[_Heard]) -> set[UUID]:
        """Move what is proven; returns the messages that are undelivered by it."""
        moves: dict[Cause, list[Move]] = {}
        for one in heard:
            cause = _cause(one)
            if one.row and cause:
                reason = one.report.reason if cause is Cause.FAILED else None
                moves.setdefault(cause, []).append(Move(one.row["message_id"], reason, one.report.reference))
        await self._ledger.learn(connection, Cause.PROOF_TAKEN, moves.get(Cause.PROOF_TAKEN, []))
        await self._ledger.learn(connection, Cause.EVIDENCE, moves.get(Cause.EVIDENCE, []))
        failed = await self._ledger.learn(connection, Cause.FAILED, moves.get(Cause.FAILED, []), provider)
        return {row["message_id"] for row in failed}

    async def _learn(
        self,
        connection: Connection,
        provider: str,
        channel: Channel,
        heard: Sequence[_Heard],
        undelivered: set[UUID],
    ) -> None:
        """Note what is said of addresses and people. An address fails once for each message that failed."""
        reached = [
            one.address_hash for one in heard if one.report.said is Said.DELIVERED and one.address_hash
        ]
        if reached:
            await self._people.reached(connection, [(channel, hashed) for hashed in reached])
        failed = {
            one.row["message_id"]: one
            for one in heard
            if one.report.said is Said.UNDELIVERED and one.row and one.row["message_id"] in undelivered
        }
        failures = [_failure(provider, one) for one in failed.values()]
        await self._people.fail_messages(connection, failures)
        await outbox.put(connection, list(self._trips(failures)))
        for one in heard:
            await self._hear_person(connection, provider, channel, one)

    def _trips(self, failures: Iterable[Failure]) -> Iterable[outbox.Outgoing]:
        for one in failures:
            if one.fault is Fault.CONTENT and one.row["journey"]:
                scope = Scope(one.row["shop_id"], one.row["journey"], Channel(one.row["channel"]))
                if trip := self._refused(scope, one.reason):
                    yield trip.outgoing()

    async def _hear_person(
        self, connection: Connection, provider: str, channel: Channel, heard: _Heard
    ) -> None:
        """Whoever names a message speaks to its shop; a text or a report that names an address, to all who write there."""
        report, hashed = heard.report, heard.address_hash
        reason = report.reason or str(report.said)
        if report.said is Said.STARTED and hashed:
            age = max(self._clock.machine() - report.occurred_at, timedelta(0))
            await self._people.start(connection, provider, channel, hashed, age)
        elif report.said is Said.COMPLAINED and heard.row:
            customer = (heard.row["shop_id"], heard.row["customer_id"])
            await self._people.suppress(connection, [customer], channel, reason, tell=False)
        elif report.said is Said.STOPPED and heard.row and channel is Channel.EMAIL:
            customer = (heard.row["shop_id"], heard.row["customer_id"])
            await self._people.suppress(connection, [customer], channel, reason, provider)
        elif report.said in (Said.STOPPED, Said.COMPLAINED) and hashed:
            await self._people.stop(connection, provider, channel, hashed, reason)
        elif report.said is Said.UNDELIVERED and not heard.row and hashed and report.fault is Fault.DEAD:
            await self._people.died(connection, channel, hashed, reason)

    def _events(self, provider: str, heard: Iterable[_Heard]) -> Iterable[outbox.Outgoing]:
        now = self._clock.business()
        for one in heard:
            report = one.report
            if one.row and (kind := _ONCE.get(report.said)):
                yield telling.reported(one.row, kind, report.reason, now)
            elif one.row and (kind := _EACH.get(report.said)):
                told_id = event_id("reported", provider, report.report_id, kind)
                yield telling.reported(one.row, kind, report.reason, now, told_id)


def _cause(heard: _Heard) -> Cause | None:
    if heard.report.said is Said.STOPPED and heard.report.message_id:
        return Cause.EVIDENCE
    return _CAUSES.get(heard.report.said)


def _failure(provider: str, heard: _Heard) -> Failure:
    fault = heard.report.fault or Fault.PERMANENT
    return Failure(provider, heard.row, heard.address_hash, fault, heard.report.reason or str(fault))


def _kept(report_id: str) -> str:
    """The id as it is kept: any text, of bounded length."""
    if len(report_id) <= _LONGEST_ID and report_id.isprintable():
        return report_id
    return hashlib.sha256(report_id.encode("utf-8", "replace")).hexdigest()
