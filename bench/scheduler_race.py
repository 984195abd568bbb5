"""Ours and procrastinate decide the same due steps, in turn, from the same rows, with the same cores."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from bench.scheduler_crew import run
from bench.scheduler_peer import lay_out
from bench.scheduler_stand import Stand, queries

Decided = dict[str, tuple[str, str | None, int]]


@dataclass(frozen=True)
class Run:
    """One run over all that is due: `seconds` from the first process's start to the last one's end."""

    seconds: float
    cpu: float
    decided: Decided

    @property
    def rate(self) -> float:
        """Due steps a second."""
        return len(self.decided) / self.seconds


@dataclass(frozen=True)
class Setting:
    """How many processes, and what each is told."""

    processes: int
    options: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.processes} x {' '.join(self.options)}"


def _run(module: str, dsn: str, setting: Setting) -> tuple[float, float]:
    seconds, told = run([(module, dsn, *setting.options)] * setting.processes)
    return seconds, sum(each["cpu"] for each in told)


async def ours(stand: Stand, dsn: str, setting: Setting) -> Run:
    """Decide all with ours."""
    await stand.restore()
    seconds, cpu = _run("bench.scheduler_ours", dsn, setting)
    return Run(seconds, cpu, await stand.decisions())


async def peer(stand: Stand, dsn: str, setting: Setting) -> Run:
    """Decide all with procrastinate."""
    await stand.restore()
    rows = await stand.pool.fetch(queries.due_jobs, stand.clock.business())
    present = await stand.pool.fetchval(queries.has_jobs)
    await lay_out(dsn, [(row["shop_id"], row["customer_id"]) for row in rows], fresh=not present)
    await stand.pool.execute(queries.settle_jobs)
    seconds, cpu = _run("bench.scheduler_peer", dsn, setting)
    return Run(seconds, cpu, await stand.decisions())


def insist_same(runs: Sequence[Run]) -> None:
    """Raise RuntimeError unless all runs made the same decisions, with as many rules heard, and the same verdicts."""
    if any(run.decided != runs[0].decided for run in runs) or not runs[0].decided:
        message = "the sides did not do the same work: " + ", ".join(str(len(run.decided)) for run in runs)
        raise RuntimeError(message)


def middle(runs: Sequence[Run]) -> float:
    """The median rate."""
    return median(run.rate for run in runs)
