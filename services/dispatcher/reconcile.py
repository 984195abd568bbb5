"""The loop that looks into what is unknown: ask the provider, hand the same id to one that takes it once, or follow policy.

Each message is looked into by one replica at a time, at waits that double up to an hour; a look takes a few dozen at most, so
that providers are asked gently. Machine time, save a message's validity.
"""

import asyncio
from collections.abc import Callable, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import asyncpg
import structlog

from services.dispatcher.domain.faults import ABOUT_ADDRESSES, Fault, Result
from services.dispatcher.domain.states import Cause, State, sources, target
from services.dispatcher.ledger import Claimed, Ledger, Move
from services.dispatcher.people import Connection, Failure
from services.dispatcher.providers.base import Answer, Finds, Parcel, Provider, SmsContent, Sought
from services.dispatcher.reports import Hearing
from shared import metrics
from shared.clock import Clock
from shared.db import load_queries
from shared.events import Channel, MessageRequested
from shared.faults import PASSING
from shared.settings import Settings

log = structlog.get_logger()
queries = load_queries(Path(__file__).with_name("reconcile.sql"))

KEY_KEPT = timedelta(hours=20)
"""For so long after the first hand-over its key is used again: providers that take one keep it for a day."""
TAKEN_AT_ONCE = 25
ASKED_AT_ONCE = 4
FIRST_WAIT_SECONDS = 60.0
FIND_SECONDS = 60.0

Compose = Callable[[Claimed], Any]


