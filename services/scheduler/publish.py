"""Puts new versions of journeys in force: waiting people move to them before anything is decided."""

from collections.abc import Collection
from datetime import datetime

import asyncpg
import structlog

from services.scheduler import derive, intake, store
from services.scheduler.domain import Journey

log = structlog.get_logger()

_CUSTOMERS = 500


async def publish(pool: asyncpg.Pool, journeys: Collection[Journey], now: datetime) -> list[Journey]:
    """Derive the due steps of shops with new versions anew, then keep those versions; returns the new ones.

    Interrupted, it begins again with the next start: a version counts as published only at the end.
    """
    async with pool.acquire() as connection:
        known = await store.published(connection)
    fresh = [journey for journey in journeys if (journey.id, journey.version) not in known]
    moved = await _rederive(pool, journeys, sorted({journey.shop for journey in fresh}))
    async with pool.acquire() as connection, connection.transaction():
        for journey in fresh:
            body = journey.model_dump_json()
            await store.publish_journey(connection, journey.id, journey.version, body, now)
            log.info("journey_published", journey=journey.id, version=journey.version, customers=moved)
    return fresh


async def _rederive(pool: asyncpg.Pool, journeys: Collection[Journey], shops: list[str]) -> int:
    moved, last = 0, ("", "")
    while shops:
        async with pool.acquire() as connection, connection.transaction():
            customers = await store.lock_next(connection, shops, last, _CUSTOMERS)
            known = [(customer, derive.state_of(customer)) for customer in customers]
            await intake.rewrite_steps(connection, known, journeys)
        if not customers:
            break
        moved, last = moved + len(customers), customers[-1].key
    return moved
