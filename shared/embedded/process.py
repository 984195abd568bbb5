"""A server process that never outlives the process that started it."""

import os
import secrets
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

from shared.clock import SystemClock
from shared.errors import InfrastructureError

_SUPERVISOR = Path(__file__).with_name("supervisor.py")
_FIRST_PORT, _PORTS = 20_000, 10_000
_TAIL_BYTES = 2_000
_REAP_SECONDS = 15.0
_DYING_SECONDS = 0.5
_CLOCK = SystemClock()


def free_port() -> int:
    """Pick a TCP port on 127.0.0.1 that is free now.

    It lies below the range for outgoing connections, so that nothing else takes it while a killed server is
    down and no client connects to itself there.
    """
    for _ in range(_PORTS):
        port = _FIRST_PORT + secrets.randbelow(_PORTS)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    message = f"no free TCP port between {_FIRST_PORT} and {_FIRST_PORT + _PORTS} on 127.0.0.1"
    raise InfrastructureError(message)


def wait_until(condition: Callable[[], bool], seconds: float) -> bool:
    """Poll until the condition holds; False after `seconds` (machine time) in which it never did."""
    pause = threading.Event()
    end = _CLOCK.monotonic() + seconds
    while not condition():
        if _CLOCK.monotonic() > end:
            return False
        pause.wait(0.02)
    return True


@dataclass(frozen=True)
class Recipe:
    """How to run a server: `end_signal` ends it if the parent dies, `uid` is its user (None: ours)."""

    name: str
    command: Sequence[str]
    log: Path
    end_signal: signal.Signals
    environment: Mapping[str, str]
    uid: int | None = None


class ServerProcess:
    """One run of a server. `pid` is the server's own, not its supervisor's."""

    def __init__(self, recipe: Recipe) -> None:
        self._recipe = recipe
        self._log_start = recipe.log.stat().st_size if recipe.log.exists() else 0
        uid = -1 if recipe.uid is None else recipe.uid
        self._supervisor = subprocess.Popen(  # noqa: S603  the command is ours
            [
                *(sys.executable, "-I", "-S", str(_SUPERVISOR)),
                *(str(os.getpid()), str(recipe.end_signal.value), str(uid), str(recipe.log)),
                *recipe.command,
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=dict(recipe.environment),
            start_new_session=True,
        )
        self.pid = self._read_pid()

    def _read_pid(self) -> int:
        if self._supervisor.stdout is None:  # pragma: no cover  it was asked for above
            raise AssertionError
        with self._supervisor.stdout as answer:
            line = answer.readline()
        if line:
            return int(line)
        self.reap()
        message = f"{self._recipe.name} could not be started: {self._recipe.command[0]} does not run here"
        raise InfrastructureError(message)

    def alive(self) -> bool:
        """Whether the server still runs."""
        return self._supervisor.poll() is None and not _gone(self.pid)

    def ended(self) -> bool:
        """Whether the server is gone; one that someone killed a moment ago is given the time to go."""
        if not wait_until(lambda: not self.alive(), _DYING_SECONDS):
            return False
        self.reap()
        return True

    def log_since_start(self) -> str:
        """Return what this run has logged so far."""
        with self._recipe.log.open("rb") as log:
            log.seek(self._log_start)
            return log.read().decode(errors="replace")

    def wait_ready(self, ready: Callable[[], bool], seconds: float) -> None:
        """Return when `ready`. Raises InfrastructureError with the log's end if it exits or takes longer."""
        if wait_until(lambda: ready() or not self.alive(), seconds) and self.alive():
            return
        state = f"was not ready after {seconds:.0f} s" if self.alive() else "ended at its start"
        self.kill()
        tail = self.log_since_start()[-_TAIL_BYTES:].strip()
        message = f"{self._recipe.name} {state}; {self._recipe.log} ends with:\n{tail}"
        raise InfrastructureError(message)

    def stop(self, stop_signal: signal.Signals, seconds: float) -> None:
        """Ask it to end, wait, and kill it if it has not ended after `seconds`."""
        if self.alive():
            self._signal(self.pid, stop_signal)
        if not wait_until(lambda: self._supervisor.poll() is not None, seconds):
            self.kill()
        self.reap()

    def kill(self) -> None:
        """SIGKILL the server and its children, as a crash would; returns when all are gone."""
        family = self._family() if self.alive() else []
        for member in family:
            self._signal(member.pid, signal.SIGKILL)
        wait_until(lambda: all(_gone(member.pid) for member in family), _REAP_SECONDS)
        self.reap()

    def reap(self) -> None:
        """Return when a server that was stopped or killed is gone, with whatever it had started."""
        self._supervisor.wait(_REAP_SECONDS)
        if self._supervisor.stdin is not None:
            self._supervisor.stdin.close()

    def _family(self) -> list[psutil.Process]:
        try:
            server = psutil.Process(self.pid)
            return [server, *server.children(recursive=True)]
        except psutil.NoSuchProcess:
            return []

    @staticmethod
    def _signal(pid: int, number: signal.Signals) -> None:
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            return


def _gone(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True
