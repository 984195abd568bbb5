"""Services as the processes that they are in production, to be killed."""

import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

_STOP_SECONDS = 25


class Service:
    """One `orderwake` service as a child process; its log goes to `log`."""

    def __init__(self, name: str, environment: Mapping[str, str], log: Path) -> None:
        self._command = [sys.executable, "-m", "services.cli", name]
        self._environment = {**os.environ, "ORDERWAKE_HTTP_PORT": "0", **environment}
        self._log = log
        self._process: subprocess.Popen[bytes] | None = None
        self.starts = 0

    def start(self) -> None:
        """Start it, or start it again; `starts` counts."""
        self.starts += 1
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(  # noqa: S603  the command is ours
                self._command, env=self._environment, stdout=log, stderr=log
            )

    @property
    def alive(self) -> bool:
        """Whether it runs."""
        return self._process is not None and self._process.poll() is None

    @property
    def text(self) -> str:
        """What it has logged, in all its lives."""
        return self._log.read_text()

    def kill(self) -> None:
        """Kill it with SIGKILL and wait until it is gone."""
        self._end(signal.SIGKILL)

    def stop(self) -> int:
        """Ask it to drain and wait until it has; returns its exit code."""
        return self._end(signal.SIGTERM)

    def _end(self, number: signal.Signals) -> int:
        if self._process is None:
            return 0
        self._process.send_signal(number)
        return self._process.wait(_STOP_SECONDS)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()
