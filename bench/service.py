"""An `orderwake` process of its own, for benchmarks that watch, kill and restart the real thing."""

import asyncio
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

import aiohttp
import psutil

from shared.clock import SystemClock
from shared.embedded.process import free_port
from tests.support.processes import Service as Child

CLOCK = SystemClock()
_LOOK_SECONDS = 0.05
_OK = 200


class Service(Child):
    """`orderwake NAME` with an environment, one at a time; what it logs goes to `log`, its peak memory is kept."""

    def __init__(
        self, name: str, environment: Mapping[str, str], log: Path, cores: set[int] | None = None
    ) -> None:
        self.name = name
        self.port = free_port()
        own = {"ORDERWAKE_LOG_LEVEL": "warning", "ORDERWAKE_HTTP_PORT": str(self.port)}
        super().__init__(name, own | dict(environment), log)
        self._cores = cores
        self.peak_bytes = 0

    @property
    def base(self) -> str:
        """Where it serves."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def process(self) -> psutil.Process:
        """The process that runs. Raises RuntimeError if none does, with the end of its log."""
        if self._process is None or not self.alive:
            message = f"{self.name} does not run:\n{self.text[-4000:]}"
            raise RuntimeError(message)
        return psutil.Process(self._process.pid)

    @property
    def cpu_seconds(self) -> float:
        """CPU that it has used since it started."""
        times = self.process.cpu_times()
        return float(times.user + times.system)

    def start(self) -> None:
        """Start it, or start it again."""
        super().start()
        if self._cores:
            self.process.cpu_affinity(sorted(self._cores))

    def stop(self) -> int:
        """Ask it to drain and wait, or kill it if that takes too long; returns its exit code, below zero for a signal."""
        try:
            return super().stop()
        except subprocess.TimeoutExpired:
            self.kill()
            return -signal.SIGKILL

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    async def get(self, path: str) -> tuple[int, Any]:
        """Status and JSON of one of its pages; status 0 while it does not serve."""
        self.peak_bytes = max(self.peak_bytes, self.process.memory_info().rss)
        try:
            async with aiohttp.ClientSession() as client, client.get(self.base + path) as answer:
                return answer.status, await answer.json()
        except aiohttp.ClientConnectionError:
            return 0, {}

    async def is_ready(self) -> bool:
        """Whether /readyz says so."""
        return (await self.get("/readyz"))[0] == _OK


async def until(reached: Callable[[], Awaitable[bool]], what: str, limit_seconds: float) -> float:
    """Wait for a condition; returns the seconds that took. Raises TimeoutError that says `what` did not come."""
    started = CLOCK.monotonic()
    while not await reached():
        if CLOCK.monotonic() - started > limit_seconds:
            message = f"{what}: not within {limit_seconds:.0f} s"
            raise TimeoutError(message)
        await asyncio.sleep(_LOOK_SECONDS)
    return CLOCK.monotonic() - started


class Bar:
    """Progress on standard error: a bar on a terminal, a line at each tenth elsewhere."""

    def __init__(self, title: str, total: int) -> None:
        self._title = title
        self.total = max(total, 1)
        self._tenth = -1
        self._terminal = sys.stderr.isatty()

    def show(self, done: int) -> None:
        """Say how much is done."""
        share = min(done / self.total, 1.0)
        text = f"{self._title}: {done:,} of {self.total:,}"
        if self._terminal:
            filled = int(30 * share)
            sys.stderr.write(f"\r{text:<60} [{'#' * filled:<30}] {share:4.0%}{'' if share < 1 else chr(10)}")
        elif int(share * 10) > self._tenth:
            self._tenth = int(share * 10)
            sys.stderr.write(f"{text} ({share:.0%})\n")
        sys.stderr.flush()
