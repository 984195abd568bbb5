"""The loop that hands messages over: claim, render, check, write, hand over, write what came back.

At most `dispatcher_claim` messages are handed over and unanswered at any moment: that is what a crash may
leave unknown.
"""

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import timedelta
from uuid import UUID

import asyncpg
import structlog

from services.dispatcher import answers, links
from services.dispatcher.answers import Done
from services.dispatcher.domain.consent import Standing
from services.dispatcher.domain.policy import Held, Verdict, Withheld, check, wait_while_held
from services.dispatcher.domain.states import Cause
from services.dispatcher.ledger import Claimed, Connection, Going, Ledger, Move
from services.dispatcher.news import News
from services.dispatcher.providers.base import Answer, Fault, Parcel, Provider
from shared import metrics
from shared.clock import Clock
from shared.events import Channel
from shared.faults import PASSING
from shared.settings import Settings
from shared.switches import Switch

log = structlog.get_logger()

IDLE_SECONDS = 0.2
RETRY_SECONDS = 0.5

MakeParcel = Callable[[Claimed], Parcel | Withheld]


class Sender:
    """One worker's loop.

    `make_parcel` renders; `switches` gives the pauses as they are now; `told` hears of new events in the outbox.
    `finished` is set when the last answer is written.
    """

    def __init__(  # noqa: PLR0913  the composition root names each part
        self,
        *,
        pool: asyncpg.Pool,
        ledger: Ledger,
        clock: Clock,
        settings: Settings,
        providers: Mapping[Channel, Provider],
        make_parcel: MakeParcel,
        switches: Callable[[], Iterable[Switch]],
        told: Callable[[], None],
    ) -> None:
        self._pool = pool
        self._ledger = ledger
        self._news = News(clock, settings)
        self._clock = clock
        self._limit = settings.dispatcher_claim
        self._providers = providers
        self._make_parcel = make_parcel
        self._switches = switches
        self._told = told
        self.finished = asyncio.Event()
        self._awake = asyncio.Event()
        self._claimed: set[UUID] = set()
        self._in_flight: dict[asyncio.Task[Done], UUID] = {}

    def wake(self) -> None:
        """There may be work: look now rather than at the next turn."""
        self._awake.set()

    def holding(self) -> set[UUID]:
        """Messages whose leases this worker still needs."""
        return self._claimed | set(self._in_flight.values())

    async def run(self, stopping: asyncio.Event) -> None:
        """Send until `stopping` is set, then wait for the answers still owed and write them."""
        try:
            while not stopping.is_set():
                await self._turn()
            while self._in_flight:
                await self._settle(wait_for_work=False)
        finally:
            for task in self._in_flight:
                task.cancel()
            self.finished.set()

    async def _turn(self) -> None:
        self._awake.clear()
        free = self._limit - len(self._in_flight)
        full = 2 * free < self._limit
        if not full:
            try:
                full = await self.start_batch(free) == free
            except PASSING as error:
                log.warning("ledger_unreachable", error=type(error).__name__)
                await self._let_go()
        await self._settle(wait_for_work=not full)

    async def start_batch(self, limit: int) -> int:
        """Claim up to `limit` messages, begin to hand over those that pass; returns how many were claimed.

        None is while news of consent is stale, on any partition: a claim does not choose customers.
        """
        async with self._pool.acquire() as connection, connection.transaction():
            if not await self._news.fresh(connection):
                return 0
            claimed = await self._ledger.claim(connection, limit, self._switches())
            self._claimed = {one.message_id for one in claimed}
        if not claimed:
            return 0
        parcels = {one.message_id: self._parcel(one) for one in claimed}
        async with self._pool.acquire() as connection, connection.transaction():
            going = await self._last_check(connection, claimed, parcels)
        for one, parcel in going:
            self._in_flight[asyncio.create_task(self._hand_over(one, parcel))] = one.message_id
        self._claimed = set()
        if len(going) < len(claimed):
            self._told()
        return len(claimed)

    def _parcel(self, claimed: Claimed) -> Parcel | Withheld:
        if claimed.event.data.channel not in self._providers:
            return Withheld.NO_PROVIDER
        try:
            return self._make_parcel(claimed)
        except Exception as error:  # noqa: BLE001  one message must not stop the others, claim after claim
            log.error("not_composed", message_id=str(claimed.message_id), error=type(error).__name__)  # noqa: TRY400  a traceback may hold an address
            return Withheld.UNRENDERABLE

    async def _last_check(
        self, connection: Connection, claimed: Sequence[Claimed], parcels: Mapping[UUID, Parcel | Withheld]
    ) -> list[tuple[Claimed, Parcel]]:
        """Write who goes, waits or is refused, by the newest consent; returns those who go."""
        fresh = await self._news.fresh(connection)  # first: what is read after it is no older than it says
        standings = await self._ledger.people.standings(connection, claimed)
        verdicts = self._verdicts(claimed, standings, fresh=fresh)
        machine = self._clock.machine()
        refused, held, going = [], [], []
        for one, verdict in zip(claimed, verdicts, strict=True):
            parcel = parcels[one.message_id]
            if isinstance(verdict, Held):
                next_try = machine + timedelta(seconds=wait_while_held(verdict, one.put_back))
                held.append(Move(one.message_id, verdict, next_try=next_try))
            elif isinstance(parcel, Parcel) and verdict is None:
                going.append((one, parcel))
            else:
                refused.append(Move(one.message_id, verdict or str(parcel)))
                metrics.SENDS.labels(one.event.data.channel, "withheld").inc()
        await self._ledger.move(connection, Cause.PUT_BACK, held)
        await self._ledger.move(connection, Cause.REFUSED, refused)
        leaving = [
            Going(one, self._providers[one.event.data.channel].name, standings[one.message_id])
            for one, _ in going
        ]
        ours = await self._ledger.hand_over(connection, leaving)
        await links.keep(
            connection, [link for one, parcel in going if one.message_id in ours for link in parcel.links]
        )
        return [(one, parcel) for one, parcel in going if one.message_id in ours]

    def _verdicts(
        self, claimed: Sequence[Claimed], standings: Mapping[UUID, Standing], *, fresh: bool
    ) -> list[Verdict]:
        if not fresh:
            return [Held.NEWS_STALE] * len(claimed)
        switches, now = list(self._switches()), self._clock.business()
        return [
            check(one.event.shopid, one.event.data, standings.get(one.message_id, Standing()), switches, now)
            for one in claimed
        ]

    async def _hand_over(self, claimed: Claimed, parcel: Parcel) -> Done:
        channel = claimed.event.data.channel
        started = self._clock.monotonic()
        try:
            answer = await self._providers[channel].send(parcel)
        except Exception as error:  # noqa: BLE001  whatever a provider's code does, the message may have left
            log.error("provider_failed", error=type(error).__name__)  # noqa: TRY400  a traceback may hold an address
            answer = Answer.of(Fault.OPEN, "provider_failed")
        metrics.SEND_SECONDS.labels(channel).observe(self._clock.monotonic() - started)
        metrics.SENDS.labels(channel, "our_fault" if answer.our_fault else answer.result).inc()
        if answer.our_fault:
            log.error("sender_refused", channel=channel, reason=answer.reason)
        return Done(claimed, answer, self._providers[channel].name)

    async def _settle(self, *, wait_for_work: bool) -> None:
        """Wait for an answer, or for work if there is room for more, and write the answers that came."""
        waking = asyncio.ensure_future(self._awake.wait())
        waiting = {*self._in_flight, waking} if wait_for_work else set(self._in_flight)
        timeout = IDLE_SECONDS if wait_for_work else None
        if waiting:
            await asyncio.wait(waiting, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
        waking.cancel()
        ended = [task for task in self._in_flight if task.done()]
        if ended:
            await self._write([task.result() for task in ended])
            for task in ended:
                del self._in_flight[task]

    async def _write(self, done: Sequence[Done]) -> None:
        """Write answers, however long the database is away: they cannot be had twice."""
        while True:
            try:
                async with self._pool.acquire() as connection, connection.transaction():
                    await answers.write(self._ledger, connection, done, self._clock.machine())
                break
            except PASSING as error:
                log.warning("answers_wait_for_ledger", error=type(error).__name__, answers=len(done))
                await asyncio.sleep(RETRY_SECONDS)
        self._told()

    async def _let_go(self) -> None:
        """After a fault while claiming: what is not in flight reached no provider, so it may go again."""
        self._claimed = set()
        await asyncio.sleep(RETRY_SECONDS)
        try:
            async with self._pool.acquire() as connection, connection.transaction():
                await self._ledger.let_go(connection, self.holding())
        except PASSING as error:
            log.warning("ledger_unreachable", error=type(error).__name__)
