"""The one HTTP client against far ends that answer as no provider should."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from aiohttp import web

from services.dispatcher.providers.base import Answer
from services.dispatcher.providers.http import LARGEST_REPLY, LONGEST_RETRY_AFTER, HttpLine, Reply

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@asynccontextmanager
async def served(handler: Handler) -> AsyncIterator[str]:
    app = web.Application()
    app.router.add_get("/", handler)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/"
    finally:
        await runner.cleanup()


async def asked(handler: Handler) -> Reply | Answer:
    line = HttpLine("far", 5.0)
    async with served(handler) as url:
        await line.start()
        try:
            return await line.request("GET", url)
        finally:
            await line.close()


async def test_nobody_is_waited_for_longer_than_a_day() -> None:
    async def ages(_: web.Request) -> web.Response:
        return web.Response(status=503, headers={"Retry-After": "9" * 40})

    reply = await asked(ages)
    assert isinstance(reply, Reply)
    assert reply.retry_after() == LONGEST_RETRY_AFTER


async def test_a_reply_without_end_is_left_unread_and_its_status_counts() -> None:
    async def endless(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(status=202)
        await response.prepare(request)
        for _ in range(8 * LARGEST_REPLY // 65_536):
            await response.write(b" " * 65_536)
        return response

    reply = await asked(endless)
    assert isinstance(reply, Reply)
    assert (reply.status, reply.body) == (202, b"")


async def test_a_redirect_is_an_answer_and_is_not_followed() -> None:
    async def elsewhere(_: web.Request) -> web.Response:
        return web.Response(status=307, headers={"Location": "http://127.0.0.1:1/"})

    reply = await asked(elsewhere)
    assert isinstance(reply, Reply)
    assert reply.status == 307
