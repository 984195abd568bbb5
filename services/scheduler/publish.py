"""Has all customers' due steps follow what is in force: at the start, and whenever something is published."""

import asyncio
from contextlib import suppress

import asyncpg
import structlog

from services.scheduler import derive, in_force, intake, store
from services.scheduler.domain.published import Published
from services.scheduler.domain.publishing import current
from services.scheduler.domain.timing import NO_OUTLOOK, Outlook
from services.scheduler.versions import changes, publications, releasing
from services.scheduler.versions.releasing import Terms
from shared.clock import Clock
from shared.errors import PublicationError
from shared.faults import PASSING

log = structlog.get_logger()

START_UP = "start-up"

_CUSTOMERS = 200
_LOOK_SECONDS = 1.0
_RETRY_SECONDS = 0.5
_TERMS = Terms("migrate", "the folder that a process started with", START_UP)


class Publisher:
    """Publishes the folder that a process starts with, then derives customers anew, a batch at a time.

    Without a `folder` it publishes nothing, and there must be publications. How far deriving came is in the store: a successor
    goes on there, and several share the work. `published` is set when no customer was left for the first time.
    """

    def __init__(
        self, pool: asyncpg.Pool, folder: Published | None, clock: Clock, outlook: Outlook = NO_OUTLOOK
    ) -> None:
        self.published = asyncio.Event()
        self._pool = pool
        self._folder = folder
        self._clock = clock
        self._outlook = outlook
        self._known: Published | None = None

    async def run(self, stopping: asyncio.Event) -> None:
        """Follow what is published until `stopping` is set.

        Raises PublicationError if nothing is, and JourneysReplaced if other software takes over.
        """
        while not stopping.is_set():
            pause = _LOOK_SECONDS
            try:
                if await self.run_once():
                    continue
            except PASSING as error:
                log.warning("publishing_retrying", error=type(error).__name__)
                pause = _RETRY_SECONDS
            with suppress(TimeoutError):
                await asyncio.wait_for(stopping.wait(), pause)

    async def run_once(self) -> bool:
        """Publish the folder; or, once that is done, derive the next customers anew. Returns whether more may be left."""
        if self._known is None:
            # Once only: what others publish after it is not to be replaced in turn.
            self._known = await self._start()
            return True
        return await self._move(self._known)

    async def _start(self) -> Published:
        async with self._pool.acquire() as connection, connection.transaction():
            standing = await store.lock_in_force(connection)
            entries = await publications.in_effect(connection)
            before = publications.published_of(entries)
            if self._folder is not None:
                found = _differences(before, self._folder, entries)
                outcome = await releasing.publish(connection, found, _TERMS, self._clock)
                if outcome.proposed:
                    log.warning("journeys_need_approval", publications=outcome.proposed)
            elif not entries:
                message = (
                    "no journey is published, and ORDERWAKE_JOURNEYS_PUBLISH=never leaves that to people; "
                    'run: orderwake journeys publish journeys --waiting migrate --why "first journeys"'
                )
                raise PublicationError(message)
            else:
                await releasing.put_in_force(connection, standing, before, (), self._clock.machine())
            published = await publications.load(connection)
        versions = {name: journey.version for name, journey in current(published).items()}
        log.info("journeys_in_force", fingerprint=published.fingerprint, versions=versions)
        return published

    async def _move(self, known: Published) -> bool:
        async with self._pool.acquire() as connection:
            standing = await store.in_force(connection)
            if standing is not None and standing.complete and standing.fingerprint == known.fingerprint:
                self.published.set()
                return False
            async with connection.transaction():
                moved = await self._move_next(connection, known)
        if moved:
            log.info("customers_derived_anew", customers=moved)
        return True

    async def _move_next(self, connection: store.Connection, known: Published) -> int:
        standing = await store.lock_reached(connection)
        published = self._known = await in_force.agree(connection, standing, known)
        if standing is None or standing.complete:
            return 0
        customers = await store.lock_next(connection, standing.reached, _CUSTOMERS, standing.shops)
        states = [(customer, derive.state_of(customer)) for customer in customers]
        now = self._clock.business()
        change = await intake.rewrite_steps(connection, states, published, now, self._outlook)
        reached = customers[-1].key if customers else standing.reached
        await store.advance_in_force(connection, reached, change, complete=not customers)
        return len(customers)


def _differences(
    before: Published, folder: Published, entries: list[publications.Entry]
) -> list[changes.Change]:
    """Return what the folder changes. What an earlier start has published, and the folder lacks, is withdrawn."""
    journeys = current(folder)
    last = {(each.kind, each.name): each.published_by for each in entries}
    gone = [name for name in current(before) if name not in journeys and last["journey", name] == START_UP]
    gone += [
        shop
        for shop in before.programmes
        if shop not in folder.programmes and last["programme", shop] == START_UP
    ]
    return changes.of_folder(before, journeys, folder.programmes, gone)
