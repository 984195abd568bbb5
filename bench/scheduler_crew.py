"""Worker processes that begin together."""

import json
import subprocess
import sys
from collections.abc import Sequence
from types import TracebackType
from typing import Self

from bench.scheduler_worker import Told
from bench.service import CLOCK

Command = tuple[str, ...]
"""A module, and what it is told."""


class Crew:
    """Processes that are ready; `go` lets them begin, `wait` returns what each has said at its end."""

    def __init__(self, commands: Sequence[Command]) -> None:
        self._processes = [
            subprocess.Popen(  # noqa: S603  the command is ours
                [sys.executable, "-m", *command], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
            )
            for command in commands
        ]

    def __enter__(self) -> Self:
        for each in self._processes:
            self._line(each)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for each in self._processes:
            if error is not None:
                each.kill()
            each.communicate()

    def go(self) -> float:
        """Let them begin; returns the moment, in machine seconds."""
        now = CLOCK.monotonic()
        for each in self._processes:
            if each.stdin:
                each.stdin.write(f"{now}\n")
                each.stdin.flush()
        return now

    def wait(self) -> list[Told]:
        """Wait for all of them."""
        return [json.loads(self._line(each)) for each in self._processes]

    @staticmethod
    def _line(process: "subprocess.Popen[str]") -> str:
        line = process.stdout.readline() if process.stdout else ""
        if not line:
            message = f"{process.args!r} has ended before its time"
            raise RuntimeError(message)
        return line


def run(commands: Sequence[Command]) -> tuple[float, list[Told]]:
    """Run processes to their ends; returns the seconds from the first beginning to the last end, and what they said."""
    with Crew(commands) as crew:
        crew.go()
        told = crew.wait()
    return max(each["ended"] for each in told) - min(each["started"] for each in told), told
