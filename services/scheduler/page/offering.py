"""Decides the one offer of an order while its customer looks on, in one transaction, within a deadline."""

import asyncio
import itertools
import traceback
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import asyncpg
import structlog

from services.scheduler import derive, in_force, intake
from services.scheduler.deciding import Decider, outgoing_of
from services.scheduler.domain import Due
from services.scheduler.page import deciding, store
from services.scheduler.page.answer import Answer, Made, Nothing
from services.scheduler.page.deciding import Settled, Standing
from services.scheduler.page.store import Kept
from services.scheduler.spending.till import Tills
from services.scheduler.store import Connection, Locked
from shared.clock import Clock
from shared.errors import JourneysReplaced, RetryLater
from shared.events import Order
from shared.faults import PASSING
from shared.kafka.freshness import fresh_partitions
from shared.settings import Settings

log = structlog.get_logger()

Partitioner = Callable[[str, str], int]
"""From a shop and a customer to the partition that their events are in."""

_LOOK_SECONDS = 1.0
_FIRST_SLOT, _SLOTS = 16, 32
"""Of the tallies: pollers have those before, and requests side by side must not wait for each other."""

_TOPICS = [topic.name for topic in intake.TOPICS]


class _NothingDecidedError(Exception):
    """Rolls everything back: the answer is that there is no offer, and nothing is written of it."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Ask:
    """Whose order it is. `partition` is the customer's, for one who is not known yet."""

    shop: str
    customer: str
    partition: int
    order: Order


@dataclass(slots=True)
class _Turn:
    """How far a request has come: once it commits, it must not be given up."""

    commits: bool = False
    given_up: bool = False

    def begin_commit(self) -> None:
        """From here on it is not given up. Raises _NothingDecidedError if it was already."""
        if self.given_up:
            raise _NothingDecidedError(Nothing.TIMEOUT)
        self.commits = True


