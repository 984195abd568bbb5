"""Migrations without a database end in one line that says what to do."""

from pathlib import Path

import pytest

from shared.db import migrate
from shared.embedded.process import free_port
from shared.errors import InfrastructureError


async def test_a_database_that_is_away_is_told_with_the_fix(tmp_path: Path) -> None:
    address = f"postgresql://nobody@127.0.0.1:{free_port()}/nothing"
    with pytest.raises(InfrastructureError, match="start it, or mend DATABASE_URL"):
        await migrate(address, "dispatcher", tmp_path)
