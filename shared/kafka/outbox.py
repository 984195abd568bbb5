"""The outbox: records decided in a transaction, published by a relay after it.

The relay removes a row only after the broker's acknowledgement. A crash between the two publishes it again: the same
bytes with the same ids, which every reader merges.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg
import structlog
from aiokafka import AIOKafkaProducer

from shared import metrics
from shared.db.queries import load_queries
from shared.errors import InfrastructureError
from shared.faults import PASSING
from shared.kafka.producer import is_fatal

log = structlog.get_logger()
queries = load_queries(Path(__file__).with_name("outbox.sql"))

_BATCH = 500
_IDLE_SECONDS = 0.1
_RETRY_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A record on its way to Kafka."""

    topic: str
    key: bytes
    value: bytes


async def put(connection: Any, rows: Sequence[Outgoing]) -> None:  # noqa: ANN401  asyncpg's connection or a pool's proxy
    """Write rows in the caller's transaction."""
    if rows:
        await connection.execute(
            queries.put, [row.topic for row in rows], [row.key for row in rows], [row.value for row in rows]
        )


class Relay:
    """Publishes outbox rows in order of their ids. Several may run; each takes rows that no other holds."""

    def __init__(self, pool: asyncpg.Pool, producer: AIOKafkaProducer) -> None:
        self._pool = pool
        self._producer = producer
        self._awake = asyncio.Event()

    def wake(self) -> None:
        """Rows were committed: publish now rather than at the next look."""
        self._awake.set()

    async def run(self, stopping: asyncio.Event) -> None:
        """Publish until `stopping` is set, and then what is left.

        Raises InfrastructureError if the producer can never publish again.
        """
        while not stopping.is_set():
            pause = _IDLE_SECONDS
            try:
                self._awake.clear()
                while await self.run_once():
                    pass
            except PASSING as error:
                if is_fatal(error):
                    message = f"the producer cannot go on ({type(error).__name__}); start the process anew"
                    raise InfrastructureError(message) from error
                log.warning("relay_retrying", error=type(error).__name__)
                pause = _RETRY_SECONDS
            await self._rest(pause)
        await self._finish()

    async def _finish(self) -> None:
        """Publish what is left; if that cannot be done now, the rows wait for the next start."""
        try:
            while await self.run_once():
                pass
        except PASSING as error:
            log.warning("relay_left_rows", error=type(error).__name__)

    async def run_once(self) -> int:
        """Publish one batch; returns how many rows it held. Raises what Kafka or PostgreSQL raised."""
        async with self._pool.acquire() as connection, connection.transaction():
            rows = await connection.fetch(queries.take, _BATCH)
            if not rows:
                metrics.OUTBOX_WAITING.set(0)
                return 0
            sent = [await self._producer.send(row["topic"], row["value"], row["key"]) for row in rows]
            await asyncio.gather(*sent)
            await connection.execute(queries.remove, [row["id"] for row in rows])
        return len(rows)

    async def _rest(self, seconds: float) -> None:
        try:
            await asyncio.wait_for(self._awake.wait(), seconds)
        except TimeoutError:
            return
