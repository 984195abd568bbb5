"""Faust's consumer, in batches: one event per fetched partition batch, acknowledged in order."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

import structlog
from aiokafka import AIOKafkaConsumer
from aiokafka.coordinator.assignors.range import RangePartitionAssignor
from aiokafka.errors import KafkaError
from faust.transport.drivers import aiokafka as stock
from faust.types import TP, AppT, Message
from faust.types.tuples import ConsumerMessage

from shared.kafka.faust.driver import Driver
from shared.kafka.unreadable import to_record, tolerate_unreadable_batches

if TYPE_CHECKING:
    from faust.transport.drivers.aiokafka import Transport

log = structlog.get_logger()

_COMMIT_LIMIT_SECONDS = 5.0


def driver_of(app: AppT) -> Driver:
    """Return the driver that `make_app` gave the app."""
    return cast("Driver", app.driver)  # type: ignore[attr-defined]  # set on our own subclass of App


class ConsumerThread(stock.AIOKafkaConsumerThread):
    """Runs aiokafka's consumer. Equal partitions of all topics go to one worker; heartbeats renew the lease."""

    def _create_worker_consumer(self, transport: "Transport") -> AIOKafkaConsumer:
        tolerate_unreadable_batches()
        consumer = super()._create_worker_consumer(transport)
        # Faust's own assignor keeps only its own tables' topics together.
        consumer._partition_assignment_strategy = (RangePartitionAssignor,)  # noqa: SLF001  Faust has no setting
        return consumer

    async def on_start(self) -> None:
        """Start the consumer, with the lease tied to its heartbeats."""
        await super().on_start()
        coordinator = self._ensure_consumer()._coordinator  # noqa: SLF001  aiokafka tells nobody of heartbeats
        beat, ownership = coordinator._do_heartbeat, driver_of(self.app).ownership  # noqa: SLF001  as above

        async def observed() -> bool:
            sent_at = ownership.now()
            acknowledged = bool(await beat())
            if acknowledged:
                ownership.renew(sent_at)
            return acknowledged

        coordinator._do_heartbeat = observed  # noqa: SLF001  as above

    async def beat(self) -> None:
        """Send a heartbeat now, so that the lease begins."""
        await self.call_thread(self._ensure_consumer()._coordinator._do_heartbeat)  # noqa: SLF001  as above

    async def seek_to_committed(self) -> Mapping[TP, int]:
        """Seek partitions to the last committed offset, and those of which nothing was ever committed to their beginning.

        What was fetched while the flow was stopped was dropped, so where nothing was committed it would be missing.
        """
        return cast("Mapping[TP, int]", await self.call_thread(self._seek_all))

    async def _seek_all(self) -> Mapping[Any, int | None]:
        consumer = self._ensure_consumer()
        committed: Mapping[Any, int | None] = await consumer.seek_to_committed()
        never = [place for place, offset in committed.items() if not offset]
        if never:
            await consumer.seek_to_beginning(*never)
        return committed

    async def give_back(self, records: Mapping[Any, Sequence[Any]]) -> None:
        """Fetch again what was fetched but not handed on, unless its partition has gone or been sought since."""
        await self.call_thread(self._give_back, records)

    async def _give_back(self, records: Mapping[Any, Sequence[Any]]) -> None:
        consumer = self._ensure_consumer()
        for place, batch in records.items():
            if place in consumer.assignment() and await consumer.position(place) == batch[-1].offset + 1:
                consumer.seek(place, batch[0].offset)

    async def _commit(self, offsets: Mapping[TP, int]) -> bool:
        try:
            return bool(await super()._commit(offsets))
        except KafkaError as error:
            log.warning("commit_failed", error=repr(error))
            return False


class BatchConsumer(stock.Consumer):
    """Hands on each partition's fetched records as one message: value is the list, offset the last one's."""

    _thread: ConsumerThread

    def _new_consumer_thread(self) -> ConsumerThread:
        return ConsumerThread(self, loop=self.loop, beacon=self.beacon)

    async def getmany(self, timeout: float) -> AsyncIterator[tuple[TP, Message]]:  # noqa: ASYNC109  Faust's signature
        """Yield one message per partition batch; none while the flow is stopped.

        What a call has fetched while partitions were reassigned may be from before or after the new owner's position was
        set. It is given back: it will be fetched again from where that position is.
        """
        generation = self.app.consumer_generation_id
        records, _ = await self._wait_next_records(timeout)
        if records is None or self.should_stop:
            return
        given_back: dict[Any, list[Any]] = {}
        for place, batch in records.items():
            if not batch:
                continue
            moved = not self.flow_active or self.app.consumer_generation_id != generation
            if moved or place not in self._get_active_partitions():
                given_back[place] = batch
            else:
                yield TP(*place), self._batch_message(TP(*place), batch)
        if given_back:
            await self._thread.give_back(given_back)

    def _batch_message(self, place: TP, batch: list[Any]) -> ConsumerMessage:
        return ConsumerMessage(
            topic=place.topic,
            partition=place.partition,
            offset=batch[-1].offset,
            timestamp=batch[-1].timestamp / 1000,
            timestamp_type=batch[-1].timestamp_type,
            headers=None,
            key=None,
            value=cast("Any", [to_record(record) for record in batch]),
            checksum=None,
            serialized_key_size=0,
            serialized_value_size=0,
            tp=place,
            generation_id=self.app.consumer_generation_id,
        )

    def _new_offset(self, tp: TP) -> int | None:
        """Give what to commit. Batches come in order, so the last one acknowledged covers all before it."""
        acked = self._acked[tp]
        if not acked:
            return None
        last = max(acked)
        acked.clear()
        self._acked_index[tp].clear()
        return last + 1

    async def _add_gap(self, tp: TP, offset_from: int, offset_to: int) -> None:
        """Offsets between batches need no book-keeping, see `_new_offset`."""

    def on_buffer_full(self, tp: TP) -> None:
        """Do nothing: the bounded queue is the back-pressure, and a pause here would last a second."""

    def on_buffer_drop(self, tp: TP) -> None:
        """Do nothing, see `on_buffer_full`."""

    def verify_event_path(self, now: float, tp: TP) -> None:
        """Do nothing: Faust's stall warnings look at single events; ours is the lag."""

    async def wait_empty(self) -> None:
        """Finish the batch in hand and commit; the others will be read again."""
        await driver_of(self.app).settle()
        self._unacked_messages.clear()
        await self._commit_within_limit()

    async def on_partitions_revoked(self, revoked: set[TP]) -> None:
        """Finish and commit while the partitions are still ours, then give them up."""
        driver = driver_of(self.app)
        await driver.settle()
        await self._commit_within_limit()
        await super().on_partitions_revoked(revoked)
        driver.release()

    async def on_stop(self) -> None:
        """Do as `wait_empty`: Faust may not have called it."""
        await self.wait_empty()

    async def _commit_within_limit(self) -> None:
        try:
            await asyncio.wait_for(self.commit(), _COMMIT_LIMIT_SECONDS)
        except TimeoutError:
            log.warning("commit_timed_out", why="no coordinator; what was not committed will be read again")

    async def beat(self) -> None:
        """Send a heartbeat now, so that the lease begins."""
        await self._thread.beat()

    def span_of(self, tp: TP) -> tuple[int, int]:
        """Return the offset to be read next, by the last commit, and the partition's end by the last fetch."""
        try:
            end = self.highwater(tp) or 0
        except (KafkaError, AssertionError, KeyError):
            end = 0
        return self._committed_offset.get(tp) or 0, end
