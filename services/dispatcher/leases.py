"""The loop that renews this worker's leases and ends those that ran out, whoever held them."""

import asyncio
from collections.abc import Callable
from uuid import UUID

import asyncpg
import structlog

from services.dispatcher.domain.states import State
from services.dispatcher.ledger import Ledger
from shared import metrics
from shared.faults import PASSING
from shared.settings import Settings

log = structlog.get_logger()


class Leases:
    """`holding` names the messages whose leases this worker needs; `freed` hears that some ran out."""

    def __init__(
        self,
        pool: asyncpg.Pool,
        ledger: Ledger,
        settings: Settings,
        holding: Callable[[], set[UUID]],
        freed: Callable[[], None],
    ) -> None:
        self._pool = pool
        self._ledger = ledger
        self._period = settings.dispatcher_lease_seconds / 3
        self._holding = holding
        self._freed = freed

    async def run(self, stopping: asyncio.Event) -> None:
        """Look thrice in a lease's life; after `stopping` is set, until no answer is owed any more."""
        while not (stopping.is_set() and not self._holding()):
            try:
                await self.look()
            except PASSING as error:
                log.warning("leases_not_renewed", error=type(error).__name__)
            await _pause(stopping, self._period)

    async def look(self) -> None:
        """Renew, expire, and count the states for the metrics, once."""
        async with self._pool.acquire() as connection, connection.transaction():
            await self._ledger.renew(connection, self._holding())
            ended = await self._ledger.expire(connection)
        async with (
            self._pool.acquire() as connection
        ):  # leases do not wait for a count of all that there ever was
            counts = await self._ledger.counts(connection)
        for state in State:
            metrics.LEDGER_STATE.labels(state).set(counts[state])
        if any(ended.values()):
            log.warning("leases_ran_out", **{cause.name.lower(): count for cause, count in ended.items()})
            self._freed()


async def _pause(stopping: asyncio.Event, seconds: float) -> None:
    if stopping.is_set():
        await asyncio.sleep(min(seconds, 0.1))
        return
    try:
        await asyncio.wait_for(stopping.wait(), seconds)
    except TimeoutError:
        return
