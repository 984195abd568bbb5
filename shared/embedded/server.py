"""What the embedded broker and the embedded PostgreSQL have in common: a folder, a port, a process, an end."""

import signal
from abc import ABC, abstractmethod
from pathlib import Path
from types import TracebackType
from typing import ClassVar, Self

from shared.embedded.process import ServerProcess, free_port
from shared.errors import InfrastructureError


class EmbeddedServer(ABC):
    """A real server whose data lives under `folder`. Port and data outlive `kill` and `stop`, until the next `start`."""

    _title: ClassVar[str]
    _log_name: ClassVar[str]
    _stop_signal: ClassVar[signal.Signals]
    _stop_seconds: ClassVar[float]

    def __init__(self, folder: Path, port: int | None = None) -> None:
        self._folder = folder.absolute()
        self._port = port or free_port()
        self._process: ServerProcess | None = None

    @property
    def pid(self) -> int:
        """The server's process id. Raises InfrastructureError if it was never started."""
        if self._process is None:
            message = f"the embedded {self._title} has not been started"
            raise InfrastructureError(message)
        return self._process.pid

    @property
    def log(self) -> Path:
        """File that the server logs to."""
        return self._folder / self._log_name

    @abstractmethod
    def start(self) -> None:
        """Return when the server serves clients, recovered from a crash, or raise InfrastructureError."""

    def stop(self) -> None:
        """End it in order; nothing to do if it does not run."""
        if self._process is not None:
            self._process.stop(self._stop_signal, self._stop_seconds)

    def kill(self) -> None:
        """SIGKILL it with its children, as a crash would; what it acknowledged is there after the next start."""
        if self._process is not None:
            self._process.kill()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
