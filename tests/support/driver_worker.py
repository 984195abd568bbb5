"""The counting service as a process: `python -m tests.support.driver_worker BOOTSTRAP PREFIX FOLDER STORE`."""

import asyncio
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, cast

import structlog

from shared import log
from shared.kafka.faust import run
from tests.support.driver import Names, counting_app, settings_for

if TYPE_CHECKING:
    from shared.kafka.faust.stores import Kind


async def main(bootstrap: str, prefix: str, folder: str, store: str) -> None:
    """Count until SIGTERM."""
    log.configure("counting")
    structlog.get_logger().info("settings_read")
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    settings = settings_for(bootstrap, Path(folder))
    await run(counting_app(settings, Names(prefix), cast("Kind", store)), stop)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
