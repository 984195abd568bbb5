"""The ledger's store: every change is one statement that names the states it may find (domain/states.py).

A result and the event that tells of it are written in one transaction, through the outbox.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from types import MappingProxyType
from typing import Any
from uuid import UUID

import structlog

from services.dispatcher import telling
from services.dispatcher.domain.consent import Standing
from services.dispatcher.domain.states import FINAL, Cause, State, sources, target
from shared.clock import Clock
from shared.db import load_queries
from shared.events import Channel, Consent, EngagementKind, MessageRequested
from shared.kafka import outbox
from shared.switches import Switch

log = structlog.get_logger()
queries = load_queries(Path(__file__).with_name("queries.sql"))

Customer = tuple[str, str]
Connection = Any  # asyncpg hands its own connection or a pool's proxy, which share no type

_TOLD = {
    State.ACCEPTED: EngagementKind.ACCEPTED,
    State.REJECTED: EngagementKind.REJECTED,
    State.WITHHELD: EngagementKind.WITHHELD,
    State.UNKNOWN: EngagementKind.UNKNOWN,
}


@dataclass(frozen=True, slots=True)
class Claimed:
    """A message that this worker holds. `attempts` counts earlier hand-overs, `put_back` earlier claims without one.

    `provider` had the last hand-over; `doubted`, if it was ever unknown whether it took the message.
    """

    message_id: UUID
    event: MessageRequested
    attempts: int
    put_back: int
    provider: str | None = None
    doubted: bool = False

    @property
    def customer(self) -> Customer:
        """Shop and customer."""
        return self.event.shopid, str(self.event.customerid)


@dataclass(frozen=True, slots=True)
class Move:
    """One message's change: why, the provider's reference, and when to try next (machine time)."""

    message_id: UUID
    reason: str | None = None
    reference: str | None = None
    next_try: datetime | None = None


class Ledger:
    """Statements for one worker. `connection` is always in the caller's transaction."""

    def __init__(self, worker: UUID, clock: Clock, lease_seconds: float) -> None:
        self._worker = worker
        self._clock = clock
        self._lease = timedelta(seconds=lease_seconds)

    async def claim(
        self,
        connection: Connection,
        limit: int,
        switches: Iterable[Switch] = (),
        rooms: Mapping[Channel, int] | None = None,
        shops: Mapping[str, int] = MappingProxyType({}),
    ) -> list[Claimed]:
        """Take up to `limit` messages whose next try has come, and of each channel and shop no more than it has room for.

        Service messages come before offers, and shops in turns. Passed over are channels that `rooms` lacks, other workers'
        rows and, until they expire, those that a pause holds.
        """
        now, cause = self._clock.machine(), Cause.CLAIMED
        rooms = dict.fromkeys(Channel, limit) if rooms is None else rooms
        rows = await connection.fetch(
            queries.claim,
            target(cause),
            sources(cause),
            self._worker,
            now,
            now + self._lease,
            limit,
            self._clock.business(),
            *_paused_columns(switches),
            list(rooms),
            list(rooms.values()),
            list(shops),
            list(shops.values()),
        )
        return [_claimed(row) for row in rows]

    async def hand_over(self, connection: Connection, providers: Mapping[UUID, str]) -> set[UUID]:
        """Write that these are about to go to their providers; returns those that this worker still held."""
        now, cause = self._clock.machine(), Cause.HANDED_OVER
        rows = await connection.fetch(
            queries.hand_over,
            target(cause),
            sources(cause),
            self._worker,
            now,
            now + self._lease,
            list(providers),
            list(providers.values()),
        )
        return {row["message_id"] for row in rows}

    async def move(self, connection: Connection, cause: Cause, moves: Sequence[Move]) -> int:
        """Apply one cause to messages of this worker, and tell; returns how many it found in its states."""
        if not moves:
            return 0
        goal = target(cause)
        rows = await connection.fetch(
            queries.move,
            goal,
            sources(cause),
            self._worker,
            [move.message_id for move in moves],
            [move.reason for move in moves],
            [move.reference for move in moves],
            [move.next_try for move in moves],
            goal in FINAL or goal is State.ACCEPTED,
            self._clock.machine(),
        )
        await self._tell(connection, goal, rows)
        return len(rows)

    async def expire(self, connection: Connection) -> dict[Cause, int]:
        """End leases that ran out, whoever held them: to intended before hand-over, to unknown after it."""
        counts = {}
        for cause in (Cause.LEASE_RAN_OUT_BEFORE, Cause.LEASE_RAN_OUT_AFTER):
            goal = target(cause)
            reason = "lease_ran_out" if goal is State.UNKNOWN else None
            rows = await connection.fetch(queries.expire, goal, sources(cause), self._clock.machine(), reason)
            await self._tell(connection, goal, rows)
            counts[cause] = len(rows)
        return counts

    async def renew(self, connection: Connection, messages: Iterable[UUID]) -> None:
        """Prolong this worker's leases on these messages."""
        await connection.execute(
            queries.renew, self._worker, self._clock.machine() + self._lease, list(messages)
        )

    async def let_go(self, connection: Connection, holding: Iterable[UUID]) -> None:
        """Give back what is this worker's but not among `holding`: no provider was called for it."""
        rows = await connection.fetch(queries.left_behind, self._worker, list(holding))
        for state, cause in ((State.CLAIMED, Cause.PUT_BACK), (State.HANDED_OVER, Cause.NOT_TAKEN_YET)):
            await self.move(
                connection, cause, [Move(row["message_id"]) for row in rows if row["state"] == state]
            )

    async def counts(self, connection: Connection) -> dict[State, int]:
        """How many messages are in each state."""
        found = {
            State(row["state"]): int(row["messages"]) for row in await connection.fetch(queries.count_states)
        }
        return {state: found.get(state, 0) for state in State}

    async def confirm(self, connection: Connection, messages: Iterable[UUID]) -> int:
        """Note proof that these arrived; one whose acceptance was never told is told now."""
        cause = Cause.EVIDENCE
        rows = await connection.fetch(
            queries.confirm, target(cause), sources(cause), sorted(set(messages)), self._clock.machine()
        )
        await self._tell(
            connection, State.ACCEPTED, [row for row in rows if row["came_from"] != State.ACCEPTED]
        )
        return len(rows)

    async def standings(
        self, connection: Connection, customers: Iterable[Customer]
    ) -> dict[Customer, Standing]:
        """Consent and suppressions of these customers; one that was never read is absent."""
        wanted = sorted(set(customers))
        rows = await connection.fetch(
            queries.standings, [shop for shop, _ in wanted], [name for _, name in wanted]
        )
        suppressed: dict[Customer, dict[Channel, datetime]] = {}
        consents: dict[Customer, dict[Channel, Consent]] = {}
        for row in rows:
            customer = (row["shop_id"], row["customer_id"])
            consents[customer] = {
                Channel(name): Consent.model_validate(given) for name, given in row["consent"].items()
            }
            if row["channel"]:
                suppressed.setdefault(customer, {})[Channel(row["channel"])] = row["since"]
        return {
            customer: Standing(
                known=True, consent=consents[customer], suppressed_since=suppressed.get(customer, {})
            )
            for customer in consents
        }

    async def suppress(
        self, connection: Connection, customer: Customer, channel: Channel, reason: str
    ) -> None:
        """Stop a channel for a customer from now (business time) on, and tell."""
        now = self._clock.business()
        await connection.execute(queries.suppress, *customer, channel, now, reason)
        await outbox.put(connection, [telling.opt_out(customer, channel, reason, now)])

    async def _tell(self, connection: Connection, state: State, rows: Sequence[Any]) -> None:
        kind = _TOLD.get(state)
        if kind is None:
            return
        for row in rows:
            log.debug(kind, message_id=str(row["message_id"]), reason=row["reason"], provider=row["provider"])
        now = self._clock.business()
        await outbox.put(connection, [telling.result(row, kind, now) for row in rows])


def _claimed(row: Any) -> Claimed:  # noqa: ANN401  asyncpg's record
    event = MessageRequested.model_validate_json(row["event"])
    put_back = row["claims"] - row["attempts"] - 1
    return Claimed(row["message_id"], event, row["attempts"], put_back, row["provider"], row["doubted"])


def _paused_columns(
    switches: Iterable[Switch],
) -> tuple[list[str | None], list[str | None], list[str | None]]:
    """The scopes that hold. What is stopped is claimed, and refused."""
    scopes = [switch.scope for switch in switches if switch.control.action == "pause"]
    return (
        [scope.shop for scope in scopes],
        [scope.journey for scope in scopes],
        [scope.channel for scope in scopes],
    )
