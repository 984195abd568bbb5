"""Producing in batches, until the broker has acknowledged every record."""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from weakref import WeakSet

import structlog
from aiokafka import AIOKafkaProducer
from aiokafka.errors import (
    InvalidTopicError,
    KafkaError,
    MessageSizeTooLargeError,
    TopicAuthorizationFailedError,
)
from aiokafka.partitioner import murmur2
from aiokafka.producer.message_accumulator import BatchBuilder
from aiokafka.structs import RecordMetadata

from shared.kafka.producer import make_producer

log = structlog.get_logger()

_BATCH_BYTES = 512 * 1024
WHOLE_BYTES = 12_000_000
"""How large a batch may be that is to be written as a whole: below what changelogs take in one batch, 16 MB."""

_HOPELESS = (MessageSizeTooLargeError, InvalidTopicError, TopicAuthorizationFailedError)
_LOOK_SECONDS = 0.1
_BACKOFF_SECONDS = (0.1, 0.5, 1.0, 2.0)
_STOP_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Output:
    """A record to produce. Without `partition` the key decides, as Java's default partitioner would."""

    topic: str
    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes]] = ()
    partition: int | None = None


@dataclass(frozen=True, slots=True)
class Permit:
    """Whether what is written may still be: `hold` waits until it may or raises, `expiring` says that it soon may not."""

    hold: Callable[[], Awaitable[None]]
    expiring: Callable[[], bool]


class _DroppedError(KafkaError):  # type: ignore[misc]  # aiokafka ships no types
    """The producer was closed while a batch was under way."""


@lru_cache(maxsize=65_536)
def _hash(key: bytes) -> int:
    return int(murmur2(key)) & 0x7FFFFFFF


