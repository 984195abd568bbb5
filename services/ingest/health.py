"""Whether Kafka and PostgreSQL answer: looked at every second, told by `/readyz`."""

import asyncio

import asyncpg
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from services.ingest import store
from services.ingest.publisher import Publisher

_SECONDS_BETWEEN = 1.0
_ANSWER_SECONDS = 2.0


class Health:
    """What answered at the last look. Its loop also stops the process when the producer is beyond repair."""

    def __init__(self, pool: asyncpg.Pool, producer: AIOKafkaProducer, publisher: Publisher) -> None:
        self._pool = pool
        self._producer = producer
        self._publisher = publisher
        self._answers = {"kafka": False, "postgresql": False}

    def ready(self) -> dict[str, bool]:
        """Each of the two, by name."""
        return dict(self._answers)

    async def run(self, stopping: asyncio.Event) -> None:
        """Look until `stopping` is set. Raises InfrastructureError when the producer cannot go on."""
        while not stopping.is_set():
            self._answers = {"kafka": await self._kafka(), "postgresql": await self._postgresql()}
            if self._publisher.broken:
                raise self._publisher.broken
            try:
                await asyncio.wait_for(stopping.wait(), _SECONDS_BETWEEN)
            except TimeoutError:
                continue

    async def _kafka(self) -> bool:
        try:
            await asyncio.wait_for(self._producer.client.fetch_all_metadata(), _ANSWER_SECONDS)
        except (KafkaError, OSError, TimeoutError):
            return False
        return True

    async def _postgresql(self) -> bool:
        try:
            await asyncio.wait_for(store.count_parked(self._pool), _ANSWER_SECONDS)
        except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError):
            return False
        return True
