"""History from Kafka: the canonical topics from their beginnings to their ends, in no group; nothing is written."""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import orjson
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from services.scheduler.backtest.records import RANKS, READ, Item, Known, moment_of
from shared.errors import BacktestError
from shared.kafka.unreadable import to_record, tolerate_unreadable_batches

_POLL_MS = 500
_RECORDS_AT_ONCE = 5000
_BYTES_A_RECORD = 600


@dataclass(frozen=True)
class Topics:
    """The topics of one broker, as far as they reach when a reader begins."""

    bootstrap: str

    def size(self) -> int:
        """About how many bytes are to be read. Raises BacktestError if the broker cannot be asked."""
        return asyncio.run(_sized(self.bootstrap)) * _BYTES_A_RECORD

    def items(self, known: Known) -> Iterator[Item]:
        """Every record; what no service could have read is passed over, as the services do."""
        with asyncio.Runner() as runner:
            reader = runner.run(_Reader.begin(self.bootstrap))
            try:
                while not reader.done:
                    yield from _read(runner.run(reader.more()), known)
            finally:
                runner.run(reader.consumer.stop())

    def name(self, item: Item) -> str:
        """Topic, partition and offset."""
        return f"{item.topic}-{item.partition}:{item.offset}"


@dataclass
class _Reader:
    consumer: AIOKafkaConsumer
    ends: dict[TopicPartition, int]

    @classmethod
    async def begin(cls, bootstrap: str) -> "_Reader":
        tolerate_unreadable_batches()
        consumer, places = await _connected(bootstrap)
        consumer.assign(places)
        await consumer.seek_to_beginning(*places)
        starts, ends = await consumer.beginning_offsets(places), await consumer.end_offsets(places)
        return cls(consumer, {place: ends[place] for place in places if ends[place] > starts[place]})

    @property
    def done(self) -> bool:
        return not self.ends

    async def more(self) -> list[Any]:
        """The next records; those beyond the ends are left out."""
        fetched = await self.consumer.getmany(timeout_ms=_POLL_MS, max_records=_RECORDS_AT_ONCE)
        found = [
            record
            for place, records in fetched.items()
            for record in records
            if record.offset < self.ends.get(place, 0)
        ]
        # Transaction markers and compaction leave gaps: where the consumer stands tells whether a log is read.
        for place in list(self.ends):
            if await self.consumer.position(place) >= self.ends[place]:
                del self.ends[place]
                self.consumer.pause(place)
        return found


async def _connected(bootstrap: str) -> tuple[AIOKafkaConsumer, list[TopicPartition]]:
    consumer = AIOKafkaConsumer(
        bootstrap_servers=bootstrap, enable_auto_commit=False, fetch_max_wait_ms=_POLL_MS
    )
    try:
        await consumer.start()
        await consumer._client.set_topics(list(READ))  # noqa: SLF001  no public way to learn of topics before assigning
        places = [
            TopicPartition(name, number)
            for name in READ
            for number in sorted(consumer.partitions_for_topic(name) or ())
        ]
    except (KafkaError, OSError) as error:
        await consumer.stop()
        message = f"the topics at {bootstrap} cannot be read ({error}); is KAFKA_BOOTSTRAP_SERVERS right?"
        raise BacktestError(message) from None
    return consumer, places


async def _sized(bootstrap: str) -> int:
    consumer, places = await _connected(bootstrap)
    try:
        starts, ends = await consumer.beginning_offsets(places), await consumer.end_offsets(places)
    finally:
        await consumer.stop()
    return sum(ends[place] - starts[place] for place in places)


def _read(records: list[Any], known: Known) -> Iterator[Item]:
    for each in records:
        record = to_record(each)
        if record.unreadable:
            continue
        at = datetime.fromtimestamp(record.timestamp / 1000, UTC)
        if record.value is not None:
            try:
                at = moment_of(orjson.loads(record.value), known)
            except (orjson.JSONDecodeError, AttributeError, BacktestError):
                continue
        place = (record.topic, record.partition, record.offset)
        yield Item(
            at, RANKS[record.topic], record.partition, record.offset, *place, record.key or b"", record.value
        )
