"""Fixtures that every kind of test may use: real servers, a fresh database, names that nobody else uses."""

import os
import secrets
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import hypothesis
import pytest
import structlog

from shared import log
from shared.embedded import EmbeddedKafka, EmbeddedPostgres, Infrastructure, choose

# A law is one on a busy machine too: how long an example takes says nothing.
hypothesis.settings.register_profile("orderwake", deadline=None)
hypothesis.settings.load_profile("orderwake")


@pytest.fixture(autouse=True)
def _logs_as_before(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """What a command that a test runs in this process sets up for logging must not hold for the tests after it."""
    before, configure = structlog.get_config(), log.configure

    def uncached(service: str, level: str = "info") -> None:
        configure(service, level)
        structlog.configure(cache_logger_on_first_use=False)

    monkeypatch.setattr(log, "configure", uncached)
    yield
    structlog.configure(**before)


@pytest.fixture(scope="session")
def _choice() -> Iterator[Infrastructure]:
    # Not pytest's own folder: that is closed to the user that PostgreSQL runs as when tests run as root.
    folder = Path(tempfile.mkdtemp(prefix="orderwake-tests-"))
    yield choose(folder, os.environ)
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def kafka(_choice: Infrastructure) -> Iterator[EmbeddedKafka]:
    """Yield the session's broker; `.bootstrap` is its address. It has no topics but those that tests make.

    A test that kills or stops it must start it again; one given from outside can only be connected to.
    """
    _choice.kafka.start()
    yield _choice.kafka  # type: ignore[misc]  # what tests may do with a given broker is a part of this
    _choice.kafka.stop()


@pytest.fixture(scope="session")
def postgres(_choice: Infrastructure) -> Iterator[EmbeddedPostgres]:
    """Yield the session's PostgreSQL; `.dsn` is a database that all tests share: rather use `database_url`.

    A test that kills or stops it must start it again; one given from outside can only be connected to.
    """
    _choice.postgres.start()
    yield _choice.postgres  # type: ignore[misc]  # what tests may do with a given server is a part of this
    _choice.postgres.stop()


@pytest.fixture(scope="session")
def infrastructure(
    _choice: Infrastructure, kafka: EmbeddedKafka, postgres: EmbeddedPostgres
) -> Infrastructure:
    """Give both, running: `bootstrap_servers`, `database_url` and `environment` for child processes."""
    del kafka, postgres
    return _choice


@pytest.fixture
def unique() -> str:
    """Give a short prefix for topics, groups and ids that no other test uses: letters and digits."""
    return f"t{secrets.token_hex(4)}"


@pytest.fixture
async def database_url(postgres: EmbeddedPostgres, unique: str) -> AsyncIterator[str]:
    """Yield the URL of an empty database of the test's own, dropped afterwards with its connections."""
    server = await asyncpg.connect(postgres.dsn)
    await server.execute(f'CREATE DATABASE "{unique}"')
    await server.close()
    yield urlunsplit(urlsplit(postgres.dsn)._replace(path=f"/{unique}"))
    server = await asyncpg.connect(postgres.dsn)
    await server.execute(f'DROP DATABASE IF EXISTS "{unique}" WITH (FORCE)')
    await server.close()
