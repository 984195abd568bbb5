"""Ours and procrastinate decide the same due steps, in turn, from the same rows, with the same cores."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from statistics import median

import psutil

from bench.scheduler_crew import run
from bench.scheduler_peer import lay_out
from bench.scheduler_stand import Stand, queries

Decided = dict[str, tuple[str, str | None, int]]


@dataclass(frozen=True)
class Run:
    """One run over all that is due: `seconds` from the first process's start to the last one's end.

    `cpu` is what the workers used, `database` what PostgreSQL did: unlike the rate, a busy machine changes them little.
    """

    seconds: float
    cpu: float
    database: float
    decided: Decided

    @property
    def rate(self) -> float:
        """Due steps a second."""
        return len(self.decided) / self.seconds

    @property
    def each(self) -> float:
        """CPU seconds of a decision, in the worker and in PostgreSQL."""
        return (self.cpu + self.database) / len(self.decided)


@dataclass(frozen=True)
class Setting:
    """How many processes, and what each is told."""

    processes: int
    options: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.processes} x {' '.join(self.options)}"


async def _run(stand: Stand, module: str, dsn: str, setting: Setting) -> Run:
    server = psutil.Process(await stand.pool.fetchval(queries.backend)).parent()
    before = _used(server)
    seconds, told = run([(module, dsn, *setting.options)] * setting.processes)
    used = _used(server) - before
    return Run(seconds, sum(each["cpu"] for each in told), used, await stand.decisions())


def _used(server: psutil.Process | None) -> float:
    """CPU seconds of a server, of its processes, and of those that it has seen end."""
    if server is None:
        return 0.0
    times = server.cpu_times()
    used = times.user + times.system + times.children_user + times.children_system
    for each in server.children():
        with suppress(psutil.NoSuchProcess):
            used += each.cpu_times().user + each.cpu_times().system
    return float(used)


async def ours(stand: Stand, dsn: str, setting: Setting) -> Run:
    """Decide all with ours."""
    await stand.restore()
    return await _run(stand, "bench.scheduler_ours", dsn, setting)


async def peer(stand: Stand, dsn: str, setting: Setting) -> Run:
    """Decide all with procrastinate."""
    await stand.restore()
    rows = await stand.pool.fetch(queries.due_jobs, stand.clock.business())
    present = await stand.pool.fetchval(queries.has_jobs)
    await lay_out(dsn, [(row["shop_id"], row["customer_id"]) for row in rows], fresh=not present)
    await stand.pool.execute(queries.settle_jobs)
    return await _run(stand, "bench.scheduler_peer", dsn, setting)


def insist_same(runs: Sequence[Run]) -> None:
    """Raise RuntimeError unless all runs made the same decisions, with as many rules heard, and the same verdicts."""
    if any(run.decided != runs[0].decided for run in runs) or not runs[0].decided:
        message = "the sides did not do the same work: " + ", ".join(str(len(run.decided)) for run in runs)
        raise RuntimeError(message)


def middle(runs: Sequence[Run]) -> float:
    """The median rate."""
    return median(run.rate for run in runs)
