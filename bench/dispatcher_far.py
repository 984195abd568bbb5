"""The far ends of the dispatcher's benchmark, as processes: Postfix's `smtp-sink`, and an HTTP sink of our own."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import aiohttp

from shared.embedded.process import free_port

HOW_TO_GET_IT = "smtp-sink comes with Postfix: apt-get install postfix (it need not run); or --smtp-sink PATH"
_BACKLOG = "200"
_STOP_SECONDS = 10
_MESSAGES = re.compile(r"mesg=(\d+)")
_PLACES = ("/usr/sbin/smtp-sink", "/usr/lib/postfix/sbin/smtp-sink", "/usr/libexec/postfix/smtp-sink")


@dataclass(frozen=True)
class Far:
    """A server that takes everything; `counted` is the file that `smtp-sink` counts into."""

    port: int
    counted: Path | None = None

    def provider(self, connections: int) -> dict[str, Any]:
        """Its entry in `providers.yaml`."""
        if self.counted is not None:
            return {
                "name": "bench",
                "kind": "smtp",
                "host": "127.0.0.1",
                "port": self.port,
                "connections": connections,
            }
        return {
            "name": "bench",
            "kind": "sendgrid",
            "key": {"env": "ORDERWAKE_BENCH_KEY"},
            "url": f"http://127.0.0.1:{self.port}",
        }

    async def taken(self) -> int:
        """How many messages it has taken since it started."""
        if self.counted is None:
            async with (
                aiohttp.ClientSession() as client,
                client.get(f"http://127.0.0.1:{self.port}/taken") as answer,
            ):
                return int(await answer.text())
        told = _MESSAGES.findall(self.counted.read_text())
        return int(told[-1]) if told else 0


def find_smtp_sink(given: Path | None) -> Path | None:
    """Where `smtp-sink` lies, if it does."""
    names = [str(given)] if given else [*_PLACES, shutil.which("smtp-sink") or ""]
    return next((Path(name) for name in names if name and Path(name).is_file()), None)


@contextmanager
def smtp_sink(program: Path, folder: Path) -> Iterator[Far]:
    """Run `smtp-sink`, which may not stay root."""
    port, counted = free_port(), folder / "smtp-sink"
    user = ["-u", "nobody"] if os.geteuid() == 0 else []
    with (
        counted.open("wb") as output,
        _running([str(program), "-c", *user, f"127.0.0.1:{port}", _BACKLOG], output),
    ):
        yield Far(port, counted)


@contextmanager
def http_sink() -> Iterator[Far]:
    """Run the HTTP sink."""
    with _running([sys.executable, "-m", "bench.dispatcher_sink"], subprocess.PIPE) as process:
        if process.stdout is None:
            raise RuntimeError(process.args)
        yield Far(int(process.stdout.readline()))


@contextmanager
def _running(command: list[str], output: IO[bytes] | int) -> Iterator["subprocess.Popen[bytes]"]:
    process = subprocess.Popen(command, stdout=output)  # noqa: S603  the command is ours
    try:
        yield process
    finally:
        process.terminate()
        process.communicate(timeout=_STOP_SECONDS)
