"""A consumer whose positions live in PostgreSQL, in the transaction that holds the effects.

One batch is one transaction: effects and positions are both there or both not, so a crash at any point neither loses
nor repeats an effect. On assignment the consumer seeks to PostgreSQL's position; Kafka's commit is for information.
A worker that has lost a partition finds another's name in the row and drops its batch (StalePartition).
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any
from uuid import uuid4

import asyncpg
import structlog
from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, TopicPartition
from aiokafka.coordinator.assignors.range import RangePartitionAssignor
from aiokafka.errors import KafkaError

from shared import metrics
from shared.clock import Clock
from shared.db.queries import load_queries
from shared.errors import EventError, ProducerLost, Refusal, StalePartition
from shared.faults import PASSING
from shared.kafka.guard import Guard
from shared.kafka.producer import is_fatal
from shared.kafka.records import Admitted, Record
from shared.kafka.unreadable import to_record, tolerate_unreadable_batches
from shared.settings import Settings
from shared.topics import Topic

log = structlog.get_logger()
queries = load_queries(Path(__file__).with_name("positions.sql"))

Handle = Callable[[Any, Sequence[Admitted]], Awaitable[None]]

HEARTBEAT_SECONDS = 1.0
_POLL_MS = 200
_RETRY_SECONDS = 1.0


class PositionedConsumer(ConsumerRebalanceListener):  # type: ignore[misc]  # aiokafka ships no types
    """Reads `topics` for `service` and hands each batch to `handle(connection, admitted)` in one transaction.

    A passing fault (broker or database away) is retried from PostgreSQL's positions; any other error leaves `run`.
    """

    def __init__(  # noqa: PLR0913  the composition root names each part
        self,
        *,
        service: str,
        topics: Sequence[Topic],
        pool: asyncpg.Pool,
        settings: Settings,
        clock: Clock,
        guard: Guard,
        handle: Handle,
    ) -> None:
        self._service = service
        self._topics = topics
        self._pool = pool
        self._settings = settings
        self._clock = clock
        self._guard = guard
        self._handle = handle
        self._owner = uuid4()
        self._turn = asyncio.Lock()
        self._assignment = 0
        self._unassigned: Exception | None = None
        self._positions: dict[TopicPartition, int] = {}
        self._log_ends: dict[TopicPartition, int] = {}
        self._observed = float("-inf")
        self._consumer: AIOKafkaConsumer | None = None

    @property
    def caught_up(self) -> bool:
        """Whether the group has given us our partitions, perhaps none, and each is read to the log end last seen."""
        return (
            self._assignment > 0
            and self._consumer is not None
            and all(
                position >= self._log_ends.get(tp, position + 1) for tp, position in self._positions.items()
            )
        )

    async def run(self, stopping: asyncio.Event) -> None:
        """Read until `stopping` is set; the batch in hand is finished first."""
        while not stopping.is_set():
            consumer = self._consumer = self._make_consumer()
            try:
                await consumer.start()
                while not stopping.is_set():
                    await self._step(consumer)
            except StalePartition:
                log.info("partition_lost", owner=str(self._owner))
            except PASSING as error:
                log.warning("retrying", error=type(error).__name__)
                await _wait(stopping, _RETRY_SECONDS)
            finally:
                self._consumer = None
                await _close(consumer)
                self._positions.clear()

    def _make_consumer(self) -> AIOKafkaConsumer:
        tolerate_unreadable_batches()
        session_ms = int(self._settings.consumer_session_seconds * 1000)
        consumer = AIOKafkaConsumer(
            bootstrap_servers=self._settings.kafka_bootstrap_servers,
            group_id=f"orderwake-{self._service}",
            client_id=f"orderwake-{self._service}",
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            session_timeout_ms=session_ms,
            heartbeat_interval_ms=session_ms // 6,
            rebalance_timeout_ms=session_ms * 5,
            partition_assignment_strategy=(RangePartitionAssignor,),
            max_partition_fetch_bytes=4 * 1024 * 1024,
            fetch_max_wait_ms=_POLL_MS,
        )
        consumer.subscribe([topic.name for topic in self._topics], listener=self)
        return consumer

    async def on_partitions_revoked(self, revoked: Sequence[TopicPartition]) -> None:
        """Wait for the batch in hand, then forget the partitions."""
        async with self._turn:
            for tp in revoked:
                self._positions.pop(tp, None)

    async def on_partitions_assigned(self, assigned: Sequence[TopicPartition]) -> None:
        """Take ownership of the partitions' rows and seek to the positions they hold."""
        try:
            await self._take_over(assigned)
        except Exception as error:  # noqa: BLE001  aiokafka would only log it: `run` must learn of it
            self._unassigned = error

    async def _take_over(self, assigned: Sequence[TopicPartition]) -> None:
        consumer = self._consumer
        async with self._turn:
            try:
                if assigned and consumer is not None:
                    await self._claim(consumer, assigned)
            finally:
                # Last, so that whatever was fetched before the seeks is known to be.
                self._assignment += 1

    async def _claim(self, consumer: AIOKafkaConsumer, assigned: Sequence[TopicPartition]) -> None:
        starts = await consumer.beginning_offsets(list(assigned))
        names, numbers = [tp.topic for tp in assigned], [tp.partition for tp in assigned]
        for row in await self._pool.fetch(queries.claim, names, numbers, self._owner):
            tp = TopicPartition(row["topic"], row["partition_number"])
            _tell_of_gap(tp, row["position"], starts[tp])
            self._positions[tp] = max(row["position"], starts[tp])
            consumer.seek(tp, self._positions[tp])
        self._observed = float("-inf")

    async def _step(self, consumer: AIOKafkaConsumer) -> None:
        # getmany waits out a rebalance, which waits for our turn: it must not be called while holding it.
        before = self._assignment
        fetched = await consumer.getmany(timeout_ms=_POLL_MS, max_records=self._settings.batch_records)
        async with self._turn:
            if self._unassigned:
                error, self._unassigned = self._unassigned, None
                raise error
            if before != self._assignment:
                self._seek_again(consumer)
                return
            mine = {tp: records for tp, records in fetched.items() if tp in self._positions}
            if mine:
                await self._process(consumer, mine)
            # Also under steady load: other partitions may be silent, and silence means stale.
            if self._positions and self._clock.monotonic() - self._observed > HEARTBEAT_SECONDS:
                await self._observe(consumer)

    def _seek_again(self, consumer: AIOKafkaConsumer) -> None:
        """Drop what was fetched while partitions were assigned: it may stem from before our seek."""
        for tp, position in self._positions.items():
            consumer.seek(tp, position)

    async def _process(
        self, consumer: AIOKafkaConsumer, fetched: Mapping[TopicPartition, Sequence[Any]]
    ) -> None:
        started = self._clock.monotonic()
        admitted = await self._admit([to_record(item) for records in fetched.values() for item in records])
        reached = {tp: records[-1].offset + 1 for tp, records in fetched.items()}
        for tp in fetched:
            self._log_ends[tp] = max(consumer.highwater(tp) or 0, reached[tp])
        try:
            await self._apply(admitted, reached)
        except asyncpg.DataError:
            await self._apply_singly(admitted, reached)
        for topic in {tp.topic for tp in fetched}:
            metrics.BATCH_SECONDS.labels(topic).observe(self._clock.monotonic() - started)

    async def _admit(self, records: Sequence[Record]) -> list[Admitted]:
        try:
            return await self._guard.admit(records)
        except KafkaError as error:
            if is_fatal(error):
                message = "the producer of dead letters can never publish again; a new start gets a new one"
                raise ProducerLost(message) from error
            raise

    async def _apply(self, admitted: Sequence[Admitted], reached: Mapping[TopicPartition, int]) -> None:
        async with self._pool.acquire() as connection, connection.transaction():
            await self._lock(connection, list(reached))
            await self._handle(connection, admitted)
            await self._advance(connection, reached)
        self._positions.update(reached)

    async def _apply_singly(
        self, admitted: Sequence[Admitted], reached: Mapping[TopicPartition, int]
    ) -> None:
        """Find the records that PostgreSQL cannot keep, and make them dead letters rather than a crash loop."""
        async with self._pool.acquire() as connection, connection.transaction():
            await self._lock(connection, list(reached))
            tried = [await self._try(connection, one) for one in admitted]
            await self._guard.refuse_all([refused for refused in tried if refused])
            await self._advance(connection, reached)
        self._positions.update(reached)

    async def _try(self, connection: Any, one: Admitted) -> tuple[Record, EventError] | None:  # noqa: ANN401  a pool's proxy
        try:
            async with connection.transaction():
                await self._handle(connection, [one])
        except asyncpg.DataError as error:
            detail = f"PostgreSQL refused it: {type(error).__name__}"
            return one.record, EventError(Refusal.PROCESSING_FAILED, detail)
        return None

    async def _observe(self, consumer: AIOKafkaConsumer) -> None:
        """Say how far we are, from log ends that the broker has just told, so that silence means stale."""
        self._log_ends.update(await consumer.end_offsets(list(self._positions)))
        async with self._pool.acquire() as connection:
            await self._advance(connection, dict(self._positions))
        self._observed = self._clock.monotonic()
        if read := {tp: position for tp, position in self._positions.items() if position}:
            await consumer.commit(read)
        for tp, position in self._positions.items():
            metrics.CONSUMER_LAG.labels(tp.topic, tp.partition).set(self._log_ends[tp] - position)

    async def _lock(self, connection: Any, partitions: Sequence[TopicPartition]) -> None:  # noqa: ANN401  a pool's proxy
        rows = await connection.fetch(
            queries.lock, [tp.topic for tp in partitions], [tp.partition for tp in partitions]
        )
        for row in rows:
            tp = TopicPartition(row["topic"], row["partition_number"])
            if row["owner"] != self._owner or row["position"] > self._positions[tp]:
                message = f"{tp.topic}-{tp.partition} is another worker's now"
                raise StalePartition(message)

    async def _advance(self, connection: Any, positions: Mapping[TopicPartition, int]) -> None:  # noqa: ANN401  as above
        partitions = sorted(positions)
        await connection.execute(
            queries.advance,
            [tp.topic for tp in partitions],
            [tp.partition for tp in partitions],
            [positions[tp] for tp in partitions],
            [self._log_ends.get(tp, positions[tp]) for tp in partitions],
            self._clock.machine(),
            self._owner,
        )


def _tell_of_gap(tp: TopicPartition, position: int, start: int) -> None:
    """Records that retention removed before we read them are lost: never in silence."""
    if 0 < position < start:
        log.error("records_lost", topic=tp.topic, partition=tp.partition, position=position, log_start=start)
        metrics.RECORDS_LOST.labels(tp.topic).inc(start - position)


async def _close(consumer: AIOKafkaConsumer) -> None:
    try:
        await asyncio.wait_for(consumer.stop(), 5)
    except (KafkaError, TimeoutError, OSError) as error:
        log.warning("consumer_close_failed", error=type(error).__name__)
    except asyncio.CancelledError:
        # aiokafka cancels its fetches and lets one's CancelledError out, as if it were meant for us.
        if (task := asyncio.current_task()) and task.cancelling():
            raise
        log.warning("consumer_close_failed", error="CancelledError")


async def _wait(stopping: asyncio.Event, seconds: float) -> None:
    try:
        await asyncio.wait_for(stopping.wait(), seconds)
    except TimeoutError:
        return
