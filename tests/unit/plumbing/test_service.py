"""A service ends with its loops, says so when one fails, and drains when told to stop."""

import asyncio

import pytest

from shared.errors import InfrastructureError
from shared.service import Running, _run_loops, _serve_http
from shared.settings import Settings


async def waits(stopping: asyncio.Event) -> None:
    await stopping.wait()


async def fails(_: asyncio.Event) -> None:
    message = "broken"
    raise ArithmeticError(message)


async def is_cancelled(_: asyncio.Event) -> None:
    raise asyncio.CancelledError


async def test_a_failing_loop_stops_the_others_and_is_what_the_process_ends_with() -> None:
    with pytest.raises(ArithmeticError, match="broken"):
        await _run_loops([waits, fails], asyncio.Event())


async def test_a_loop_that_a_library_cancelled_is_a_failure_too() -> None:
    with pytest.raises(RuntimeError, match="cancelled from within"):
        await _run_loops([waits, is_cancelled], asyncio.Event())


async def test_told_to_stop_every_loop_finishes_what_it_has() -> None:
    stopping, finished = asyncio.Event(), []

    async def finishes(event: asyncio.Event) -> None:
        await event.wait()
        finished.append("the batch in hand")

    stopping.set()
    await _run_loops([finishes], stopping)
    assert finished == ["the batch in hand"]


async def test_a_port_that_is_taken_is_named_with_the_fix() -> None:
    running = Running(loops=(), ready=dict)
    taken = await _serve_http(Settings(http_port=0), running)
    port = taken.addresses[0][1]
    with pytest.raises(InfrastructureError, match=f"port {port} .*ORDERWAKE_HTTP_PORT"):
        await _serve_http(Settings(http_port=port), running)
    await taken.cleanup()
