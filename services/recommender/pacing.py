"""Waiting between rounds, cut short when the service stops."""

import asyncio


async def pause(stopping: asyncio.Event, seconds: float) -> None:
    """Return after `seconds` (other tasks run even if that is 0), or at once when `stopping` is set."""
    try:
        await asyncio.wait_for(stopping.wait(), seconds)
    except TimeoutError:
        return
