"""What tests of the running recommender need: topics filled, tables and published counts read back."""

import asyncio
from collections.abc import Iterable
from itertools import groupby

from aiokafka import AIOKafkaConsumer, TopicPartition

from services.recommender.domain.tally import add, empty
from services.recommender.recount import Counts, counts_in
from shared.ids import partition_key
from shared.kafka.producer import make_producer
from shared.settings import Settings
from shared.topics import CUSTOMERS, RECOMMENDER_APP
from tests.support.affinity import SHOP, TOPIC_OF, News

PAIRS_CHANGELOG = f"{RECOMMENDER_APP}-pairs-changelog"


async def write(settings: Settings, facts: Iterable[News]) -> None:
    """Put facts on their topics and wait until the broker has them."""
    await _send(
        settings,
        (
            (TOPIC_OF[type(fact)], partition_key(fact.shopid, fact.customerid or ""), fact.encode())
            for fact in facts
        ),
    )


async def erase(settings: Settings, customers: Iterable[str]) -> None:
    """Put customers' tombstones on their topic."""
    await _send(settings, ((CUSTOMERS.name, partition_key(SHOP, customer), None) for customer in customers))


async def _send(settings: Settings, records: Iterable[tuple[str, bytes, bytes | None]]) -> None:
    producer = make_producer(settings.kafka_bootstrap_servers)
    await producer.start()
    try:
        waiting = [await producer.send(topic, value, key=key) for topic, key, value in records]
        await asyncio.gather(*waiting)
    finally:
        await producer.stop()


async def latest(settings: Settings, topic: str) -> dict[bytes, bytes]:
    """Read a compacted topic: the last value of each key."""
    consumer = AIOKafkaConsumer(
        bootstrap_servers=settings.kafka_bootstrap_servers,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
    )
    places = [TopicPartition(topic, number) for number in range(settings.topic_partitions)]
    await consumer.start()
    try:
        consumer.assign(places)
        ends = await consumer.end_offsets(places)
        values: dict[bytes, bytes] = {}
        while any([await consumer.position(place) < ends[place] for place in places]):
            for records in (await consumer.getmany(timeout_ms=200)).values():
                values.update((record.key, record.value) for record in records)
        return values
    finally:
        await consumer.stop()


async def written(settings: Settings, topic: str) -> int:
    """How many records were ever written to a topic."""
    consumer = AIOKafkaConsumer(bootstrap_servers=settings.kafka_bootstrap_servers, enable_auto_commit=False)
    await consumer.start()
    try:
        places = [TopicPartition(topic, number) for number in range(settings.topic_partitions)]
        return sum((await consumer.end_offsets(places)).values())
    finally:
        await consumer.stop()


async def table_counts(settings: Settings) -> Counts:
    """Read what the table `pairs` holds from its changelog."""
    return counts_in((await latest(settings, PAIRS_CHANGELOG)).items())


def over_all_buckets(counts: Counts) -> dict[bytes, tuple[int, dict[str, int]]]:
    """Add up baskets and pairs by product key (shop|product)."""
    totals: dict[bytes, tuple[int, dict[str, int]]] = {}
    for product, keys in groupby(sorted(counts), key=lambda key: key.rpartition(b"|")[0]):
        whole = empty()
        for key in keys:
            add(whole, counts[key])
        totals[product] = whole["orders"], whole["pairs"]
    return totals
