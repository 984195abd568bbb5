"""Real servers on a bare machine: side by side, across crashes, and never left behind."""

import asyncpg

from shared.embedded import EmbeddedKafka, EmbeddedPostgres


async def test_each_test_gets_an_empty_database(database_url: str) -> None:
    connection = await asyncpg.connect(database_url)
    assert await connection.fetchval("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'") == 0
    assert (await connection.fetchval("SHOW server_version")).startswith("18")
    await connection.close()


async def test_the_broker_answers(kafka: EmbeddedKafka, postgres: EmbeddedPostgres) -> None:
    assert kafka.pid != postgres.pid
