"""One running system for all stories. Business time only moves forward, so each story begins on a later Monday."""

import secrets
import shutil
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from shared.embedded import Infrastructure
from tests.support.ingest import own_database
from tests.support.stage import Stage, open_stage

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put these last: the system reads the declared topics, which other tests of a session make anew."""
    items.sort(key=lambda item: item.path.is_relative_to(HERE))


@pytest.fixture(scope="session")
async def stage(infrastructure: Infrastructure) -> AsyncIterator[Stage]:
    """Yield the running system."""
    folder = Path(tempfile.mkdtemp(prefix="orderwake-tests-"))
    async with (
        own_database(infrastructure, f"e2e{secrets.token_hex(4)}") as url,
        open_stage({**infrastructure.environment, "DATABASE_URL": url}, folder) as opened,
    ):
        yield opened
    shutil.rmtree(folder)
