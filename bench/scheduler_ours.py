"""A worker process of ours: the pollers of one scheduler, on all that is due now, or on what comes due second by second."""

import argparse
import asyncio
from collections.abc import Sequence
from datetime import datetime, timedelta

import uvloop

from bench import scheduler_people as people
from bench.scheduler_stand import READY_AT, Stand, StandingClock, calm, stand
from bench.scheduler_worker import Told, let_go, tell, timed
from bench.service import CLOCK
from services.scheduler.deciding import Settled
from services.scheduler.poller import Poller
from shared import log
from shared.clock import SystemClock


class StartedClock(SystemClock):
    """Business time goes on from NOW as machine time does, from the moment `start` is called with."""

    def __init__(self) -> None:
        self._started = float("inf")

    def start(self, moment: float) -> None:
        """NOW is at this moment (machine seconds)."""
        self._started = moment

    def business(self) -> datetime:
        """Return NOW, or later."""
        return people.NOW + timedelta(seconds=max(CLOCK.monotonic() - self._started, 0.0))


class Watched(Poller):
    """Keeps how late each step of one shop was settled: from when it was due until its record was committed."""

    def __init__(self, ours: Stand, shop: str, late: list[float]) -> None:
        super().__init__(ours.pool, ours.decider, ours.settings, ours.clock)
        self._shop = shop
        self._late = late
        self._time = ours.clock

    def _count(self, settled: Sequence[Settled], now: datetime) -> None:
        super()._count(settled, now)
        committed = self._time.business()
        self._late += [
            (committed - row.next_at).total_seconds()
            for each in settled
            if each.customer.shop_id == self._shop
            for _, row in each.decisions
        ]


async def decide_all(dsn: str, pollers: int) -> Told:
    """Decide until nothing is due."""
    async with stand(dsn, clock=StandingClock(READY_AT)) as ours:
        workers = [ours.poller() for _ in range(pollers)]
        await _warm(ours, pollers)

        async def work(worker: Poller) -> None:
            while await worker.run_once(READY_AT):
                pass

        async def all_of_it() -> None:
            await asyncio.gather(*(work(worker) for worker in workers))

        return await timed(all_of_it)


async def keep_up(dsn: str, pollers: int, seconds: float, shops: Sequence[str]) -> Told:
    """Decide what comes due in so many seconds, and tell how late the steps of the first shop were."""
    clock = StartedClock()
    async with stand(dsn, shops, clock) as ours:
        late: list[float] = []
        workers = [Watched(ours, shops[0], late) for _ in range(pollers)]
        await _warm(ours, pollers)
        stopping = asyncio.Event()
        clock.start(await let_go())
        running = [asyncio.ensure_future(worker.run(stopping)) for worker in workers]
        await asyncio.sleep(seconds)
        stopping.set()
        await asyncio.gather(*running)
        late.sort()
        return {
            "steps": float(len(late)),
            "p50": late[len(late) // 2] if late else -1.0,
            "p99": late[min(int(len(late) * 0.99), len(late) - 1)] if late else -1.0,
            "worst": late[-1] if late else -1.0,
        }


async def _warm(ours: Stand, connections: int) -> None:
    await asyncio.gather(*(ours.pool.fetchval("SELECT pg_sleep(0.1)") for _ in range(connections)))
    calm()


def main() -> None:
    """Run the pollers of one process."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("dsn")
    parser.add_argument("--pollers", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=0.0, help="keep up with what comes due for so long")
    parser.add_argument("--shop", action="append", default=[], help="the first one is watched")
    arguments = parser.parse_args()
    log.configure("bench", "warning")
    if arguments.seconds:
        shops = arguments.shop or [people.SHOP]
        work = keep_up(arguments.dsn, arguments.pollers, arguments.seconds, shops)
    else:
        work = decide_all(arguments.dsn, arguments.pollers)
    tell(uvloop.run(work))


if __name__ == "__main__":
    main()
