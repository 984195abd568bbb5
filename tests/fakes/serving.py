"""How a fake runs as a process: the options that all share, one JSON line on stdout, and an end on SIGTERM."""

import argparse
import asyncio
import json
import signal
import sys
from pathlib import Path
from typing import Protocol


class Fake(Protocol):
    """A server that can be started on a port, 0 for any."""

    @property
    def port(self) -> int: ...

    async def start(self, port: int = 0) -> None: ...

    async def stop(self) -> None: ...


def parser(documentation: str) -> argparse.ArgumentParser:
    """Options: port, folder, faults and their seed."""
    options = argparse.ArgumentParser(
        description=documentation, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--port", type=int, default=0)
    options.add_argument("--folder", type=Path, required=True)
    options.add_argument("--fault", action="append", default=[], metavar="NAME=RATE")
    options.add_argument("--seed", type=int, default=0)
    return options


async def serve(fake: Fake, port: int, **more: str) -> None:
    """Run until SIGTERM; the first line on stdout is `{"port": N}` with what clients need besides."""
    await fake.start(port)
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    sys.stdout.write(json.dumps({"port": fake.port, **more}) + "\n")
    sys.stdout.flush()
    await stopping.wait()
    await fake.stop()
