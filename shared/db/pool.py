"""Connection pools whose search path is one service's schema, so that unqualified SQL cannot reach another's tables."""

from collections.abc import Awaitable, Callable
from typing import Any

import asyncpg
import orjson

from shared.errors import InfrastructureError
from shared.settings import Settings

_LONGEST_SILENCE = "60s"  # within a transaction: a worker that stands still must not hold rows for ever

Reset = Callable[[Any], Awaitable[None]]


async def _prepare(connection: Any) -> None:  # noqa: ANN401  asyncpg hands its own connection or a pool's proxy
    for kind in ("json", "jsonb"):
        await connection.set_type_codec(
            kind,
            schema="pg_catalog",
            encoder=lambda value: orjson.dumps(value).decode(),
            decoder=orjson.loads,
        )


async def end_transaction(connection: Any) -> None:  # noqa: ANN401  as above
    """Leave a connection as `reset` does if all that was done with it is transactions: a trip less where there is none."""
    if connection.is_in_transaction():
        await connection.reset()


async def create_pool(
    settings: Settings, schema: str, size: int | None = None, reset: Reset | None = None
) -> asyncpg.Pool:
    """A pool for one service. Connections are made when first needed; a lost one is replaced on the next use.

    `reset` is called with each that comes back, by default asyncpg's own, which forgets all of a session's state.
    """
    return await asyncpg.create_pool(
        settings.database_url.get_secret_value(),
        min_size=1,
        max_size=size or settings.database_pool_size,
        init=_prepare,
        reset=reset,
        command_timeout=60,
        server_settings={
            "search_path": schema,
            "application_name": f"orderwake-{schema}",
            "timezone": "UTC",
            "idle_in_transaction_session_timeout": _LONGEST_SILENCE,
        },
    )


def unusable(error: Exception) -> InfrastructureError:
    """What to tell people who could not be connected to PostgreSQL."""
    message = f"PostgreSQL cannot be used ({type(error).__name__}); start it, or mend DATABASE_URL"
    return InfrastructureError(message)
