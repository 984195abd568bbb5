"""Bringing stores up to the end of their changelogs."""

from collections.abc import Callable, Mapping

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition

from shared.errors import TopicsError
from shared.kafka.faust.stores import Store
from shared.kafka.unreadable import UnreadableBatch

log = structlog.get_logger()

_POLL_MS = 500
_POLL_RECORDS = 10_000


async def restore(
    bootstrap_servers: str, stores: Mapping[TopicPartition, Store], go_on: Callable[[], None]
) -> set[TopicPartition]:
    """Read each changelog partition from its store's offset to the end that it has now.

    `go_on` is called between reads and raises to break off; stores are then right, only not complete. Returns
    the partitions whose store cannot come from this changelog (it is ahead of the end, or misses what retention
    deleted): clear them and call again.
    """
    if not stores:
        return set()
    consumer = AIOKafkaConsumer(
        bootstrap_servers=bootstrap_servers,
        enable_auto_commit=False,
        max_partition_fetch_bytes=4 * 1024 * 1024,
        fetch_max_wait_ms=100,
    )
    await consumer.start()
    try:
        return await _restore(consumer, stores, go_on)
    finally:
        await consumer.stop()


async def _restore(
    consumer: AIOKafkaConsumer, stores: Mapping[TopicPartition, Store], go_on: Callable[[], None]
) -> set[TopicPartition]:
    consumer.assign(list(stores))
    ends = await consumer.end_offsets(list(stores))
    begins = await consumer.beginning_offsets(list(stores))
    foreign = {
        place
        for place, store in stores.items()
        if store.offset >= ends[place] or (store.offset >= 0 and store.offset + 1 < begins[place])
    }
    behind = set()
    for place in stores.keys() - foreign:
        consumer.seek(place, max(stores[place].offset + 1, begins[place]))
        if stores[place].offset + 1 < ends[place]:
            behind.add(place)
    consumer.pause(*(stores.keys() - behind))
    while behind:
        go_on()
        read = await consumer.getmany(*behind, timeout_ms=_POLL_MS, max_records=_POLL_RECORDS)
        for place, records in read.items():
            if any(isinstance(record, UnreadableBatch) for record in records):
                message = f"the changelog {place.topic}, partition {place.partition}, cannot be unpacked"
                raise TopicsError(message)
            stores[place].apply({record.key: record.value for record in records}, records[-1].offset)
        for place in list(behind):
            if await consumer.position(place) >= ends[place]:
                behind.discard(place)
                consumer.pause(place)
    log.info("tables_restored", partitions=len(stores), foreign=len(foreign))
    return foreign
