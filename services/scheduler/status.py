"""What waits, what is late and what was decided: as gauges for Prometheus and as JSON for a live view."""

import asyncio
from collections import Counter

import asyncpg
import structlog
from aiohttp import web

from services.scheduler import store
from services.scheduler.guarding.catch_up import CatchUp
from services.scheduler.poller import Poller
from shared import metrics
from shared.clock import Clock
from shared.faults import PASSING
from shared.switches import Switchboard

log = structlog.get_logger()

_GAUGE_SECONDS = 1.0


class Status:
    """Counts in the store; each look is three cheap queries."""

    def __init__(
        self, pool: asyncpg.Pool, poller: Poller, clock: Clock, catch_up: CatchUp, switches: Switchboard
    ) -> None:
        self._pool = pool
        self._poller = poller
        self._clock = clock
        self._catch_up = catch_up
        self._switches = switches

    async def run(self, stopping: asyncio.Event) -> None:
        """Set the gauges once a second until `stopping` is set."""
        while not stopping.is_set():
            try:
                async with self._pool.acquire() as connection:
                    steps = await self._steps(connection)
                    metrics.STEPS_CATCHING_UP.set(steps["catching_up"])
                    metrics.STEPS_WAITING.set(steps["waiting"])
                    metrics.STEPS_OVERDUE.set(steps["overdue"])
                    metrics.OUTBOX_WAITING.set(await store.count_outbox(connection))
                for action in ("pause", "stop"):
                    metrics.SWITCHES.labels(action).set(self._thrown()[action])
            except PASSING as error:
                log.warning("status_retrying", error=type(error).__name__)
            try:
                await asyncio.wait_for(stopping.wait(), _GAUGE_SECONDS)
            except TimeoutError:
                continue

    async def _steps(self, connection: store.Connection) -> dict[str, int]:
        now = self._clock.business()
        return await store.count_steps(connection, now, self._catch_up.horizon(now))

    def _thrown(self) -> Counter[str]:
        return Counter(switch.control.action for switch in self._switches.thrown())

    async def show(self, _: web.Request) -> web.Response:
        """Answer `GET /v1/status`.

        `waiting` is in the future, `overdue` is past its time; both include what was deferred before.
        `undecided` is overdue without any verdict (queued, or held as stale or paused), `deferred` is open
        with at least one defer, `catching_up` is overdue for so long that the catch-up budget bears on it. `switches` counts
        the scopes that are paused or stopped.
        """
        async with self._pool.acquire() as connection:
            steps = await self._steps(connection)
            fresh = await self._poller.fresh(connection)
            decided = await store.tallies(connection)
            outbox = await store.count_outbox(connection)
        verdicts: Counter[str] = Counter()
        reasons: dict[str, dict[str, int]] = {}
        for verdict, reason, count in decided:
            verdicts[verdict] += count
            if reason:
                reasons.setdefault(verdict, {})[reason] = count
        return web.json_response(
            {
                "business_time": self._clock.business().isoformat(),
                **steps,
                "decided": verdicts,
                "reasons": reasons,
                "switches": self._thrown(),
                "outbox": outbox,
                "fresh_partitions": sorted(fresh),
            }
        )
