"""Looks at the running system from outside: how far each service has read, and whether everything has come to rest."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient

from shared import topics
from shared.db import load_queries
from shared.errors import OrderwakeError
from shared.events import Event
from shared.kafka.follower import Follower
from shared.kafka.records import Record
from shared.settings import Settings
from shared.topics import Topic

queries = load_queries(Path(__file__).with_name("queries.sql"))

_LOOK_SECONDS = 0.5
_STREAMED = (topics.ORDERS, topics.RETURNS, topics.BASKET_DELTAS)


class NotSettledError(OrderwakeError):
    """The system did not come to rest in time. The message says what was still open."""


@dataclass
class Observer:
    """Reads positions from PostgreSQL and Kafka; writes nothing."""

    settings: Settings
    database: asyncpg.Pool
    consumer: AIOKafkaConsumer
    admin: AIOKafkaAdminClient

    async def lag(self) -> dict[str, int]:
        """Records that each service has still to read."""
        ends = await self._ends(
            [*topics.INBOUND, *topics.CANONICAL, topics.BASKET_DELTAS, topics.DECISIONS, topics.MESSAGES]
        )
        lag: dict[str, int] = {}
        seen: set[tuple[str, TopicPartition]] = set()
        for row in await self.database.fetch(queries.positions):
            partition = TopicPartition(row["topic"], row["partition_number"])
            seen.add((row["service"], partition))
            lag[row["service"]] = lag.get(row["service"], 0) + max(
                ends.get(partition, 0) - row["position"], 0
            )
        for partition, end in ends.items():
            reader = self._reader_of_inbound(partition)
            if reader and (reader, partition) not in seen:
                lag[reader] = lag.get(reader, 0) + end
        lag["recommender"] = await self._recommender_lag(ends)
        return lag

    def _reader_of_inbound(self, partition: TopicPartition) -> str | None:
        return "ingest" if partition.topic.startswith("inbound.") else None

    async def _recommender_lag(self, ends: dict[TopicPartition, int]) -> int:
        committed = await self.admin.list_consumer_group_offsets(topics.RECOMMENDER_APP)
        streamed = {topic.name for topic in _STREAMED}
        return sum(
            max(end - max(committed[partition].offset if partition in committed else 0, 0), 0)
            for partition, end in ends.items()
            if partition.topic in streamed
        )

    async def _ends(self, wanted: list[Topic]) -> dict[TopicPartition, int]:
        partitions = [
            TopicPartition(topic.name, number)
            for topic in wanted
            for number in range(self.settings.topic_partitions)
        ]
        ends: dict[TopicPartition, int] = await self.consumer.end_offsets(partitions)
        return ends

    def topic_names(self) -> list[str]:
        """Every topic that may have dead letters."""
        return [topic.name for topic in topics.ALL]

    async def count(self, names: list[str], partitions: int = 1) -> dict[str, int]:
        """Records ever written to topics, by name."""
        wanted = [TopicPartition(name, number) for name in names for number in range(partitions)]
        counts: dict[str, int] = {}
        for partition, end in (await self.consumer.end_offsets(wanted)).items():
            counts[partition.topic] = counts.get(partition.topic, 0) + end
        return counts

    async def outbox(self) -> int:
        """Rows that no relay has published yet, over all services."""
        return int(await self.database.fetchval(queries.outboxes))

    async def settle(
        self,
        services: tuple[str, ...],
        seconds: float,
        also: Callable[[], Awaitable[dict[str, int]]] | None = None,
        looks: int = 3,
        look_seconds: float = _LOOK_SECONDS,
    ) -> None:
        """Return when these services have read everything, `looks` times in a row, and `also` has nothing open.

        A look is not one moment: work may pass from what is looked at last to what was looked at first. From an
        event to its message this happens at most twice, so three looks miss none. Raises NotSettledError when for
        `seconds` there was never less left than before: on a busy machine it may take longer than that.
        """
        end = asyncio.get_running_loop().time() + seconds
        quiet, least = 0, float("inf")
        open_work: dict[str, int] = {}
        while asyncio.get_running_loop().time() < end:
            lag = await self.lag()
            open_work = {name: lag.get(name, 0) for name in services} | (await also() if also else {})
            open_work["outbox"] = await self.outbox()
            quiet = quiet + 1 if not any(open_work.values()) else 0
            if quiet >= looks:
                return
            if (left := sum(open_work.values())) < least:
                least, end = left, asyncio.get_running_loop().time() + seconds
            await asyncio.sleep(look_seconds)
        still = {name: count for name, count in open_work.items() if count}
        message = f"not at rest, and no nearer to it for {seconds:.0f} s; still open: {still}"
        raise NotSettledError(message)

    async def read(self, wanted: list[Topic], take: Callable[[Record, Event | None], None]) -> None:
        """Read topics whole, as they are now."""
        follower = Follower(self.settings, wanted, take)
        stopping = asyncio.Event()
        running = asyncio.ensure_future(follower.run(stopping))
        await follower.wait_caught_up()
        stopping.set()
        await running


@asynccontextmanager
async def observer(settings: Settings) -> AsyncIterator[Observer]:
    """An observer, connected."""
    async with AsyncExitStack() as stack:
        database: Any = await asyncpg.create_pool(
            settings.database_url.get_secret_value(), min_size=1, max_size=2
        )
        stack.push_async_callback(database.close)
        consumer = AIOKafkaConsumer(bootstrap_servers=settings.kafka_bootstrap_servers)
        await consumer.start()
        stack.push_async_callback(consumer.stop)
        admin = AIOKafkaAdminClient(bootstrap_servers=settings.kafka_bootstrap_servers)
        await admin.start()
        stack.push_async_callback(admin.close)
        yield Observer(settings, database, consumer, admin)
