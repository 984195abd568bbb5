"""A thank-you page that ends itself at a point of its work: `python -m tests.support.dying_page URL POINT [OFFER TOKEN]`."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

from services.scheduler.domain import Published
from services.scheduler.page import store
from services.scheduler.page.accept import Acceptances
from services.scheduler.page.delivery import Delivery
from services.scheduler.page.tokens import Tokens
from shared.db import create_pool
from shared.kafka import outbox
from shared.settings import Settings
from tests.support.paging import SHOP, Stand
from tests.support.samples import order
from tests.support.scheduling import shelf

POINTS = ("locked", "deciding", "written", "committed", "accepting", "accepted")
"""In the order of the work: an offer's, then its acceptance's."""


def die(*_: object) -> None:
    """End as `kill -9` ends a process."""
    os.kill(os.getpid(), signal.SIGKILL)


def _after(called: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
    async def then_die(*given: Any, **named: Any) -> None:  # noqa: ANN401  whatever it takes
        await called(*given, **named)
        die()

    return then_die


def arm(point: str) -> None:
    """Put death where the point is."""
    begun = store.transaction

    @asynccontextmanager
    async def until_committed(connection: Any, committing: Callable[[], None]) -> AsyncIterator[None]:  # noqa: ANN401  asyncpg's
        async with begun(connection, committing):
            yield
        die()

    patches = {
        "locked": (store, "lock", _after(store.lock)),
        "deciding": (store, "positions", _after(store.positions)),
        "written": (store, "write", _after(store.write)),
        "committed": (store, "transaction", until_committed),
        "accepting": (outbox, "put", _after(outbox.put)),
        "accepted": (Delivery, "wake", die),
    }
    setattr(*patches[point])


async def _ask(url: str, point: str) -> None:
    stand = await _stand(url)
    offers = await stand.offers()
    arm(point)
    await offers.ask(SHOP, "c-1", order().data)


async def _accept(url: str, point: str, offer: str, token: str) -> None:
    stand = await _stand(url)
    tokens = Tokens(stand.settings.link_secret.get_secret_value())
    arm(point)
    await Acceptances(stand.pool, tokens, stand.delivery(), stand.clock).accept(UUID(offer), token)


async def _stand(url: str) -> Stand:
    settings = Settings.model_validate({"database_url": url, "stale_after_seconds": 60})
    pool = await create_pool(settings, "scheduler")
    return Stand(pool, settings, Published(), shelf(SHOP))


if __name__ == "__main__":
    database_url, where, *accepting = sys.argv[1:]
    asyncio.run(_accept(database_url, where, *accepting) if accepting else _ask(database_url, where))
