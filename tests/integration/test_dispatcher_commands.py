"""`orderwake ledger …`, as people call it."""

import asyncio
import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from services.dispatcher.commands import ledger
from tests.support.dispatching import StandingClock, bench, running
from tests.support.messages import customer, message
from tests.support.waiting import eventually


async def test_unknown_messages_are_listed_without_contact_data(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", database_url)
    event = message(1)
    async with bench(database_url, tmp_path, StandingClock()) as stack:
        stack.smtp.faults.script.append("drop_lost")
        await stack.take(customer(1), event)
        async with running([stack.worker()]):

            async def lost() -> bool:
                return await stack.state(event) == "unknown"

            await eventually(lost)
    plain = await _run()
    assert str(event.data.message_id) in plain
    assert plain.endswith("1 unknown\n")
    (row,) = [json.loads(line) for line in (await _run("--json")).splitlines()]
    assert (row["message_id"], row["reason"]) == (str(event.data.message_id), "smtp_connection_lost")
    assert event.data.recipient not in plain + json.dumps(row)


async def _run(*options: str) -> str:
    # In a thread: the command runs an event loop of its own.
    result = await asyncio.to_thread(CliRunner().invoke, ledger, ["unknown", *options])
    assert result.exit_code == 0, result.output
    return result.output
