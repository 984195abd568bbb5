"""A plain reader of compacted topics that every worker needs whole, with a caught-up signal."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError, UnknownTopicOrPartitionError

from shared import metrics
from shared.errors import EventError, Refusal
from shared.events import Event, decode
from shared.kafka.records import Record
from shared.kafka.unreadable import to_record, tolerate_unreadable_batches
from shared.settings import Settings
from shared.topics import BY_NAME, Topic

log = structlog.get_logger()

OnRecord = Callable[[Record, Event | None], None]

_POLL_MS = 200
_RETRY_SECONDS = 1.0


class Follower:
    """Reads `topics` from their beginning, in no group, and calls `on_record(record, event or None for a tombstone)`.

    These topics are written by our own services: a record that does not decode is counted, logged and passed over.
    After `at_once` records others have a turn.
    """

    def __init__(
        self, settings: Settings, topics: Sequence[Topic], on_record: OnRecord, *, at_once: int = 50
    ) -> None:
        self._settings = settings
        self._topics = topics
        self._on_record = on_record
        self._at_once = at_once
        self._positions: dict[TopicPartition, int] = {}
        self._reached = asyncio.Event()

    @property
    def caught_up(self) -> bool:
        """Whether everything that was there at the start has been read."""
        return self._reached.is_set()

    async def wait_caught_up(self) -> None:
        """Return once everything that was there at the start has been read."""
        await self._reached.wait()

    async def run(self, stopping: asyncio.Event) -> None:
        """Follow until `stopping` is set, through broker restarts."""
        tolerate_unreadable_batches()
        while not stopping.is_set():
            consumer = AIOKafkaConsumer(
                bootstrap_servers=self._settings.kafka_bootstrap_servers,
                enable_auto_commit=False,
                fetch_max_wait_ms=_POLL_MS,
            )
            try:
                await consumer.start()
                await self._follow(consumer, stopping)
            except (KafkaError, OSError) as error:
                log.warning("follower_retrying", error=type(error).__name__)
                await _rest(stopping)
            finally:
                await consumer.stop()

    async def _follow(self, consumer: AIOKafkaConsumer, stopping: asyncio.Event) -> None:
        partitions = await self._partitions(consumer)
        consumer.assign(partitions)
        starts, goals = await consumer.beginning_offsets(partitions), await consumer.end_offsets(partitions)
        for tp in partitions:
            self._positions[tp] = max(self._positions.get(tp, 0), starts[tp])
            consumer.seek(tp, self._positions[tp])
        while not stopping.is_set():
            if not self._reached.is_set() and all(self._positions[tp] >= goals[tp] for tp in partitions):
                self._reached.set()
            fetched = await consumer.getmany(timeout_ms=_POLL_MS, max_records=5000)
            for tp, items in fetched.items():
                for number, item in enumerate(items, start=1):
                    self._take(item)
                    if number % self._at_once == 0:
                        await asyncio.sleep(0)
                self._positions[tp] = items[-1].offset + 1

    async def _partitions(self, consumer: AIOKafkaConsumer) -> list[TopicPartition]:
        """All partitions of all topics; raises a KafkaError, to be tried again, while one is not declared yet."""
        names = [topic.name for topic in self._topics]
        await consumer._client.set_topics(names)  # noqa: SLF001  no public way to learn of topics before assigning
        found = {name: consumer.partitions_for_topic(name) or set() for name in names}
        for name, numbers in found.items():
            if not numbers:
                raise UnknownTopicOrPartitionError(name)
        return [TopicPartition(name, number) for name, numbers in found.items() for number in numbers]

    def _take(self, item: Any) -> None:  # noqa: ANN401  aiokafka ships no types
        record = to_record(item)
        try:
            event = _event_of(record)
        except EventError as error:
            metrics.DEAD_LETTERS.labels(item.topic, error.reason).inc()
            log.warning(
                "unreadable",
                topic=item.topic,
                partition=item.partition,
                offset=item.offset,
                reason=error.reason,
            )
            return
        self._on_record(record, event)


async def _rest(stopping: asyncio.Event) -> None:
    try:
        await asyncio.wait_for(stopping.wait(), _RETRY_SECONDS)
    except TimeoutError:
        return


def _event_of(record: Record) -> Event | None:
    if record.unreadable:
        raise EventError(Refusal.UNSUPPORTED_CODEC, record.unreadable)
    return None if record.value is None else decode(record.value, BY_NAME[record.topic].types)
