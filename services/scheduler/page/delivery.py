"""Delivers webhooks: at least once, later and later again while a shop does not take them."""

import asyncio
from collections.abc import Mapping
from datetime import datetime, timedelta
from hashlib import blake2b
from http import HTTPStatus

import aiohttp
import asyncpg
import structlog

from services.scheduler.page import store
from services.scheduler.page.store import Webhook
from services.scheduler.page.webhook import Address
from shared import metrics
from shared.clock import Clock
from shared.faults import PASSING
from shared.webhooks import headers_for

log = structlog.get_logger()

_PAUSES_SECONDS = (5, 300, 1800, 7200, 18_000, 36_000, 50_400, 72_000, 86_400)
PAUSES = tuple(timedelta(seconds=seconds) for seconds in _PAUSES_SECONDS)
"""Machine time between attempts: over three days, as the specification advises."""

KEPT = timedelta(days=30)
_TIMEOUT_SECONDS = 15.0
_LEASE = timedelta(seconds=60)
_AT_ONCE = 20
_IDLE_SECONDS = 1.0
_FORGET_SECONDS = 3600.0
_OK, _REDIRECT = 200, 300


class Delivery:
    """Several may run: each takes webhooks that no other holds. A crash leaves them to the next after a minute."""

    def __init__(self, pool: asyncpg.Pool, addresses: Mapping[str, Address], clock: Clock) -> None:
        self.addresses = addresses
        self._pool = pool
        self._clock = clock
        self._awake = asyncio.Event()

    def wake(self) -> None:
        """A webhook was committed: look now."""
        self._awake.set()

    async def run(self, stopping: asyncio.Event) -> None:
        """Deliver, and forget what is long done, until `stopping` is set."""
        forgotten = float("-inf")
        timeout = aiohttp.ClientTimeout(total=_TIMEOUT_SECONDS)
        async with aiohttp.ClientSession(timeout=timeout) as client:
            while not stopping.is_set():
                self._awake.clear()
                try:
                    while await self.run_once(client):
                        pass
                    if self._clock.monotonic() - forgotten > _FORGET_SECONDS:
                        await self._forget()
                        forgotten = self._clock.monotonic()
                except PASSING as error:
                    log.warning("delivery_retrying", error=type(error).__name__)
                await self._rest(stopping)

    async def run_once(self, client: aiohttp.ClientSession) -> int:
        """Try what is due once; returns how many."""
        if not self.addresses:
            return 0
        now = self._clock.machine()
        urls = {shop: address.url for shop, address in self.addresses.items()}
        async with self._pool.acquire() as connection:
            taken = await store.take_webhooks(connection, now, now + _LEASE, urls, _AT_ONCE)
        await asyncio.gather(*(self._deliver(client, each) for each in taken))
        return len(taken)

    async def _deliver(self, client: aiohttp.ClientSession, taken: Webhook) -> None:
        address = self.addresses[taken.shop_id]
        status, outcome = await self._post(client, taken, address)
        now = self._clock.machine()
        state, next_at = _verdict(taken, status, now)
        async with self._pool.acquire() as connection, connection.transaction():
            if status == HTTPStatus.GONE:
                await store.address_is_gone(connection, taken.shop_id, address.url, now)
            await store.settle_webhook(connection, taken, state, next_at, outcome)
        metrics.WEBHOOKS.labels("gone" if status == HTTPStatus.GONE else state).inc()
        if state != "done":
            log.warning(
                "webhook_not_taken",
                shop=taken.shop_id,
                webhook=taken.webhook_id,
                outcome=outcome,
                state=state,
            )

    async def _post(self, client: aiohttp.ClientSession, taken: Webhook, address: Address) -> tuple[int, str]:
        headers = headers_for(taken.webhook_id, self._clock.machine(), taken.body, address.secrets)
        try:
            async with client.post(
                address.url, data=taken.body.encode(), headers=headers, allow_redirects=False
            ) as answer:
                return answer.status, str(answer.status)
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            return 0, type(error).__name__

    async def _forget(self) -> None:
        async with self._pool.acquire() as connection:
            await store.forget(connection, self._clock.business() - KEPT, self._clock.machine() - KEPT)

    async def _rest(self, stopping: asyncio.Event) -> None:
        waits = [asyncio.ensure_future(each.wait()) for each in (self._awake, stopping)]
        await asyncio.wait(waits, timeout=_IDLE_SECONDS, return_when=asyncio.FIRST_COMPLETED)
        for each in waits:
            each.cancel()


def _verdict(taken: Webhook, status: int, now: datetime) -> tuple[str, datetime]:
    """Return the state after an attempt, and when the next one is if there is one."""
    if _OK <= status < _REDIRECT:
        return "done", now
    if status == HTTPStatus.GONE:
        return "waiting", now
    if taken.attempts > len(PAUSES):
        return "failed", now
    pause = PAUSES[taken.attempts - 1]
    return "waiting", now + pause * (1 + _spread(taken.webhook_id))


def _spread(webhook_id: str) -> float:
    """Up to a tenth more, by a hash, so that what failed together does not come back together."""
    return blake2b(webhook_id.encode(), digest_size=1).digest()[0] / 2560
