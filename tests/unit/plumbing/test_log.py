"""What libraries log by themselves holds nothing of a request."""

import asyncio
import logging

import pytest
from aiohttp import web

from shared import log

PERSON = b"ann@example.com"


async def fails(request: web.Request) -> web.Response:
    raise ValueError(request.match_info["person"])


async def asked(port: int, head: bytes) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(head + b" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    told = await reader.read()
    writer.close()
    await writer.wait_closed()
    return told


@pytest.mark.parametrize(
    ("head", "status", "kind"),
    [(b"GET /" + PERSON, b"500", "ValueError"), (b"GET /\xff" + PERSON, b"400", "InvalidURLError")],
)
async def test_a_request_that_fails_is_told_by_kind_and_place_only(
    caplog: pytest.LogCaptureFixture, head: bytes, status: bytes, kind: str
) -> None:
    log.configure("tests")
    app = web.Application()
    app.router.add_get("/{person}", fails)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    with caplog.at_level(logging.ERROR):
        assert (await asked(runner.addresses[0][1], head)).split(b" ")[1] == status
    await runner.cleanup()
    assert f"a request failed: {kind} at " in caplog.text
    assert PERSON.decode() not in caplog.text
    assert "127.0.0.1" not in caplog.text
