"""Connection pools whose search path is one service's schema, so that unqualified SQL cannot reach another's tables."""

from typing import Any

import asyncpg
import orjson

from shared.settings import Settings


async def _prepare(connection: Any) -> None:  # noqa: ANN401  asyncpg hands its own connection or a pool's proxy
    for kind in ("json", "jsonb"):
        await connection.set_type_codec(
            kind,
            schema="pg_catalog",
            encoder=lambda value: orjson.dumps(value).decode(),
            decoder=orjson.loads,
        )


async def create_pool(settings: Settings, schema: str, size: int | None = None) -> asyncpg.Pool:
    """A pool for one service. Connections are made when first needed; a lost one is replaced on the next use."""
    return await asyncpg.create_pool(
        settings.database_url.get_secret_value(),
        min_size=1,
        max_size=size or settings.database_pool_size,
        init=_prepare,
        command_timeout=60,
        server_settings={"search_path": schema, "application_name": f"orderwake-{schema}", "timezone": "UTC"},
    )