class BatchProducer:
    """An idempotent producer that sends whole batches per partition, in order, until they are acknowledged.

    It retries; only what can never succeed raises aiokafka's KafkaError (a record over the topic's limit, no right
    to write).
    """

    def __init__(self, bootstrap_servers: str) -> None:
        self._bootstrap = bootstrap_servers
        self._producer: AIOKafkaProducer | None = None
        self._closed: WeakSet[AIOKafkaProducer] = WeakSet()
        self._replacing = asyncio.Lock()
        self._retiring: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Connect. Raises KafkaConnectionError when no broker answers."""
        producer = make_producer(self._bootstrap, max_batch_size=WHOLE_BYTES + _BATCH_BYTES, linger_ms=0)
        try:
            await producer.start()
        except BaseException:
            await producer.stop()
            raise
        self._producer = producer

    async def stop(self) -> None:
        """Close; what was not acknowledged by now may be lost, and nobody was told that it was not."""
        producer, self._producer = self._producer, None
        if producer is not None:
            await self._retire(producer)
        await asyncio.gather(*self._retiring)

    async def _retire(self, producer: AIOKafkaProducer) -> None:
        """Close a producer; whoever still waits for it is told then."""
        try:
            await asyncio.wait_for(producer.stop(), _STOP_SECONDS)
        except (TimeoutError, KafkaError) as error:
            log.warning("producer closed with records unacknowledged", error=repr(error))
        finally:
            self._closed.add(producer)

    async def publish(
        self, records: Iterable[Output], *, whole: bool = False, permit: Permit | None = None
    ) -> dict[tuple[str, int], int]:
        """Return when the broker has all `records`: the last offset by topic and partition.

        Records of one partition keep their order. Retries may write some twice. `whole`: a partition's records, of
        WHOLE_BYTES at most, become one Kafka record batch, so that the broker ever has all of them or none. With a
        `permit` nothing is sent without it, again neither; what is under way when it expires is cut off.
        """
        groups: dict[tuple[str, int], list[Output]] = defaultdict(list)
        partition_of: dict[str, Callable[[bytes], int]] = {}
        for record in records:
            partition = record.partition
            if partition is None:
                if record.topic not in partition_of:
                    partition_of[record.topic] = await self.partitioner(record.topic)
                partition = partition_of[record.topic](record.key or b"")
            groups[record.topic, partition].append(record)
        limit = WHOLE_BYTES if whole else _BATCH_BYTES
        deliveries = (self._deliver(*place, group, limit, permit) for place, group in groups.items())
        ended = await asyncio.gather(*deliveries, return_exceptions=True)
        offsets: dict[tuple[str, int], int] = {}
        for place, end in zip(groups, ended, strict=True):
            if isinstance(end, BaseException):
                raise end
            offsets[place] = end
        return offsets

    async def send(
        self,
        topic: str,
        value: bytes | None = None,
        key: bytes | None = None,
        *,
        headers: Sequence[tuple[str, bytes]] | None = None,
    ) -> asyncio.Future[object]:
        """As an aiokafka producer's `send`, for dead letters: the broker has the record when the future is done."""
        return asyncio.ensure_future(self.publish([Output(topic, key, value, headers or ())]))

    async def partitioner(self, topic: str) -> Callable[[bytes], int]:
        """Return what says to which of a topic's partitions a key belongs."""
        partitions = await self._partitions(topic)

        def partition_of(key: bytes) -> int:
            return partitions[_hash(key) % len(partitions)]

        return partition_of

    async def _partitions(self, topic: str) -> Sequence[int]:
        attempt = 0
        while True:
            try:
                partitions = sorted(await self._current().partitions_for(topic))
            except KafkaError as error:
                await self._wait_after(error, topic, attempt)
                attempt += 1
            else:
                return partitions

    async def _deliver(
        self, topic: str, partition: int, records: Sequence[Output], limit: int, permit: Permit | None
    ) -> int:
        start, last, attempt = 0, -1, 0
        while start < len(records):
            if permit is not None:
                await permit.hold()
            producer = await self._working()
            batch, end = _fill(producer, records, start, limit)
            try:
                sending = await producer.send_batch(batch, topic, partition=partition)
                sent = await self._acknowledged(producer, sending, permit)
            except KafkaError as error:
                await self._wait_after(error, topic, attempt)
                await self._replace(producer)
                attempt += 1
            else:
                last, start, attempt = sent.offset + end - start - 1, end, 0
        return last

    async def _acknowledged(
        self, producer: AIOKafkaProducer, sending: "asyncio.Future[RecordMetadata]", permit: Permit | None
    ) -> RecordMetadata:
        """Wait for the broker. Raises KafkaError, also when the producer is cut off meanwhile."""
        while not (await asyncio.wait((sending,), timeout=_LOOK_SECONDS))[0]:
            if permit is not None and permit.expiring() and producer not in self._closed:
                await self._cut_off(producer)
            if producer in self._closed and not sending.done():
                message = "the producer was closed while a batch was under way"
                raise _DroppedError(message)
        return sending.result()

    async def _cut_off(self, producer: AIOKafkaProducer) -> None:
        """Close a producer so that nothing of what it still has is sent, and have another in its place."""
        log.warning("cut_off", why="heartbeats go unanswered: what is under way may no longer be written")
        self._closed.add(producer)
        task = producer._sender.sender_task  # noqa: SLF001  its own stop would send first
        if task is not None:
            task.cancel()
        await producer.client.close()

    async def _working(self) -> AIOKafkaProducer:
        """Return the producer; in place of one that was cut off another, as soon as a broker answers."""
        while (producer := self._current()) in self._closed:
            await self._replace(producer)
            if producer is self._producer:
                await asyncio.sleep(_LOOK_SECONDS)
        return producer

    def _current(self) -> AIOKafkaProducer:
        if self._producer is None:
            message = "the producer is closed"
            raise RuntimeError(message)
        return self._producer

    async def _wait_after(self, error: KafkaError, topic: str, attempt: int) -> None:
        if isinstance(error, _HOPELESS):
            raise error
        log.warning("produce failed, will retry", topic=topic, error=repr(error), attempt=attempt)
        await asyncio.sleep(_BACKOFF_SECONDS[min(attempt, len(_BACKOFF_SECONDS) - 1)])

    async def _replace(self, failed: AIOKafkaProducer) -> None:
        """Make a new producer with a sequence of its own: after a lost batch the old one's would be refused."""
        async with self._replacing:
            if self._producer is not failed:
                return
            try:
                await self.start()
            except KafkaError as error:
                log.warning("no broker for a new producer", error=repr(error))
                return
            task = asyncio.create_task(self._retire(failed))
            self._retiring.add(task)
            task.add_done_callback(self._retiring.discard)


def size_of(key: bytes | None, value: bytes | None) -> int:
    """How much of a batch a record takes, in bytes, at most; headers not counted."""
    return len(key or b"") + len(value or b"") + 32


def _fill(
    producer: AIOKafkaProducer, records: Sequence[Output], start: int, limit: int
) -> tuple[BatchBuilder, int]:
    batch, held = producer.create_batch(), 0
    for place in range(start, len(records)):
        record = records[place]
        held += size_of(record.key, record.value)
        if held > limit and place > start:
            return batch, place
        added = batch.append(key=record.key, value=record.value, timestamp=None, headers=list(record.headers))
        if added is None:
            return batch, place
    return batch, len(records)
