"""The loops that hand messages over: claim and render; check, write and hand over; write what came back.

They run side by side, so that one batch is claimed and rendered while another is checked and a third is on its way. At most
`dispatcher_claim` messages are handed over and unanswered at any moment: that is what a crash may leave unknown.
"""

import asyncio
from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from uuid import UUID

import asyncpg
import structlog

from services.dispatcher import answers
from services.dispatcher.answers import Done
from services.dispatcher.checking import Checker, Claim
from services.dispatcher.domain.policy import Withheld
from services.dispatcher.flow import Flow, Lot, Share
from services.dispatcher.ledger import Claimed, Ledger
from services.dispatcher.news import News
from services.dispatcher.providers.base import Answer, Fault, Parcel
from shared import metrics
from shared.clock import Clock
from shared.errors import SettingsError
from shared.events import Channel
from shared.faults import PASSING
from shared.settings import Settings
from shared.switches import Switch

log = structlog.get_logger()

IDLE_SECONDS = 0.2
GATHER_SECONDS = 0.01
RETRY_SECONDS = 0.5

MakeParcel = Callable[[Claimed], Parcel | Withheld]


class Sender:
    """One worker's loops.

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
        flow: Flow,
        make_parcel: MakeParcel,
        switches: Callable[[], Iterable[Switch]],
        told: Callable[[], None],
    ) -> None:
        self._pool = pool
        self._ledger = ledger
        self._clock = clock
        self._news = News(clock, settings)
        self._checker = Checker(ledger, self._news, clock, settings, switches)
        self._limit = settings.dispatcher_claim
        self._flow = flow
        self._make_parcel = make_parcel
        self._switches = switches
        self._told = told
        self.finished = asyncio.Event()
        self._claimed: set[UUID] = set()
        self._prepared: deque[Claim] = deque()
        self._in_flight: dict[tuple[UUID, int], asyncio.Task[None]] = {}
        self._ended: list[Done] = []
        self._rendering = False
        self._left_behind = False
        self._closing = False
        self._fault: BaseException | None = None
        self._awake, self._ready, self._answered = asyncio.Event(), asyncio.Event(), asyncio.Event()

    def wake(self) -> None:
        """There may be work: look now rather than at the next turn."""
        self._awake.set()

    def holding(self) -> set[UUID]:
        """Messages whose leases this worker still needs."""
        return self._claimed | {message for message, _ in self._in_flight}

    async def run(self, stopping: asyncio.Event) -> None:
        """Send until `stopping` is set, then wait for the answers still owed and write them."""
        feeding = asyncio.create_task(self._feed(stopping))
        launching = asyncio.create_task(self._launch(stopping))
        collecting = asyncio.create_task(self._collect())
        try:
            await asyncio.gather(self._closed(feeding, launching), collecting)
        finally:
            for task in (feeding, launching, collecting, *self._in_flight.values()):
                task.cancel()
            self.finished.set()

    async def _closed(self, *loops: "asyncio.Task[None]") -> None:
        """When no loop hands anything over any more: give back what was claimed ahead."""
        await asyncio.gather(*loops)
        self._prepared.clear()
        self._claimed.clear()
        self._left_behind = True
        with suppress(*PASSING):  # else the leases run out
            await self._let_go()
        self._closing = True
        self._answered.set()

    async def start_batch(self, limit: int) -> int:
        """Claim up to `limit` messages, begin to hand over those that pass; returns how many were claimed."""
        count = await self._claim(limit)
        batch = list(self._prepared)
        self._prepared.clear()
        if batch:
            await self._hand_over_batch(batch)
        return count

    async def _feed(self, stopping: asyncio.Event) -> None:
        """Keep a batch claimed and rendered ahead of what is on its way."""
        while not stopping.is_set():
            self._awake.clear()
            try:
                await self._let_go()
                wanted = self._limit - len(self._prepared)
                if 2 * wanted >= self._limit and await self._claim(wanted) == wanted:
                    continue
            except PASSING as error:
                log.warning("ledger_unreachable", error=type(error).__name__)
                await self._lose(())
            await _pause(self._awake, IDLE_SECONDS)

    async def _claim(self, limit: int) -> int:
        """Claim and render up to `limit` messages, no more of a channel than may go; returns how many.

        None is while news of consent is stale, on any partition: a claim does not choose customers.
        """
        ahead = Counter(claimed.event.data.channel for claimed, _ in self._prepared)
        rooms = self._flow.rooms(limit, ahead)
        if not rooms:
            return 0
        async with self._pool.acquire() as connection, connection.transaction():
            if not await self._news.fresh(connection):
                return 0
            claimed = await self._ledger.claim(connection, limit, self._switches(), rooms, self._flow.shops())
        ours = {one.message_id for one in claimed}
        self._claimed |= ours
        for stale in [each for each in self._prepared if each[0].message_id in ours]:  # its lease ran out
            self._prepared.remove(stale)
        try:
            self._rendering = True
            for one in claimed:
                self._prepared.append((one, self._parcel(one)))
                if 2 * len(self._prepared) == self._limit:
                    self._ready.set()
                await asyncio.sleep(0)  # rendering is work: answers that came meanwhile are read
        finally:
            self._rendering = False
        self._ready.set()
        return len(claimed)

    def _parcel(self, claimed: Claimed) -> Parcel | Withheld:
        if not self._flow.routed(claimed.event.data.channel):
            return Withheld.NO_PROVIDER
        try:
            return self._make_parcel(claimed)
        except Exception as error:  # noqa: BLE001  one message must not stop the others, claim after claim
            log.error("not_composed", message_id=str(claimed.message_id), error=type(error).__name__)  # noqa: TRY400  a traceback may hold an address
            return Withheld.UNRENDERABLE

    async def _launch(self, stopping: asyncio.Event) -> None:
        """Hand over what is prepared, whenever there is room for half of all that may be on its way, or for all there is."""
        while not stopping.is_set():
            self._ready.clear()
            batch = self._next_batch()
            if not batch:
                await _pause(self._ready, IDLE_SECONDS)
                continue
            self._awake.set()
            try:
                await self._hand_over_batch(batch)
            except PASSING as error:
                log.warning("ledger_unreachable", error=type(error).__name__)
                await self._lose([claimed.message_id for claimed, _ in batch])

    def _next_batch(self) -> list[Claim]:
        """What is prepared, as far as the limit and the providers' concurrency leave room; others keep their places."""
        free, half = self._limit - len(self._in_flight), max(self._limit // 2, 1)
        if free < min(len(self._prepared), half) or (self._rendering and len(self._prepared) < half):
            return []
        rooms: dict[Channel, int] = {channel: self._flow.free(channel) for channel in Channel}
        batch: list[Claim] = []
        kept: deque[Claim] = deque()
        while self._prepared and len(batch) < free:
            one = self._prepared.popleft()
            channel = one[0].event.data.channel
            rooms[channel] -= 1
            (batch if rooms[channel] >= 0 else kept).append(one)
        self._prepared.extendleft(reversed(kept))
        return batch

    async def _hand_over_batch(self, batch: Sequence[Claim]) -> None:
        """Find providers, check for the last time, write who goes, and call."""
        shares = await self._flow.share_out(one for one, parcel in batch if isinstance(parcel, Parcel))
        unused: dict[UUID, Share] = dict(shares)
        try:
            async with self._pool.acquire() as connection, connection.transaction():
                going = await self._checker.check(connection, batch, shares)
            for one, parcel, lot in going:
                del unused[one.message_id]
                task = asyncio.create_task(self._hand_over(one, parcel, lot))
                self._in_flight[_of_hand_over(one)] = task
                task.add_done_callback(self._note_fault)
        finally:
            await self._give_back(unused)
        self._claimed.difference_update(one.message_id for one, _ in batch)
        if len(going) < len(batch):
            self._told()

    async def _give_back(self, unused: Mapping[UUID, Share]) -> None:
        with suppress(*PASSING):  # costs a moment of a rate
            await self._flow.give_back(unused.values())

    async def _hand_over(self, claimed: Claimed, parcel: Parcel, lot: Lot) -> None:
        channel, provider = claimed.event.data.channel, lot.provider
        started = self._clock.monotonic()
        try:
            answer = await provider.send(_addressed(claimed, parcel, lot))
        except SettingsError as error:  # a key that cannot be read or used: nothing leaves without
            log.error("provider_unusable", provider=provider.name, detail=str(error))  # noqa: TRY400  the message is the whole story
            answer = Answer.of(Fault.SENDER, "settings")
        except Exception as error:  # noqa: BLE001  whatever a provider's code does, the message may have left
            log.error("provider_failed", provider=provider.name, error=type(error).__name__)  # noqa: TRY400  a traceback may hold an address
            answer = Answer.of(Fault.OPEN, "provider_failed")
        metrics.SEND_SECONDS.labels(channel).observe(self._clock.monotonic() - started)
        metrics.SENDS.labels(channel, "our_fault" if answer.our_fault else answer.result).inc()
        trip = self._flow.hear(lot, claimed, answer)
        elsewhere = self._flow.elsewhere(claimed, answer, provider.name)
        self._ended.append(Done(claimed, answer, provider.name, elsewhere, trip))
        self._answered.set()

    def _note_fault(self, task: "asyncio.Task[None]") -> None:
        if not task.cancelled() and task.exception():
            self._fault = task.exception()
            self._answered.set()

    async def settle(self) -> None:
        """Wait for every answer that is owed, and write them."""
        await asyncio.gather(*self._in_flight.values())
        await self._write_ended()

    async def _collect(self) -> None:
        """Write answers as they come, those that came while others were written together; to the last one owed."""
        while not self._closing or self._in_flight:
            self._answered.clear()
            if self._fault:
                raise self._fault
            if self._ended:
                if 4 * len(self._ended) < min(self._limit, 2 * len(self._in_flight)):
                    await asyncio.sleep(GATHER_SECONDS)
                await self._write_ended()
            else:
                await _pause(self._answered, IDLE_SECONDS)

    async def _write_ended(self) -> None:
        ended, self._ended = self._ended, []
        if ended:
            await self._write(ended)
        for done in ended:
            del self._in_flight[_of_hand_over(done.claimed)]
        self._ready.set()
        self._awake.set()

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

    async def _lose(self, messages: Iterable[UUID]) -> None:
        """After a fault: what is not in flight reached no provider, so it may go again."""
        self._claimed.difference_update(messages)
        self._left_behind = True
        await asyncio.sleep(RETRY_SECONDS)

    async def _let_go(self) -> None:
        """Give back what this worker no longer holds, once the ledger can be reached."""
        if not self._left_behind:
            return
        self._left_behind = False  # more may be lost while these are given back
        try:
            async with self._pool.acquire() as connection, connection.transaction():
                await self._ledger.let_go(connection, self.holding())
        except BaseException:
            self._left_behind = True
            raise


def _of_hand_over(claimed: Claimed) -> tuple[UUID, int]:
    """What names one hand-over: a message may go again before the answer to an earlier one is written."""
    return claimed.message_id, claimed.attempts


def _addressed(claimed: Claimed, parcel: Parcel, lot: Lot) -> Parcel:
    """The parcel with the shop's own sender at this provider."""
    shop, journey = claimed.event.shopid, claimed.event.data.journey
    if (parcel.sender or not lot.sender) and parcel.shop and parcel.journey:
        return parcel
    return replace(parcel, sender=parcel.sender or lot.sender, shop=shop, journey=journey)


async def _pause(event: asyncio.Event, seconds: float) -> None:
    with suppress(TimeoutError):
        await asyncio.wait_for(event.wait(), seconds)
