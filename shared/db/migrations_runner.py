"""Migrations: numbered `.sql` files, each applied once per schema, in order, under one lock."""

from pathlib import Path
from typing import Any

import asyncpg

from shared.db.pool import unusable
from shared.db.queries import load_queries

COMMON = Path(__file__).with_name("migrations")
_queries = load_queries(Path(__file__).with_name("migrations.sql"))


async def migrate(database_url: str, schema: str, folder: Path) -> list[str]:
    """Bring a service's schema up to date; returns the names of what was applied.

    Every schema gets the shared tables (`positions`, `outbox`) first, then the service's own files. Safe to run from
    several processes at once, and again. Raises InfrastructureError where there is no database to be had.
    """
    try:
        connection = await asyncpg.connect(database_url, timeout=30)
    except (OSError, asyncpg.PostgresError) as error:
        raise unusable(error) from None
    try:
        async with connection.transaction():
            await connection.execute(_queries.lock, schema)
            await connection.execute(_queries.create_schema.replace("{schema}", _identifier(schema)))
            await connection.execute(_queries.enter_schema, schema)
            await connection.execute(_queries.create_migrations)
            return await _apply_all(connection, _files(folder))
    finally:
        await connection.close()


def _files(folder: Path) -> dict[str, str]:
    """Texts of all migrations by name, in the order in which they are applied."""
    paths = [*sorted(COMMON.glob("*.sql")), *sorted(folder.glob("*.sql"))]
    return {f"{'shared' if path.parent == COMMON else 'own'}/{path.name}": path.read_text() for path in paths}


async def _apply_all(connection: Any, texts: dict[str, str]) -> list[str]:  # noqa: ANN401  asyncpg's connection
    done = {row["name"] for row in await connection.fetch(_queries.applied)}
    fresh = [name for name in texts if name not in done]
    for name in fresh:
        await connection.execute(texts[name])
        await connection.execute(_queries.note_applied, name)
    return fresh


def _identifier(schema: str) -> str:
    if not schema.isidentifier():
        message = f"{schema!r} cannot be a schema's name"
        raise ValueError(message)
    return schema
