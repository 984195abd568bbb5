"""Decides what is due: claims customers, never waits for a lock, and commits facts and effects together."""

import asyncio
import secrets
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

import asyncpg
import structlog

from services.scheduler import in_force, intake, store
from services.scheduler.deciding import Decider, Settled
from services.scheduler.guarding.catch_up import CatchUp, Grant
from services.scheduler.guarding.guards import Counting
from services.scheduler.spending.till import Till, Tills
from services.scheduler.store import CustomerKey, Locked, Span
from shared import metrics
from shared.clock import Clock
from shared.errors import RetryLater
from shared.events import Verdict
from shared.faults import PASSING
from shared.kafka import outbox
from shared.kafka.freshness import Fresh, fresh_partitions
from shared.settings import Settings
from shared.switches import Scope

log = structlog.get_logger()

_IDLE_SECONDS = 0.1
_RETRY_SECONDS = 0.5
_SLOTS = 16
_FAILING_WAITS = timedelta(minutes=10)
_TOPICS = [topic.name for topic in intake.TOPICS]


class Poller:
    """Several may run, in as many processes: each claims customers whom no other holds.

    `committed` is called after a transaction that left something in the outbox.
    """

    def __init__(
        self,
        pool: asyncpg.Pool,
        decider: Decider,
        settings: Settings,
        clock: Clock,
        committed: Callable[[], None] = lambda: None,
    ) -> None:
        self._pool = pool
        self._decider = decider
        self._limit = settings.scheduler_claim
        self._stale_after = timedelta(seconds=settings.stale_after_seconds)
        self._clock = clock
        self._committed = committed
        self._slot = secrets.randbelow(_SLOTS)
        self._catch_up = CatchUp(settings, clock)
        self._tills = Tills(settings.code_secret.get_secret_value().encode())
        self._counting = Counting(decider.views.switches)

    async def run(self, stopping: asyncio.Event) -> None:
        """Decide until `stopping` is set: at once while there is work, else looking ten times a second."""
        while not stopping.is_set():
            pause = _IDLE_SECONDS
            try:
                if await self.run_once(self._clock.business()):
                    continue
            except (*PASSING, RetryLater) as error:
                log.warning("poller_retrying", error=type(error).__name__)
                pause = _RETRY_SECONDS
            await _rest(stopping, pause)

    async def run_once(self, now: datetime) -> int:
        """Decide one claim of customers as at business time `now`; returns how many it claimed.

        Raises JourneysReplaced if other software has derived the due steps.
        """
        async with self._pool.acquire() as connection:
            horizon = self._catch_up.horizon(now)
            grant = await self._catch_up.grant(connection, horizon)
            async with connection.transaction():
                settled = await self._decide(connection, Span(horizon, now), grant)
        self._count(settled, now)
        return len(settled)

    async def _decide(self, connection: store.Connection, due: Span, grant: Grant | None) -> list[Settled]:
        now, paused = due.until, self._decider.views.switches.paused()
        await self._agree(connection)
        trusted = sorted(await self.fresh(connection))
        claimed = await self._claim(connection, due, trusted, paused, grant) if trusted else []
        # Again, under the locks: nothing of these customers can be consumed now, so their states stand on
        # exactly these positions.
        fresh = await self.fresh(connection) if claimed else {}
        till = await self._tills.open(connection, self._decider.published, _by_shop(claimed), now)
        settled, failing = await self._settle(claimed, fresh, now, paused, till)
        if failing:
            await store.postpone(connection, failing, now, now + _FAILING_WAITS)
        await self._write(connection, settled)
        await till.close(connection, self._clock.machine())
        if grant and due.after:
            await self._catch_up.settle(connection, grant, _overdue_sends(settled, due.after))
        decided = [(each.state, [decision for decision, _ in each.decisions]) for each in settled]
        await self._counting.count_sends(connection, decided)
        return settled

    async def _claim(
        self,
        connection: store.Connection,
        due: Span,
        trusted: Sequence[int],
        paused: Sequence[Scope],
        grant: Grant | None,
    ) -> list[Locked]:
        """Lock customers with steps that are due now, and as many with long overdue ones as are granted."""
        claimed = await store.claim(connection, due, trusted, paused, self._limit)
        if grant and grant.whole and due.after:
            late = min(self._limit, grant.whole)
            claimed += await store.claim(connection, Span(None, due.after), trusted, paused, late)
        return list({customer.key: customer for customer in claimed}.values())

    async def _agree(self, connection: store.Connection) -> None:
        """Go by what is in force, until the transaction ends."""
        published = await in_force.hold(connection, self._decider.published)
        if published is not self._decider.published:
            self._decider = replace(self._decider, published=published)

    async def _settle(
        self, claimed: Sequence[Locked], fresh: Fresh, now: datetime, paused: Sequence[Scope], till: Till
    ) -> tuple[list[Settled], list[CustomerKey]]:
        """Decide what can be decided; also return those for whom it failed, so that one does not hold up all others."""
        settled, failing = [], []
        for customer in claimed:
            if customer.partition in fresh:
                positions, mark = fresh[customer.partition], till.mark
                try:
                    settled.append(self._decider.settle(customer, now, positions, paused, till))
                except RetryLater:
                    pass
                except Exception as error:
                    till.undo(mark)
                    failing.append(customer.key)
                    metrics.DECISIONS_FAILED.labels(type(error).__name__).inc()
                    log.exception("customer_not_decided", shop=customer.shop_id, again_in=str(_FAILING_WAITS))
                # Hundreds of decisions take a while, and heartbeats cannot wait.
                await asyncio.sleep(0)
        return settled, failing

    async def fresh(self, connection: store.Connection) -> Fresh:
        """Tell which partitions may be decided on now, with their positions."""
        known = await store.positions(connection)
        return fresh_partitions(known, _TOPICS, self._clock.machine(), self._stale_after)

    async def _write(self, connection: store.Connection, settled: Sequence[Settled]) -> None:
        if not settled:
            return
        keys = [each.customer.key for each in settled]
        present = await store.timings(connection, keys)
        change = store.difference(present, [row for each in settled for row in each.waiting])
        decided = {each.customer.key: each.state.dump() for each in settled if each.decisions}
        await store.save(connection, decided)
        await store.write_steps(connection, change, keys)
        await outbox.put(connection, [row for each in settled for row in each.outgoing])
        await store.tally(connection, self._slot, _verdicts(settled))

    def _count(self, settled: Sequence[Settled], now: datetime) -> None:
        for (verdict, reason), count in _verdicts(settled).items():
            metrics.DECISIONS.labels(verdict, reason).inc(count)
        for each in settled:
            for decision, row in each.decisions:
                log.debug(
                    "decided",
                    correlation=decision.order_id,
                    message_id=str(decision.message_id),
                    verdict=decision.verdict,
                    reason=decision.reason,
                )
                metrics.DECISION_LATENESS.observe((now - row.next_at).total_seconds())
        if any(each.outgoing for each in settled):
            self._committed()


def _verdicts(settled: Sequence[Settled]) -> Counter[tuple[str, str]]:
    return Counter(
        (decision.verdict.value, decision.reason.value if decision.reason else "")
        for each in settled
        for decision, _ in each.decisions
    )


def _overdue_sends(settled: Sequence[Settled], horizon: datetime) -> int:
    return sum(
        decision.verdict is Verdict.SEND and row.next_at <= horizon
        for each in settled
        for decision, row in each.decisions
    )


def _by_shop(claimed: Sequence[Locked]) -> dict[str, list[str]]:
    customers: dict[str, list[str]] = {}
    for customer in claimed:
        customers.setdefault(customer.shop_id, []).append(customer.customer_id)
    return customers


async def _rest(stopping: asyncio.Event, seconds: float) -> None:
    try:
        await asyncio.wait_for(stopping.wait(), seconds)
    except TimeoutError:
        return
