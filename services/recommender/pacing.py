"""Waiting between rounds, cut short when the service stops."""

import asyncio


async def pause(stopping: asyncio.Event, seconds: float) -> None:
    """Return after `seconds` (other tasks run even if that is 0), or at once when `stopping` is set."""
    try:
        await asyncio.wait_for(stopping.wait(), seconds)
    except TimeoutError:
        return


async def pause_until(changed: asyncio.Event, stopping: asyncio.Event, seconds: float) -> None:
    """Return when either is set, after `seconds` at the latest."""
    waits = [asyncio.ensure_future(changed.wait()), asyncio.ensure_future(stopping.wait())]
    try:
        await asyncio.wait(waits, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for wait in waits:
            wait.cancel()
