"""Puts this process's journeys in force: all customers' due steps follow them before it decides anything."""

import asyncio
from collections.abc import Collection
from contextlib import suppress

import asyncpg
import structlog

from services.scheduler import derive, in_force, intake, store
from services.scheduler.domain import Journey
from shared.clock import Clock
from shared.faults import PASSING

log = structlog.get_logger()

_CUSTOMERS = 500
_RETRY_SECONDS = 0.5


class Publisher:
    """Takes over from processes with other journeys, then derives every customer anew, a batch at a time.

    How far it came is in the store: a successor with the same journeys goes on there, and several share the work.
    `published` is set when no customer is left.
    """

    def __init__(self, pool: asyncpg.Pool, journeys: Collection[Journey], clock: Clock) -> None:
        self.published = asyncio.Event()
        self._pool = pool
        self._journeys = journeys
        self._mine = in_force.fingerprint(journeys)
        self._clock = clock
        self._taken = False

    async def run(self, stopping: asyncio.Event) -> None:
        """Publish, then wait until `stopping` is set. Raises JourneysReplaced if others take over meanwhile."""
        while not (stopping.is_set() or self.published.is_set()):
            try:
                await self.run_once()
            except PASSING as error:
                log.warning("publishing_retrying", error=type(error).__name__)
                with suppress(TimeoutError):
                    await asyncio.wait_for(stopping.wait(), _RETRY_SECONDS)
        await stopping.wait()

    async def run_once(self) -> None:
        """Take over; or, once that is done, derive the next customers anew."""
        if self._taken:
            await self._move()
        else:
            await self._take_over()
            # Once only: others that come after are not to be replaced in turn.
            self._taken = True

    async def _take_over(self) -> None:
        async with self._pool.acquire() as connection, connection.transaction():
            standing = await store.lock_in_force(connection)
            if standing is not None and standing.fingerprint == self._mine:
                return
            now = self._clock.machine()
            await store.put_in_force(connection, self._mine, now)
            for journey in sorted(self._journeys, key=lambda each: each.id):
                await store.keep_journey(
                    connection, journey.id, journey.version, journey.model_dump_json(), now
                )
        versions = {journey.id: journey.version for journey in self._journeys}
        log.info("journeys_put_in_force", fingerprint=self._mine, versions=versions)

    async def _move(self) -> None:
        async with self._pool.acquire() as connection, connection.transaction():
            standing = in_force.insist(await store.lock_in_force(connection), self._mine)
            customers = []
            if not standing.complete:
                customers = await store.lock_next(connection, standing.reached, _CUSTOMERS)
                known = [(customer, derive.state_of(customer)) for customer in customers]
                await intake.rewrite_steps(connection, known, self._journeys)
                reached = customers[-1].key if customers else standing.reached
                await store.advance_in_force(connection, reached, complete=not customers)
        if customers:
            log.info("customers_derived_anew", customers=len(customers))
        else:
            self.published.set()
