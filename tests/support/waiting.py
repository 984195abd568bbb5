"""Waiting for a condition, with a deadline, instead of sleeping."""

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, TypeVar, overload

_T = TypeVar("_T")
_PAUSE_SECONDS = 0.02


@overload
async def eventually(
    condition: Callable[[], Awaitable[_T]], deadline: float = ..., what: str | Callable[[], Any] = ...
) -> _T: ...


@overload
async def eventually(
    condition: Callable[[], _T], deadline: float = ..., what: str | Callable[[], Any] = ...
) -> _T: ...


async def eventually(
    condition: Callable[[], Any], deadline: float = 20.0, what: str | Callable[[], Any] = "the condition"
) -> Any:
    """Poll a plain or async condition until it is truthy and return what it returned.

    After `deadline` seconds AssertionError says `what` was waited for (text, or a function called at the end)
    and what the condition returned last. An exception in the condition is the test's failure at once.
    """
    loop = asyncio.get_running_loop()
    end = loop.time() + deadline
    never = asyncio.Event()
    while True:
        answer = condition()
        if inspect.isawaitable(answer):
            answer = await answer
        if answer:
            return answer
        if loop.time() > end:
            wanted = what() if callable(what) else what
            message = f"{wanted}: not within {deadline:g} s; last answer {answer!r}"
            raise AssertionError(message)
        with suppress(TimeoutError):
            await asyncio.wait_for(never.wait(), _PAUSE_SECONDS)
