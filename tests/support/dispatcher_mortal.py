"""Dispatchers whose lives end at points, begun by a process that has imported all that they need."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.support.dispatcher_world import Dispatcher


class Nest:
    """Where lives begin."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process

    def hatch(self, name: str, environment: Mapping[str, str], log: Path) -> "Mortal":
        """A dispatcher that has not lived yet."""
        return Mortal(self, name, environment, log)

    def begin(self, environment: Mapping[str, str], log: Path, point: str) -> int:
        """Begin a life; returns its process id."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        told = {"environment": dict(environment), "log": str(log), "point": point}
        self._process.stdin.write(json.dumps(told) + "\n")
        self._process.stdin.flush()
        return int(self._process.stdout.readline())


class Mortal(Dispatcher):
    """A dispatcher that lives several times; `point` is where the present life ends, if anywhere."""

    def __init__(self, nest: Nest, name: str, environment: Mapping[str, str], log: Path) -> None:
        super().__init__(name, environment, log)
        self._nest = nest
        self._pid = 0
        self.point = ""

    def live(self, point: str = "") -> None:
        """Begin a life."""
        self.point = point
        self.start()

    def start(self) -> None:
        """Begin a life that ends where the last one was to end."""
        self.starts += 1
        self._pid = self._nest.begin(self._environment, self._log, self.point)

    @property
    def alive(self) -> bool:
        """Whether it lives."""
        if self._pid:
            with suppress(ProcessLookupError):
                os.kill(self._pid, 0)
                return True
        return False

    @property
    def hit(self) -> list[str] | None:
        """The messages that the transaction held at which its life ended; None if it has not ended there."""
        if not self.point or not self.starts:
            return None
        _, found, rest = self.text.partition(f"point reached: {self.point}\nmessages hit: ")
        return rest.partition("\n")[0].split() if found else None

    def kill(self) -> None:
        """Kill it and wait until it is gone."""
        if self._pid:
            with suppress(ProcessLookupError):
                os.kill(self._pid, signal.SIGKILL)
            while self.alive:
                os.sched_yield()


@contextmanager
def nest() -> Iterator[Nest]:
    """A nest; whoever still lives at its end must be killed before."""
    command = [sys.executable, "-m", "tests.support.dispatcher_dying"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:  # noqa: S603  ours
        yield Nest(process)
        assert process.stdin is not None
        process.stdin.close()
