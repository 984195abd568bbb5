"""What benchmarks ask of a broker: topics, logs, and whether a group is done with them for good."""

import logging
from collections.abc import Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import GroupCoordinatorNotAvailableError

from shared.kafka.faust import Output
from shared.kafka.faust.producer import BatchProducer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

PARTITIONS = 6
_CHUNK = 20_000


@dataclass(frozen=True)
class Broker:
    """Clients of one broker, started."""

    bootstrap: str
    admin: AIOKafkaAdminClient
    consumer: AIOKafkaConsumer

    async def create(self, *names: str) -> None:
        """Create topics of equal partition counts."""
        await self.admin.create_topics([NewTopic(name, PARTITIONS, 1) for name in names])

    async def fill(self, topic: str, rows: Sequence[tuple[bytes, bytes]]) -> None:
        """Write records; the broker has them on return."""
        producer = BatchProducer(self.bootstrap)
        await producer.start()
        try:
            for start in range(0, len(rows), _CHUNK):
                chunk = rows[start : start + _CHUNK]
                await producer.publish(Output(topic, key, value) for key, value in chunk)
        finally:
            await producer.stop()

    async def done(self, group: str, topics: Sequence[str]) -> bool:
        """Whether the group's committed offsets are the ends of all partitions.

        Offsets first, then ends: a topic that the group itself fills is whole once its source is committed.
        """
        committed = await self.admin.list_consumer_group_offsets(group)
        places = [TopicPartition(topic, number) for topic in topics for number in range(PARTITIONS)]
        ends = await self.consumer.end_offsets(places)
        return all(
            (max(committed[place].offset, 0) if place in committed else 0) >= ends[place] for place in places
        )

    async def committed(self, group: str, topic: str) -> int:
        """How many records of a topic a group has committed."""
        try:
            offsets = await self.admin.list_consumer_group_offsets(group)
        except GroupCoordinatorNotAvailableError:  # the broker makes its topic of offsets for the first group
            return 0
        return sum(max(found.offset, 0) for place, found in offsets.items() if place.topic == topic)

    async def ends(self, topic: str) -> dict[TopicPartition, int]:
        """End offset of each partition."""
        places = [TopicPartition(topic, number) for number in range(PARTITIONS)]
        ends: dict[TopicPartition, int] = await self.consumer.end_offsets(places)
        return ends

    async def last_at(self, topic: str) -> float:
        """When the last record of a topic came, by the broker, in seconds since 1970; 0 if there is none."""
        ends = {place: end for place, end in (await self.ends(topic)).items() if end}
        if not ends:
            return 0.0
        self.consumer.assign(list(ends))
        for place, end in ends.items():
            self.consumer.seek(place, end - 1)
        last = 0.0
        for place in ends:
            last = max(last, (await self.consumer.getone(place)).timestamp / 1000)
        self.consumer.unsubscribe()
        return last

    async def topics(self) -> set[str]:
        """Names of all topics."""
        return set(await self.admin.list_topics())

    async def records(self, topic: str) -> "AsyncIterator[ConsumerRecord[bytes, bytes]]":
        """Yield a log whole, as far as it goes now; in order within each partition."""
        ends = await self.ends(topic)
        places = list(ends)
        self.consumer.assign(places)
        await self.consumer.seek_to_beginning(*places)
        while any([await self.consumer.position(place) < ends[place] for place in places]):
            for records in (await self.consumer.getmany(timeout_ms=200)).values():
                for record in records:
                    yield record
        self.consumer.unsubscribe()

    async def latest(self, topic: str) -> "Latest":
        """Read a log whole: the last value of each key, and when the last record came."""
        found = Latest({}, 0.0)
        async for record in self.records(topic):
            found.values[record.key] = record.value
            found.at = max(found.at, record.timestamp / 1000)
        return found


@dataclass
class Latest:
    """The last value of each key; `at` is the broker's time of the last record, in seconds since 1970."""

    values: dict[bytes, bytes | None]
    at: float


@asynccontextmanager
async def connect(bootstrap: str) -> "AsyncIterator[Broker]":
    """Give a broker's clients; topics just made have no leader yet, and that they try again is no news."""
    logging.getLogger("aiokafka").setLevel(logging.ERROR)
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap, enable_auto_commit=False)
    await admin.start()
    await consumer.start()
    try:
        yield Broker(bootstrap, admin, consumer)
    finally:
        await consumer.stop()
        await admin.close()
