"""One case of a benchmark: workers as processes of their own, timed until the broker has all that they did."""

import asyncio
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

from bench.broker import Broker
from shared.clock import SystemClock

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[1]
CLOCK = SystemClock()
_LOOK_SECONDS = 0.05
_READ_SECONDS = 0.5
_LIMIT_SECONDS = 300.0
_STOP_SECONDS = 30.0


def python(module: str, interpreter: Path = Path(sys.executable)) -> tuple[str, ...]:
    """Program of a worker that is a module."""
    return str(interpreter), "-m", module


@dataclass(frozen=True)
class Case:
    """A worker's program with its arguments. `topics` are those that its group must have committed to the end."""

    name: str
    program: tuple[str, ...]
    topic: str
    group: str
    job: str
    topics: tuple[str, ...]
    workers: int = 1

    def command(self, bootstrap: str, folder: Path) -> list[str]:
        """How to start one worker."""
        return [*self.program, bootstrap, self.topic, self.group, str(folder), self.job]


@dataclass(frozen=True)
class Measured:
    """Seconds from the first record until all was durable; the workers' CPU in that time, and highest memory, together."""

    seconds: float
    cpu_seconds: float
    memory_bytes: int


class Worker:
    """A worker process; its log is kept for the error message."""

    def __init__(self, process: "subprocess.Popen[bytes]", log: Path) -> None:
        self._process = process
        self._log = log
        self._peak = 0

    def is_ready(self) -> bool:
        """Whether records can come, or have come."""
        return "\n" in self._said()

    def started_at(self) -> float | None:
        """When it had its first record, in seconds since 1970; None before."""
        times = self._said().replace("ready\n", "").partition("\n")
        return float(times[0]) if times[1] else None

    def _said(self) -> str:
        return self._log.with_suffix(".out").read_text()

    def cpu_seconds(self) -> float:
        """CPU that it has used."""
        times = psutil.Process(self._process.pid).cpu_times()
        return float(times.user + times.system)

    def look(self) -> int:
        """Return its highest resident memory so far. Raises RuntimeError if it has ended."""
        if self._process.poll() is not None:
            message = f"a worker ended by itself:\n{self._log.read_text()[-4000:]}"
            raise RuntimeError(message)
        self._peak = max(self._peak, psutil.Process(self._process.pid).memory_info().rss)
        return self._peak


@contextmanager
def worker(case: Case, bootstrap: str, folder: Path) -> "Iterator[Worker]":
    """Run one worker; ask it to stop at the end, and kill it if it does not."""
    folder.mkdir(parents=True)
    log = folder / "worker.log"
    with log.open("wb") as errors, log.with_suffix(".out").open("wb") as output:
        command = case.command(bootstrap, folder / "state")
        process = subprocess.Popen(command, cwd=ROOT, stdout=output, stderr=errors)  # noqa: S603  the command is ours
    try:
        yield Worker(process, log)
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


async def measure(
    case: Case,
    broker: Broker,
    folder: Path,
    *,
    fill: Callable[[], Awaitable[None]] | None = None,
    published: Callable[[], Awaitable[float | None]] | None = None,
) -> Measured:
    """Run a case until its group has committed all, and `published` says when the last of its results came.

    With `fill` the log is written, and the clock starts, once all workers are ready.
    """
    with ExitStack() as stack:
        workers = [
            stack.enter_context(worker(case, broker.bootstrap, folder / f"{case.group}-{number}"))
            for number in range(case.workers)
        ]
        if fill:
            await _until(workers, lambda: _all(worker.is_ready() for worker in workers))
            started = CLOCK.machine().timestamp()
            await fill()
        else:
            await _until(workers, lambda: _all(worker.started_at() for worker in workers))
            started = min(worker.started_at() or 0.0 for worker in workers)
        used = sum(one.cpu_seconds() for one in workers)
        await _until(workers, lambda: broker.done(case.group, case.topics))
        ended = CLOCK.machine().timestamp()
        if published:
            ended = max(ended, await _until_published(workers, published))
        used = sum(one.cpu_seconds() for one in workers) - used
        return Measured(ended - started, used, sum(one.look() for one in workers))


async def _all(conditions: Iterable[object]) -> bool:
    return all(conditions)


async def _until_published(
    workers: Sequence[Worker], published: Callable[[], Awaitable[float | None]]
) -> float:
    last = 0.0

    async def reached() -> bool:
        nonlocal last
        await asyncio.sleep(_READ_SECONDS)  # reading it all takes from what the workers have
        last = await published() or 0.0
        return bool(last)

    await _until(workers, reached)
    return last


async def _until(workers: Sequence[Worker], reached: Callable[[], Awaitable[bool]]) -> None:
    limit = CLOCK.monotonic() + _LIMIT_SECONDS
    while not await reached():
        for one in workers:
            one.look()
        if CLOCK.monotonic() > limit:
            message = f"not done after {_LIMIT_SECONDS:.0f} s"
            raise TimeoutError(message)
        await asyncio.sleep(_LOOK_SECONDS)
