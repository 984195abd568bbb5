"""A server on a port of its own, that can hold its answers back."""

import asyncio
from abc import ABC, abstractmethod
from datetime import UTC, datetime

from aiohttp import web

_LARGEST_BODY = 50 * 2**20


def now() -> datetime:
    """The time that fakes go by unless a test moves it."""
    return datetime.now(UTC)


class Server(ABC):
    """Listens on 127.0.0.1. `more_routes` are added to its own before it starts."""

    def __init__(self) -> None:
        self.gate = asyncio.Event()
        self.gate.set()
        self.closing = asyncio.Event()
        self.more_routes: list[web.RouteDef] = []
        self._runner: web.AppRunner | None = None

    @abstractmethod
    def routes(self) -> list[web.RouteDef]:
        """Its paths."""

    @property
    def port(self) -> int:
        """Port that it listens on."""
        assert self._runner is not None
        return int(self._runner.addresses[0][1])

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self.port}"

    async def start(self, port: int = 0) -> None:
        """Listen."""
        app = web.Application(client_max_size=_LARGEST_BODY)
        app.add_routes([*self.more_routes, *self.routes()])
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", port, backlog=1024).start()

    async def stop(self) -> None:
        """Let stalled requests go and close."""
        self.closing.set()
        self.gate.set()
        if self._runner is not None:
            await self._runner.cleanup()

    async def stall(self) -> web.Response:
        """Say nothing until the fake stops."""
        await self.closing.wait()
        return web.Response(status=503)


def cut(request: web.Request) -> web.Response:
    """Close the connection at once; what is returned never leaves."""
    if request.transport is not None:
        request.transport.abort()
    return web.Response(status=503)
