"""What time does: releases what a race left parked, gives up on orders that never came, forgets old ids."""

import asyncio
from datetime import timedelta

import asyncpg
import structlog
from aiokafka.errors import KafkaError

from services.ingest import store
from services.ingest.intake import Intake
from shared import metrics
from shared.clock import Clock
from shared.errors import EventError, Refusal
from shared.kafka import dead_letters
from shared.kafka.dead_letters import Producer
from shared.settings import Settings

log = structlog.get_logger()

SECONDS_BETWEEN = 2.0
_BATCH = 500
_FORGET_BATCH = 20_000
_PASSING = (KafkaError, OSError, asyncpg.PostgresError, asyncpg.InterfaceError, TimeoutError)
_NEVER_CAME = EventError(
    Refusal.ORDER_NEVER_CAME, "no order with this id came while the event waited", "data.order_id"
)


class Sweep:
    """Runs every two seconds of machine time. Several may run: each takes rows that no other holds."""

    def __init__(
        self, pool: asyncpg.Pool, intake: Intake, producer: Producer, settings: Settings, clock: Clock
    ) -> None:
        self._pool = pool
        self._intake = intake
        self._producer = producer
        self._park_for = timedelta(days=settings.ingest_park_days)
        self._remember_for = timedelta(days=settings.ingest_seen_days)
        self._clock = clock

    async def run(self, stopping: asyncio.Event) -> None:
        """Sweep until `stopping` is set. A passing fault is logged and tried again at the next turn."""
        while not stopping.is_set():
            try:
                await self.once()
            except _PASSING as error:
                log.warning("sweep_retrying", error=type(error).__name__)
            try:
                await asyncio.wait_for(stopping.wait(), SECONDS_BETWEEN)
            except TimeoutError:
                continue

    async def once(self) -> None:
        """One turn: release, give up, forget, count."""
        while await self._release():
            pass
        while await self._give_up():
            pass
        async with self._pool.acquire() as connection:
            await store.forget_seen(connection, self._clock.machine() - self._remember_for, _FORGET_BATCH)
            metrics.EVENTS_PARKED.set(await store.count_parked(connection))

    async def _release(self) -> int:
        async with self._pool.acquire() as connection, connection.transaction():
            parked = await store.take_parked_with_owner(connection, _BATCH)
            if parked:
                await self._intake.release(connection, parked)
        return len(parked)

    async def _give_up(self) -> int:
        """Dead letters past the guard's limit, for a warehouse ahead of its shop is no bad deploy of ours."""
        async with self._pool.acquire() as connection, connection.transaction():
            since = self._clock.business() - self._park_for
            overdue = await store.take_parked_before(connection, since, _BATCH)
            refused = [(item.record, _NEVER_CAME) for item in overdue]
            await dead_letters.write(self._producer, refused, store.SCHEMA)
            await store.unsee(connection, [item.identity for item in overdue])
        return len(overdue)
