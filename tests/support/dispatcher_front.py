"""Where providers call back while dispatchers come and go: whoever lives takes it, as behind a load balancer."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from itertools import count

import aiohttp
from aiohttp import web
from yarl import URL

_OK = 300
_AWAY = 503
_HOP = frozenset({"host", "content-length", "connection", "transfer-encoding"})


class Front:
    """Hands call-backs on; `url` is where it listens, `ports` are the dispatchers', `passed` counts what was taken."""

    def __init__(self) -> None:
        self.url = ""
        self.ports: Sequence[int] = ()
        self.passed = 0
        self.refused: list[int] = []
        self._turn = count()
        self._session: aiohttp.ClientSession | None = None

    async def take(self, request: web.Request) -> web.Response:
        """Ask each dispatcher in turn; the first answer that is not an outage is the answer."""
        body = await request.read()
        headers = {name: value for name, value in request.headers.items() if name.lower() not in _HOP}
        first = next(self._turn)
        for place in range(len(self.ports)):
            port = self.ports[(first + place) % len(self.ports)]
            status = await self._pass(f"http://127.0.0.1:{port}{request.raw_path}", headers, body)
            if status < _OK:
                self.passed += 1
                return web.Response(status=status)
            if status < _AWAY and status != 500:
                self.refused.append(status)
                return web.Response(status=status)
        return web.Response(status=_AWAY)

    async def _pass(self, url: str, headers: dict[str, str], body: bytes) -> int:
        if self._session is None:
            return _AWAY
        try:
            async with self._session.post(URL(url, encoded=True), headers=headers, data=body) as answer:
                return answer.status
        except (aiohttp.ClientError, TimeoutError, OSError):
            return _AWAY


@asynccontextmanager
async def open_front() -> AsyncIterator[Front]:
    """A front on a port of its own."""
    front = Front()
    timeout = aiohttp.ClientTimeout(total=5)
    async with aiohttp.ClientSession(timeout=timeout, cookie_jar=aiohttp.DummyCookieJar()) as session:
        front._session = session  # noqa: SLF001  made here
        app = web.Application()
        app.router.add_route("POST", "/{path:.*}", front.take)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        front.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        try:
            yield front
        finally:
            await runner.cleanup()
