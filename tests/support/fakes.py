"""Fakes as processes of their own, as the demo and the crash tests run them."""

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.fakes.log import read

_STOP_SECONDS = 10


class FakeProcess:
    """`python -m tests.fakes.<name>` with chances of faults; `said` is what it printed at the start."""

    def __init__(self, name: str, folder: Path, faults: Mapping[str, float], seed: int = 0) -> None:
        self._folder = folder
        rates = [f"--fault={fault}={rate}" for fault, rate in faults.items()]
        self._command = [
            sys.executable,
            "-m",
            f"tests.fakes.{name}",
            f"--folder={folder}",
            f"--seed={seed}",
            *rates,
        ]
        self._process: subprocess.Popen[str] | None = None
        self.said: dict[str, Any] = {}

    def received(self) -> list[dict[str, Any]]:
        """What it accepted so far, in order."""
        return read(self._folder / "received.jsonl")

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(self._command, stdout=subprocess.PIPE, text=True)  # noqa: S603  the command is ours
        assert self._process.stdout is not None
        self.said = json.loads(self._process.stdout.readline())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._process is not None
        self._process.terminate()
        self._process.communicate(timeout=_STOP_SECONDS)
