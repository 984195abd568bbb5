"""Short links of texts: kept before the text leaves, followed, and forgotten when they have ended."""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from http import HTTPStatus
from pathlib import Path
from typing import Any

import asyncpg
import structlog
from aiohttp import web

from services.dispatcher import telling
from services.dispatcher.domain.tracking import ShortLink
from services.dispatcher.people import Connection, Customer
from shared import metrics
from shared.clock import Clock
from shared.db import load_queries
from shared.faults import PASSING
from shared.kafka import outbox
from shared.links import CODE_LENGTH, leads_out
from shared.pages import language_of, looks_ahead, page

log = structlog.get_logger()
queries = load_queries(Path(__file__).with_name("links.sql"))

SWEEP_SECONDS = 60.0
_SWEPT_AT_ONCE = 1000
_RETRY_AFTER = {"Retry-After": "2"}


async def keep(connection: Connection, links: Sequence[ShortLink]) -> None:
    """Write links in the caller's transaction; one that is there already stays as it is."""
    if not links:
        return
    await connection.execute(
        queries.keep,
        [link.code for link in links],
        [link.message_id for link in links],
        [link.shop for link in links],
        [link.customer for link in links],
        [link.channel for link in links],
        [link.target for link in links],
        [link.expires_at for link in links],
    )


async def forget(connection: Connection, customers: Iterable[Customer]) -> None:
    """Delete the links of people who were erased: what interested them is theirs."""
    await connection.executemany(queries.forget, sorted(customers))


class ShortLinks:
    """Serves `/s/CODE` and forgets what has ended. `told` hears of new events in the outbox."""

    def __init__(self, pool: asyncpg.Pool, clock: Clock, told: Callable[[], None]) -> None:
        self._pool = pool
        self._clock = clock
        self._told = told

    def routes(self) -> list[web.RouteDef]:
        """What the service's HTTP server is to serve."""
        return [web.get("/s/{code}", self.follow)]

    async def follow(self, request: web.Request) -> web.Response:
        """302 to the target, the first click told; 404 and 410 lead nowhere; 503 while the database is away."""
        language = language_of("", request.headers.get("Accept-Language", ""))
        try:
            row = await self._find(request.match_info["code"])
            result = self._judge(row, ahead=looks_ahead(request))
            if result == "clicked":
                await self._click(row)
        except PASSING as error:
            log.warning("short_links_unreachable", error=type(error).__name__)
            away = page("busy", language)
            away.headers.update(_RETRY_AFTER)
            return away
        metrics.LINKS_FOLLOWED.labels(result).inc()
        if result in ("unknown", "expired"):
            return page(result, language)
        headers = {"Location": row["target"], "Cache-Control": "no-store", "Referrer-Policy": "no-referrer"}
        return web.Response(status=HTTPStatus.FOUND, headers=headers)

    async def _find(self, code: str) -> Any:  # noqa: ANN401  asyncpg's record, or None
        if len(code) != CODE_LENGTH or not (code.isascii() and code.isalnum()):
            return None
        return await self._pool.fetchrow(queries.find, code)

    def _judge(self, row: Any, *, ahead: bool) -> str:  # noqa: ANN401  as above
        if row is None or not leads_out(row["target"]):
            return "unknown"
        if self._clock.business() > row["expires_at"]:
            return "expired"
        return "looked_ahead" if ahead else "clicked"

    async def _click(self, row: Any) -> None:  # noqa: ANN401  as above
        """Note the first click and tell of it, both or neither."""
        if row["clicked_at"] is not None:
            return
        now = self._clock.business()
        async with self._pool.acquire() as connection, connection.transaction():
            if await connection.fetch(queries.click, row["code"], now):
                await outbox.put(connection, [telling.click(row, now)])
        self._told()

    async def run(self, stopping: asyncio.Event) -> None:
        """Forget what has ended, once a minute, until `stopping` is set."""
        while not stopping.is_set():
            try:
                while await self.sweep(self._clock.business()) == _SWEPT_AT_ONCE:
                    pass
            except PASSING as error:
                log.warning("short_links_unreachable", error=type(error).__name__)
            try:
                await asyncio.wait_for(stopping.wait(), SWEEP_SECONDS)
            except TimeoutError:
                continue

    async def sweep(self, now: datetime) -> int:
        """Forget up to a thousand links that ended before `now`; returns how many."""
        return len(await self._pool.fetch(queries.sweep, now, _SWEPT_AT_ONCE))