class Offers:
    """Several processes may offer: a customer's row is the lock, and what was answered is kept."""

    def __init__(  # noqa: PLR0913, PLR0917  what offers stand on
        self,
        pool: asyncpg.Pool,
        decider: Decider,
        partition_of: Partitioner,
        settings: Settings,
        clock: Clock,
        caught_up: Callable[[], bool] = lambda: True,
    ) -> None:
        self._pool = pool
        self._decider = decider
        self._partition_of = partition_of
        self._deadline = settings.thank_you_deadline_seconds
        self._stale_after = timedelta(seconds=settings.stale_after_seconds)
        self._clock = clock
        self._caught_up = caught_up
        self._tills = Tills(settings.code_secret.get_secret_value().encode())
        self._up_to_date = False
        self._slots = itertools.cycle(range(_FIRST_SLOT, _FIRST_SLOT + _SLOTS))
        self._abandoned: set[asyncio.Task[Answer]] = set()

    @property
    def ready(self) -> bool:
        """Whether journeys and products are known."""
        return self._up_to_date and self._caught_up()

    async def ask(self, shop: str, customer: str, order: Order) -> Answer:
        """Return the offer for an order, or why there is none, in the deadline; a commit under way may take as long again.

        Nothing is written of an answer that is late. Asked again, the same.
        """
        if not self.ready:
            return Answer(None, Nothing.STARTING)
        turn = _Turn()
        wanted = Ask(shop, customer, self._partition_of(shop, customer), order)
        task = asyncio.ensure_future(self._answer(wanted, turn))
        done, _ = await asyncio.wait({task}, timeout=self._deadline)
        if not done and turn.commits:
            done, _ = await asyncio.wait({task}, timeout=self._deadline)
        if done:
            return task.result()
        # Not cancelled: that takes PostgreSQL a process of its own each time, which a busy one cannot spare.
        turn.given_up = True
        self._abandoned.add(task)
        task.add_done_callback(self._abandoned.discard)
        return Answer(None, Nothing.TIMEOUT)

    async def _answer(self, ask: Ask, turn: _Turn) -> Answer:
        try:
            try:
                return await self._decided_or_kept(ask, turn)
            except RetryLater:
                # A code that we made was another's, or others held the last of a pool: once more, within the deadline.
                return await self._decided_or_kept(ask, turn)
        except _NothingDecidedError as nothing:
            return Answer(None, nothing.reason)
        except (TimeoutError, asyncpg.LockNotAvailableError):
            return Answer(None, Nothing.TIMEOUT)
        except (*PASSING, JourneysReplaced, RetryLater) as error:
            log.warning("page_unavailable", error=type(error).__name__)
        except Exception as error:  # noqa: BLE001  whatever it is, a shop's checkout must not see it
            # The places alone: values in a traceback could be personal.
            places = "".join(traceback.format_tb(error.__traceback__))
            log.error(  # noqa: TRY400  as above
                "page_failed", correlation=ask.order.order_id, error=type(error).__name__, places=places
            )
        return Answer(None, Nothing.UNAVAILABLE)

    async def _decided_or_kept(self, ask: Ask, turn: _Turn) -> Answer:
        now = self._clock.business()
        # Who has waited half of the time already would only be cut off at work: better not to begin.
        async with self._pool.acquire(timeout=self._deadline / 2) as connection:
            kept = await self._kept(connection, ask)
            if kept is None:
                async with store.transaction(connection, turn.begin_commit):
                    kept = await self._decide(connection, ask, now)
        return _again(kept, now)

    async def _decide(self, connection: Connection, ask: Ask, now: datetime) -> Kept:
        """Decide and write. Raises _NothingDecidedError where there is nothing to be written."""
        customer, fingerprint = await store.lock(connection, ask.shop, ask.customer, ask.partition)
        if fingerprint != self._decider.published.fingerprint:
            await self._agree(connection)
        decider = self._decider
        state = derive.state_of(customer)
        looked = deciding.seen(state, ask.order, decider.views)
        bids = deciding.bids(looked, decider, ask.order.order_id)
        if any(derive.settled(looked, each) for each in bids):
            # By another request while we waited for the lock, or so long ago that the answer is forgotten.
            return await self._kept(connection, ask) or Kept(Nothing.ANSWERED, None, None, None)
        wanted = _free(bids, looked.shop, decider)
        positions = await self._positions(connection, customer.partition)
        till = None
        if any(deciding.sweetened(each, decider) for each in wanted):
            customers = {ask.shop: [ask.customer]}
            till = await self._tills.open(connection, decider.published, customers, now, at_least=1)
        standing = Standing(decider, positions, now, till)
        settled = deciding.settle(state, looked, wanted, standing)
        await self._write(connection, customer, ask, settled, standing)
        return settled.kept

    async def _agree(self, connection: Connection) -> None:
        """Go by what is in force, until the transaction ends."""
        published = await in_force.hold(connection, self._decider.published)
        if published is not self._decider.published:
            self._decider = replace(self._decider, published=published)

    async def _write(
        self, connection: Connection, customer: Locked, ask: Ask, settled: Settled, standing: Standing
    ) -> None:
        decider = standing.decider
        decided = store.Decided(
            settled.state.dump(),
            ask.order.order_id,
            standing.now,
            settled.kept,
            [row for each in settled.decisions for row in outgoing_of(customer, each)],
            next(self._slots),
            Counter((each.verdict.value, each.reason or "") for each in settled.decisions),
        )
        if ask.order.order_id in settled.state.orders and ask.shop in decider.published.looking_back:
            # Other steps of the order may wait for a verdict on this one; of one not known yet, none is due.
            changed = [(customer, settled.state)]
            await intake.rewrite_steps(connection, changed, decider.published, standing.now, decider.views)
        if standing.till is not None:
            await standing.till.close(connection, self._clock.machine())
        await store.write(connection, customer.key, decided)

    async def _kept(self, connection: Connection, ask: Ask) -> Kept | None:
        return await store.answer(connection, ask.shop, ask.customer, ask.order.order_id)

    async def _positions(self, connection: Connection, partition: int) -> dict[str, int]:
        """Return where the customer's state stands, under its lock: nothing of theirs can be consumed now."""
        known = await store.positions(connection, partition)
        fresh = fresh_partitions(known, _TOPICS, self._clock.machine(), self._stale_after)
        if partition not in fresh:
            raise _NothingDecidedError(Nothing.STALE_STATE)
        return fresh[partition]

    async def run(self, stopping: asyncio.Event) -> None:
        """Go by what is in force before a customer asks, until `stopping` is set: reading it takes longer than they wait."""
        while not stopping.is_set():
            try:
                await self.look()
            except (*PASSING, JourneysReplaced) as error:
                log.warning("page_waits", error=type(error).__name__)
            with suppress(TimeoutError):
                await asyncio.wait_for(stopping.wait(), _LOOK_SECONDS)

    async def look(self) -> None:
        """Take up what is in force. Raises JourneysReplaced if nothing is, or other software derived it."""
        async with self._pool.acquire() as connection, connection.transaction():
            await self._agree(connection)
        self._up_to_date = True


def _free(bids: Sequence[Due], shop: str, decider: Decider) -> list[Due]:
    """List what is not held. Raises _NothingDecidedError if there is nothing, or all of it is."""
    if not bids:
        raise _NothingDecidedError(Nothing.NO_STEP)
    paused = decider.views.switches.paused()
    free = [
        each for each in bids if not any(scope.holds(shop, each.journey, each.channel) for scope in paused)
    ]
    if not free:
        raise _NothingDecidedError(Nothing.PAUSED)
    return free


def _again(kept: Kept, now: datetime) -> Answer:
    """Return the answer that was kept; an offer ends when it said."""
    if kept.message_id is None or kept.body is None or kept.expires_at is None:
        return Answer(None, kept.reason or Nothing.ANSWERED)
    if kept.expires_at <= now and kept.accepted_at is None:
        return Answer(None, Nothing.EXPIRED)
    return Answer(Made(kept.message_id, kept.body, kept.expires_at, kept.accepted_at))
