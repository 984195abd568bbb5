"""Fakes as processes of their own, as the demo and the crash tests run them."""

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.request import Request, urlopen

from tests.fakes.log import read

_STOP_SECONDS = 10


class FakeProcess:
    """`python -m tests.fakes.smtp`, or `.http --kind <name>`, with chances of faults.

    `options` are further ones, as `tests/fakes/http.py` lists them; `said` is what it printed at the start.
    """

    def __init__(
        self, name: str, folder: Path, faults: Mapping[str, float], seed: int = 0, options: Sequence[str] = ()
    ) -> None:
        self._folder = folder
        module = ["tests.fakes.smtp"] if name == "smtp" else ["tests.fakes.http", f"--kind={name}"]
        rates = [f"--fault={fault}={rate}" for fault, rate in faults.items()]
        self._command = [
            *(sys.executable, "-m", *module),
            *(f"--folder={folder}", f"--seed={seed}", *rates, *options),
        ]
        self._process: subprocess.Popen[str] | None = None
        self.said: dict[str, Any] = {}

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self.said['port']}"

    def received(self) -> list[dict[str, Any]]:
        """What it accepted so far, in order."""
        return read(self._folder / "received.jsonl")

    def called_back(self) -> list[dict[str, Any]]:
        """Every attempt at a call-back so far, in order."""
        return read(self._folder / "called_back.jsonl")

    def status(self) -> dict[str, Any]:
        """Counts of an HTTP fake: requests, violations, call-backs that are pending."""
        with urlopen(f"{self.url}/fake/status", timeout=_STOP_SECONDS) as answer:  # noqa: S310  our own address
            told: dict[str, Any] = json.load(answer)
            return told

    def control(self, **told: Any) -> None:  # noqa: ANN401  as tests/fakes/controls.py lists it
        """Steer an HTTP fake: scripts of `faults` and `fates`, `callback_url`, `inbound` messages."""
        request = Request(  # noqa: S310  our own address
            f"{self.url}/fake/control",
            data=json.dumps(told).encode(),
            headers={"Content-Type": "application/json"},
        )
        urlopen(request, timeout=_STOP_SECONDS).close()  # noqa: S310  our own address

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
        try:
            self._process.communicate(timeout=_STOP_SECONDS)
        except subprocess.TimeoutExpired:  # clients that were killed have left requests open
            self._process.kill()
            self._process.communicate()
