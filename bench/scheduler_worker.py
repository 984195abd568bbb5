"""What every worker process of this benchmark does: say that it is ready, wait to be let go, work, say what it took."""

import asyncio
import json
import resource
import sys
from collections.abc import Awaitable, Callable

from bench.service import CLOCK

Told = dict[str, float]


def cpu_seconds() -> float:
    """CPU seconds that this process has used."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


async def let_go() -> float:
    """Say `ready` and wait for a line, which is the moment (machine seconds) at which all begin; returns it."""
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    line = await asyncio.to_thread(sys.stdin.readline)
    return float(line)


async def timed(work: Callable[[], Awaitable[Told | None]]) -> Told:
    """Do the work when let go; returns when it began and ended, its CPU seconds, and what it says itself."""
    await let_go()
    started, before = CLOCK.monotonic(), cpu_seconds()
    found = await work() or {}
    return {"started": started, "ended": CLOCK.monotonic(), "cpu": cpu_seconds() - before, **found}


def tell(found: Told) -> None:
    """Say what came of it."""
    sys.stdout.write(json.dumps(found) + "\n")
