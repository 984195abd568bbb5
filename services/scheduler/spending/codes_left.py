"""Says how many codes each pool has left, so that somebody fills it before customers hear nothing."""

import asyncio
from contextlib import suppress

import asyncpg
import structlog

from services.scheduler.spending import codes
from shared import metrics
from shared.faults import PASSING

log = structlog.get_logger()

_LOOK_SECONDS = 30.0


class CodesLeft:
    """Counts in the store. A pool once seen stays on show when it is empty."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool
        self._seen: set[tuple[str, str]] | None = None

    async def run(self, stopping: asyncio.Event) -> None:
        """Set the gauges every half minute until `stopping` is set."""
        while not stopping.is_set():
            try:
                await self.look()
            except PASSING as error:
                log.warning("codes_left_retrying", error=type(error).__name__)
            with suppress(TimeoutError):
                await asyncio.wait_for(stopping.wait(), _LOOK_SECONDS)

    async def look(self) -> None:
        """Set the gauges."""
        async with self._pool.acquire() as connection:
            if self._seen is None:
                self._seen = {(each.shop, each.pool) for each in await codes.pools(connection, None)}
            left = {(each.shop, each.pool): each.waiting for each in await codes.left(connection)}
        self._seen |= left.keys()
        for shop, pool in self._seen:
            metrics.CODES_LEFT.labels(shop, pool).set(left.get((shop, pool), 0))