class Reconciler:
    """`compose` renders a message again, for its text; `wake` is called when something may go again."""

    def __init__(  # noqa: PLR0913  the composition root names each part
        self,
        *,
        pool: asyncpg.Pool,
        ledger: Ledger,
        clock: Clock,
        settings: Settings,
        providers: Mapping[str, Provider],
        hearing: Hearing,
        compose: Compose,
        wake: Callable[[], None],
    ) -> None:
        self._pool = pool
        self._ledger = ledger
        self._clock = clock
        self._settings = settings
        self._providers = providers
        self._hearing = hearing
        self._compose = compose
        self._wake = wake
        self._listed = 0

    async def run(self, stopping: asyncio.Event) -> None:
        """Look until `stopping` is set."""
        while not stopping.is_set():
            try:
                await self.look()
                await self._hearing.prune(timedelta(days=self._settings.reports_kept_days))
            except PASSING as error:
                log.warning("not_reconciled", error=type(error).__name__)
            try:
                await asyncio.wait_for(stopping.wait(), self._settings.reconcile_seconds)
            except TimeoutError:
                continue

    async def look(self) -> int:
        """Look into what is due, and count what is unknown; returns how many were looked into."""
        async with self._pool.acquire() as connection, connection.transaction():
            await connection.execute(queries.forget_erased)
            await self._end_keys(connection)
            rows = await self._take(connection)
        gently = asyncio.Semaphore(ASKED_AT_ONCE)
        outcomes = await asyncio.gather(*(self._look_into(row, gently) for row in rows))
        for row, outcome in zip(rows, outcomes, strict=True):
            metrics.RECONCILED.labels(row["provider"] or "none", outcome).inc()
        await self._count()
        if rows:
            log.info("reconciled", **{name: outcomes.count(name) for name in sorted(set(outcomes))})
            self._wake()
        return len(rows)

    async def _take(self, connection: Connection) -> list[Any]:
        now = self._clock.machine()
        ripe = now - timedelta(seconds=self._settings.reconcile_after_seconds)
        found: list[Any] = await connection.fetch(queries.take, now, ripe, FIRST_WAIT_SECONDS, TAKEN_AT_ONCE)
        return found

    async def _end_keys(self, connection: Connection) -> None:
        cause = Cause.KEY_RAN_OUT
        rows = await connection.fetch(
            queries.key_ran_out, self._clock.machine(), sources(cause), target(cause)
        )
        await self._ledger.tell(connection, State.UNKNOWN, rows)

    async def _look_into(self, row: Any, gently: asyncio.Semaphore) -> str:  # noqa: ANN401  asyncpg's record
        """What came of one: the name of a cause, or `open`."""
        async with gently:
            return await self._settle(row)

    async def _settle(self, row: Any) -> str:  # noqa: ANN401  asyncpg's record
        provider = self._providers.get(row["provider"] or "")
        asked: object = provider
        answer = await self._ask(asked, row) if isinstance(asked, Finds) else None
        if answer is not None and answer.result is not Result.UNKNOWN:
            return await self._believe(row, answer)
        if provider is not None and provider.once and self._key_holds(row):
            return await self._same_key(row)
        return await self._follow_policy(row)

    async def _ask(self, provider: Finds, row: Any) -> Answer | None:  # noqa: ANN401  asyncpg's record
        message = MessageRequested.model_validate_json(row["event"]) if row["event"] else None
        sought = Sought(
            row["message_id"],
            row["handed_over_at"],
            message.data.recipient if message else None,
            self._text(message, row) if message else None,
            row["provider_reference"],
        )
        try:
            async with asyncio.timeout(FIND_SECONDS):
                return await provider.find(sought)
        except Exception as error:  # noqa: BLE001  whatever a provider's code does, the message stays unknown
            log.error("query_failed", provider=row["provider"], error=type(error).__name__)  # noqa: TRY400  a traceback may hold an address
            return None

    def _text(self, message: MessageRequested, row: Any) -> str | None:  # noqa: ANN401  asyncpg's record
        """The text as it was handed over: rendering is a function of the message."""
        if message.data.channel is not Channel.SMS:
            return None
        try:
            parcel = self._compose(Claimed(row["message_id"], message, row["attempts"], 0))
        except Exception as error:  # noqa: BLE001  a template that was changed since must not end the loop
            log.warning("not_composed_again", message_id=str(row["message_id"]), error=type(error).__name__)
            return None
        fits = isinstance(parcel, Parcel) and isinstance(parcel.content, SmsContent)
        return parcel.content.body if fits else None

    async def _believe(self, row: Any, answer: Answer) -> str:  # noqa: ANN401  asyncpg's record
        cause = _CAUSES[answer.result]
        next_try = self._clock.machine() if cause is Cause.NOT_FOUND else None
        reason = answer.reason if cause is not Cause.PROOF_TAKEN else None
        async with self._pool.acquire() as connection, connection.transaction():
            attempt = None if cause is Cause.PROOF_TAKEN else row["attempts"]
            move = Move(row["message_id"], reason, answer.reference, next_try, attempt)
            moved = await self._ledger.learn(connection, cause, [move], row["provider"])
            if cause is Cause.FAILED and moved:
                await self._fail(connection, moved[0], row, answer)
        return cause.name.lower()

    async def _fail(self, connection: Connection, moved: Any, row: Any, answer: Answer) -> None:  # noqa: ANN401  asyncpg's records
        fault, hashed = answer.fault or Fault.PERMANENT, None
        if row["event"] and fault in ABOUT_ADDRESSES:
            message = MessageRequested.model_validate_json(row["event"]).data
            hashed = self._ledger.people.hash(message.channel, message.recipient)
        failure = Failure(row["provider"], moved, hashed, fault, answer.reason or str(fault))
        await self._ledger.people.fail_messages(connection, [failure])

    def _key_holds(self, row: Any) -> bool:  # noqa: ANN401  asyncpg's record
        until = row["once_until"] or row["handed_over_at"] + KEY_KEPT
        return bool(
            row["event"] and self._clock.machine() < until and self._clock.business() < row["valid_until"]
        )

    async def _same_key(self, row: Any) -> str:  # noqa: ANN401  asyncpg's record
        cause = Cause.SAME_KEY
        await self._pool.execute(
            queries.same_key,
            self._clock.machine(),
            self._clock.business(),
            [row["message_id"]],
            sources(cause),
            target(cause),
            KEY_KEPT,
            row["attempts"],
        )
        return cause.name.lower()

    async def _follow_policy(self, row: Any) -> str:  # noqa: ANN401  asyncpg's record
        """An SMS is never sent again by policy; an e-mail is, where that was chosen and the wait is over."""
        waited = self._clock.machine() - row["handed_over_at"]
        over = waited >= timedelta(hours=self._settings.unknown_after_hours)
        chosen = row["channel"] == Channel.EMAIL and self._settings.unknown_email == "resend"
        if not (over and chosen and row["event"] and self._clock.business() < row["valid_until"]):
            return "open"
        async with self._pool.acquire() as connection, connection.transaction():
            move = Move(row["message_id"], None, None, self._clock.machine(), row["attempts"])
            await self._ledger.learn(connection, Cause.SENT_AGAIN, [move])
        return Cause.SENT_AGAIN.name.lower()

    async def _count(self) -> None:
        now = self._clock.machine()
        limit = timedelta(hours=self._settings.unknown_after_hours)
        (ages,) = await self._pool.fetch(
            queries.ages, now - timedelta(hours=1), now - timedelta(days=1), now - limit
        )
        for age in ("under_hour", "under_day", "older"):
            metrics.LEDGER_UNKNOWN.labels(age).set(ages[age])
        if ages["listed"] > self._listed:
            log.warning("unknown_messages_listed", messages=ages["listed"], see="orderwake ledger unknown")
        self._listed = ages["listed"]


_CAUSES = {
    Result.ACCEPTED: Cause.PROOF_TAKEN,
    Result.NOT_TAKEN: Cause.NOT_FOUND,
    Result.REJECTED: Cause.FAILED,
}
