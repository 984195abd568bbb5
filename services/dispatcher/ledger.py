"""The ledger's store: every change is one statement that names the states it may find (domain/states.py).

A result and the event that tells of it are written in one transaction, through the outbox.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from types import MappingProxyType
from typing import Any
from uuid import UUID

import structlog

from services.dispatcher import telling
from services.dispatcher.domain.consent import Standing, stopped
from services.dispatcher.domain.policy import Withheld
from services.dispatcher.domain.states import CERTAIN, Cause, State, sources, target
from services.dispatcher.people import Connection, Customer, People
from shared.clock import Clock
from shared.db import load_queries
from shared.events import Channel, EngagementKind, MessageRequested
from shared.kafka import outbox
from shared.switches import Switch

log = structlog.get_logger()
queries = load_queries(Path(__file__).with_name("queries.sql"))

KEPT_BACK_FOR = timedelta(hours=1)

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
class Going:
    """A message that passed the last check: the provider that is to have it, and what it stands on."""

    claimed: Claimed
    provider: str
    standing: Standing


@dataclass(frozen=True, slots=True)
class Move:
    """One message's change: why, the provider's reference, and when to try next (machine time).

    With `attempt`, counted from 1, it holds only if no hand-over came after that one: what is known of an earlier one
    tells nothing of the last.
    """

    message_id: UUID
    reason: str | None = None
    reference: str | None = None
    next_try: datetime | None = None
    attempt: int | None = None


class Ledger:
    """Statements for one worker. `connection` is always in the caller's transaction."""

    def __init__(self, worker: UUID, clock: Clock, lease_seconds: float, people: People) -> None:
        self.people = people
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

    async def hand_over(self, connection: Connection, going: Sequence[Going]) -> set[UUID]:
        """Write that these are about to go to their providers, and the consent that each stands on.

        Returns those that go: not what another worker took meanwhile, nor what the address's holder told the provider to stop.
        """
        barred = [one for one in going if stopped(one.standing, _channel(one), one.provider)]
        if barred:
            await self._refuse_stopped(connection, barred)
        free = [one for one in going if one not in barred] if barred else going
        now, cause = self._clock.machine(), Cause.HANDED_OVER
        rows = await connection.fetch(
            queries.hand_over,
            target(cause),
            sources(cause),
            self._worker,
            now,
            now + self._lease,
            self._clock.business(),
            [one.claimed.message_id for one in free],
            [one.provider for one in free],
            [self.people.hash(_channel(one), one.claimed.event.data.recipient) for one in free],
            [_proof(one) for one in free],
            [one.standing.version for one in free],
            [one.claimed.attempts for one in free],
        )
        return {row["message_id"] for row in rows}

    async def _refuse_stopped(self, connection: Connection, barred: Sequence[Going]) -> None:
        """A STOP that came before anything was sent to the address: now it is known whom it concerns."""
        reason = Withheld.NO_CONSENT
        await self.move(connection, Cause.REFUSED, [Move(one.claimed.message_id, reason) for one in barred])
        for one in barred:
            await self.people.suppress(
                connection, [one.claimed.customer], _channel(one), "stopped", one.provider
            )

    async def move(self, connection: Connection, cause: Cause, moves: Sequence[Move]) -> set[UUID]:
        """Apply one cause to messages of this worker, and tell; returns those that it found in its states.

        What goes under a key that a provider takes once is not withheld, but unknown again. A late *taken* counts even
        where the message was to go again meanwhile.
        """
        if not moves:
            return set()
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
            goal in CERTAIN,
            self._clock.machine(),
            cause is not Cause.REFUSED,
            [move.attempt for move in moves],
        )
        await self.tell(connection, goal, rows)
        found = {row["message_id"] for row in rows}
        others = [move for move in moves if move.message_id not in found]
        if others and cause in _OTHERWISE:
            found |= await _OTHERWISE[cause](self, connection, others)
        return found

    async def keep_back(self, connection: Connection, moves: Sequence[Move]) -> set[UUID]:
        """Make unknown again what may have left before; the same refusal is not met at every turn."""
        next_try = self._clock.machine() + KEPT_BACK_FOR
        kept = [replace(move, next_try=next_try) for move in moves]
        return await self.move(connection, Cause.KEPT_BACK, kept)

    async def learn(
        self, connection: Connection, cause: Cause, moves: Sequence[Move], provider: str | None = None
    ) -> list[Any]:
        """Apply what was learnt of messages, whoever holds them, and tell; returns their rows, with `came_from`.

        With `provider`, only of those that it had last. A message that was never told as accepted, and was, is told.
        """
        if not moves:
            return []
        goal, unique = target(cause), {move.message_id: move for move in moves}
        rows: list[Any] = await connection.fetch(
            queries.learn,
            goal,
            sources(cause),
            list(unique),
            [move.reason for move in unique.values()],
            [move.reference for move in unique.values()],
            [move.next_try for move in unique.values()],
            goal in CERTAIN,
            self._clock.machine(),
            provider,
            [move.attempt for move in unique.values()],
        )
        if goal in _PROVING:
            await self.tell(connection, State.ACCEPTED, [row for row in rows if _not_told(row)])
        else:
            await self.tell(connection, goal, rows)
        return rows

    async def expire(self, connection: Connection) -> dict[Cause, int]:
        """End leases that ran out, whoever held them: to intended before hand-over, to unknown after it."""
        counts = {}
        for cause in (Cause.LEASE_RAN_OUT_BEFORE, Cause.LEASE_RAN_OUT_AFTER):
            goal = target(cause)
            reason = "lease_ran_out" if goal is State.UNKNOWN else None
            rows = await connection.fetch(queries.expire, goal, sources(cause), self._clock.machine(), reason)
            await self.tell(connection, goal, rows)
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

    async def tell(self, connection: Connection, state: State, rows: Sequence[Any]) -> None:
        """Tell that these came to a state, if it is one that is told."""
        kind = _TOLD.get(state)
        if kind is None:
            return
        for row in rows:
            log.debug(kind, message_id=str(row["message_id"]), reason=row["reason"], provider=row["provider"])
        now = self._clock.business()
        await outbox.put(connection, [telling.result(row, kind, now) for row in rows])


async def _keep_back(ledger: Ledger, connection: Connection, moves: Sequence[Move]) -> set[UUID]:
    return await ledger.keep_back(connection, moves)


async def _prove_taken(ledger: Ledger, connection: Connection, moves: Sequence[Move]) -> set[UUID]:
    return {row["message_id"] for row in await ledger.learn(connection, Cause.PROOF_TAKEN, moves)}


_OTHERWISE = {Cause.REFUSED: _keep_back, Cause.TAKEN: _prove_taken}
_PROVING = frozenset({State.ACCEPTED, State.CONFIRMED, State.UNDELIVERED})


def _not_told(row: Any) -> bool:  # noqa: ANN401  asyncpg's record
    return row["came_from"] not in (State.ACCEPTED, State.CONFIRMED)


def _channel(going: Going) -> Channel:
    return going.claimed.event.data.channel


def _proof(going: Going) -> dict[str, Any]:
    consent = going.standing.consent.get(_channel(going))
    return consent.model_dump(mode="json", exclude_none=True) if consent else {}


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
