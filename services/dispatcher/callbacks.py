"""`POST /callbacks/{provider}`: what providers report, verified by the provider's own file, then applied.

200 comes after the commit; everything that may pass is answered 503, so that it comes again.
"""

import asyncio
from collections.abc import Mapping, Sequence
from inspect import isawaitable

import structlog
from aiohttp import web

from services.dispatcher.providers.base import (
    CallBack,
    Forged,
    Provider,
    Report,
    Reports,
    Unreadable,
    Unverifiable,
)
from services.dispatcher.reports import Hearing, TooEarly
from shared import metrics
from shared.clock import Clock
from shared.errors import SettingsError
from shared.faults import PASSING

log = structlog.get_logger()

LARGEST_BODY = 2 * 1024 * 1024
"""Bytes: SendGrid's batches, the largest, stay under 768 kB."""
LONGEST_READ_SECONDS = 15.0
APPLIED_AT_ONCE = 3
"""Transactions: a flood of call-backs leaves connections to those who send."""

_REFUSALS: dict[type[Exception], int] = {
    Forged: 403,
    Unreadable: 400,
    Unverifiable: 503,
    TooEarly: 503,
    web.RequestPayloadError: 400,
    TimeoutError: 408,
}


class CallBacks:
    """The endpoint. `public_url` is ours as providers see it, whatever a proxy makes of it on the way."""

    def __init__(
        self, providers: Mapping[str, Provider], hearing: Hearing, clock: Clock, public_url: str
    ) -> None:
        self._providers = providers
        self._hearing = hearing
        self._clock = clock
        self._url = f"{public_url.rstrip('/')}/callbacks"
        self._applying = asyncio.Semaphore(APPLIED_AT_ONCE)

    def routes(self) -> list[web.AbstractRouteDef]:
        """What the service serves."""
        return [web.post("/callbacks/{name}", self.handle)]

    async def handle(self, request: web.Request) -> web.Response:
        """Answer one call-back."""
        name = request.match_info["name"]
        provider = self._providers.get(name)
        if provider is None or not isinstance(provider, Reports):
            return _answer("unknown", 404)
        try:
            body = await _body(request)
            if body is None:
                return _answer(name, 413)
            reports = await self._read(provider, self._call_back(request, name, body))
            async with self._applying:
                await self._hearing.take(name, provider.channel, reports)
        except tuple(_REFUSALS) as refusal:
            log.warning("callback_refused", provider=name, why=type(refusal).__name__)
            return _answer(name, _status(refusal))
        except PASSING as error:
            log.warning("callback_put_off", provider=name, error=type(error).__name__)
            return _answer(name, 503)
        kind, reply = getattr(provider, "reply", ("text/plain", b""))
        return _answer(name, 200, reply, kind)

    def _call_back(self, request: web.Request, name: str, body: bytes) -> CallBack:
        query = request.raw_path.partition("?")[2]
        url = f"{self._url}/{name}?{query}" if query else f"{self._url}/{name}"
        headers: dict[str, str] = {}
        for key, value in request.headers.items():
            lower = key.lower()
            headers[lower] = f"{headers[lower]}, {value}" if lower in headers else value
        return CallBack(url, headers, body, self._clock.machine())

    async def _read(self, provider: Reports, call_back: CallBack) -> Sequence[Report]:
        try:
            found = provider.read(call_back)
            return await found if isawaitable(found) else found
        except (
            ValueError
        ) as error:  # letters or digits that nobody expects: no reason to fail, or to say them
            raise Unreadable(type(error).__name__) from None
        except SettingsError as error:
            raise Unverifiable(str(error)) from None


async def _body(request: web.Request) -> bytes | None:
    """The body's bytes; None where they are too many."""
    found = bytearray()
    async with asyncio.timeout(LONGEST_READ_SECONDS):
        async for piece in request.content.iter_chunked(64 * 1024):
            found += piece
            if len(found) > LARGEST_BODY:
                return None
    return bytes(found)


def _status(refusal: Exception) -> int:
    return next(status for kind, status in _REFUSALS.items() if isinstance(refusal, kind))


def _answer(name: str, status: int, body: bytes = b"", kind: str = "text/plain") -> web.Response:
    metrics.CALLBACKS.labels(name, str(status)).inc()
    return web.Response(status=status, body=body, content_type=kind)
