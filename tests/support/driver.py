"""A small counting service on the Faust driver, and what its tests need to feed it and to count after it."""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import GroupCoordinatorNotAvailableError, NotCoordinatorForGroupError

from shared.kafka.faust import BatchApp, Output, Tables, batch_agent, make_app, run
from shared.kafka.faust.stores import Kind
from shared.kafka.producer import make_producer
from shared.kafka.records import Admitted, Record
from shared.settings import Settings
from shared.topics import Key, Topic

PARTITIONS = 3
KEYS = 20


@dataclass(frozen=True)
class Names:
    """One test's topics and app: nobody else's."""

    prefix: str

    @property
    def source(self) -> Topic:
        """What the service reads."""
        return Topic(f"{self.prefix}-source", Key.ANY, (), (), ())

    @property
    def deltas(self) -> str:
        """Name of the topic that it writes one record to for each that it read."""
        return f"{self.prefix}-deltas"

    @property
    def app_id(self) -> str:
        """Its consumer group."""
        return f"{self.prefix}-app"

    @property
    def changelog(self) -> str:
        """Where its table's writes go."""
        return f"{self.app_id}-counts-changelog"


def settings_for(bootstrap: str, folder: Path, **more: Any) -> Settings:  # noqa: ANN401  any setting
    """Give settings with small batches, so that there are many."""
    defaults: dict[str, Any] = {"batch_records": 50}
    return Settings(kafka_bootstrap_servers=bootstrap, data_dir=folder, **(defaults | more))


def some_records(count: int) -> list[tuple[bytes, bytes]]:
    """Give records of KEYS keys, in turn."""
    return [(f"key-{number % KEYS}".encode(), str(number).encode()) for number in range(count)]


def expected(count: int) -> Counter[bytes]:
    """Count what `some_records` gives, by key."""
    return Counter(key for key, _ in some_records(count))


async def create(bootstrap: str, topics: dict[str, dict[str, str]], partitions: int = PARTITIONS) -> None:
    """Create topics with these configurations."""
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        new = [NewTopic(name, partitions, 1, topic_configs=config) for name, config in topics.items()]
        answer = await admin.create_topics(new)
        assert all(code == 0 for _, code, *_ in answer.topic_errors), answer
    finally:
        await admin.close()


async def create_for(bootstrap: str, names: Names) -> None:
    """Create what the counting service needs."""
    compacted = {"cleanup.policy": "compact"}
    await create(bootstrap, {names.source.name: {}, names.deltas: {}, names.changelog: compacted})


async def produce(
    bootstrap: str,
    topic: str,
    records: Iterable[tuple[bytes | None, bytes | None]],
    **options: Any,  # noqa: ANN401
) -> None:
    """Write records in order and wait for them all. `options` are aiokafka's."""
    producer = make_producer(bootstrap, **options)
    try:
        await producer.start()
        waiting = [await producer.send(topic, value, key=key) for key, value in records]
        await asyncio.gather(*waiting)
    finally:
        await producer.stop()


async def read_all(bootstrap: str, topic: str) -> list[Any]:
    """Read all that the topic holds now, by partition and offset."""
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap, auto_offset_reset="earliest")
    places = [TopicPartition(topic, part) for part in range(PARTITIONS)]
    await consumer.start()
    try:
        consumer.assign(places)
        ends = await consumer.end_offsets(places)
        found: list[Any] = []
        while any([await consumer.position(place) < ends[place] for place in places]):
            for records in (await consumer.getmany(timeout_ms=200)).values():
                found.extend(records)
        return sorted(found, key=lambda record: (record.partition, record.offset))
    finally:
        await consumer.stop()


async def committed(bootstrap: str, names: Names) -> dict[int, int]:
    """Give the group's committed offsets in the source, by partition."""
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        offsets = await admin.list_consumer_group_offsets(names.app_id)
    except (GroupCoordinatorNotAvailableError, NotCoordinatorForGroupError):
        return {}
    finally:
        await admin.close()
    return {place.partition: found.offset for place, found in offsets.items() if found.offset >= 0}


async def members(bootstrap: str, names: Names) -> list[Any]:
    """Give the members that the group has now."""
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        (answer,) = await admin.describe_consumer_groups([names.app_id])
    finally:
        await admin.close()
    return [member for group in answer.groups for member in group[5]]


async def all_committed(bootstrap: str, names: Names) -> bool:
    """Whether the group has committed every record that the source holds now."""
    records = await read_all(bootstrap, names.source.name)
    ends = {record.partition: record.offset + 1 for record in records}
    done = await committed(bootstrap, names)
    return all(done.get(part, 0) >= end for part, end in ends.items())


async def counted(bootstrap: str, names: Names) -> Counter[bytes]:
    """Recount what the table says, from its changelog."""
    last = {record.key: record.value for record in await read_all(bootstrap, names.changelog)}
    return Counter({key: json.loads(value)["count"] for key, value in last.items() if value is not None})


async def delta_origins(bootstrap: str, names: Names) -> set[bytes]:
    """Give the distinct origins of the deltas: a replay repeats some, a loss would lack some."""
    return {record.value for record in await read_all(bootstrap, names.deltas)}


async def admit_all(records: Sequence[Record]) -> list[Admitted]:
    """Take the guard's place where records are no events."""
    return [Admitted(record, None) for record in records]


def counting_app(settings: Settings, names: Names, store: Kind = "memory") -> BatchApp:
    """Make a service that counts records by key, each once, and says each one's origin on."""
    app = make_app(settings, names.app_id, "counting", tables=("counts",), store=store)

    @batch_agent(app, names.source, tables=("counts",), admit=admit_all)
    async def count(batch: Sequence[Admitted], tables: Tables) -> list[Output]:
        return count_batch(batch, tables, names)

    return app


def count_batch(batch: Sequence[Admitted], tables: Tables, names: Names) -> list[Output]:
    """Count each record once: the value keeps the last offset counted, so a replayed one changes nothing."""
    found = tables["counts"].get_many({one.record.key or b"" for one in batch})
    values = {key: json.loads(value) for key, value in found.items()}
    outputs = []
    for record in (one.record for one in batch):
        value = values.setdefault(record.key or b"", {"count": 0, "offset": -1})
        if record.offset > value["offset"]:
            value["count"] += 1
            value["offset"] = record.offset
            outputs.append(Output(names.deltas, record.key, f"{record.partition}/{record.offset}".encode()))
    tables["counts"].set_many({key: json.dumps(value).encode() for key, value in values.items()})
    return outputs


@asynccontextmanager
async def running(app: BatchApp) -> AsyncIterator[asyncio.Task[None]]:
    """Run the app, ready, until the end of the block; what stopped it before is raised there."""
    stop = asyncio.Event()
    task = asyncio.create_task(run(app, stop))
    ready = asyncio.create_task(app.driver.ready.wait())
    try:
        await asyncio.wait([task, ready], return_when=asyncio.FIRST_COMPLETED, timeout=40)
        yield task
    finally:
        ready.cancel()
        stop.set()
        await asyncio.gather(task, return_exceptions=True)
    task.result()
