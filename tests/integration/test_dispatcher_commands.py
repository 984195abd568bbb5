"""`orderwake ledger …`, as people call it."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import uuid4

import pytest
from click.testing import CliRunner, Result

from services.dispatcher.commands import ledger
from services.dispatcher.domain.states import Cause
from shared.events import EngagementKind, MessageRequested
from tests.support.dispatching import Bench, StandingClock, bench, running
from tests.support.messages import START, customer, message
from tests.support.reporting_back import handed
from tests.support.waiting import eventually

WHO = ("--by", "ana", "--why", "INC-7: in the provider's log")


@pytest.fixture
async def stack(database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Bench]:
    monkeypatch.setenv("DATABASE_URL", database_url)
    monkeypatch.setenv("ORDERWAKE_BUSINESS_TIME", f"{START.isoformat()}@2026-01-01T00:00:00Zx0.000001")
    async with bench(database_url, tmp_path, StandingClock()) as made:
        yield made


async def test_unknown_messages_are_listed_without_contact_data(stack: Bench) -> None:
    event = message(1)
    stack.smtp.faults.script.append("drop_lost")
    await stack.take(customer(1), event)
    async with running([stack.worker()]):

        async def lost() -> bool:
            return await stack.state(event) == "unknown"

        await eventually(lost)
    plain = await _output("unknown")
    assert str(event.data.message_id) in plain
    assert plain.endswith("1 unknown\n")
    (row,) = [json.loads(line) for line in (await _output("unknown", "--json")).splitlines()]
    assert (row["message_id"], row["reason"]) == (str(event.data.message_id), "smtp_connection_lost")
    assert event.data.recipient not in plain + json.dumps(row)
    assert await _output("unknown", "--older-than", "2h") == "0 unknown\n"
    assert await _output("unknown", "--provider", "another") == "0 unknown\n"


@pytest.mark.parametrize(
    ("verdict", "state", "told"),
    [
        ("--taken", "accepted", EngagementKind.ACCEPTED),
        ("--not-taken", "rejected", EngagementKind.REJECTED),
        ("--send-again", "intended", None),
    ],
)
async def test_a_person_settles_what_is_unknown_and_it_is_kept_and_told(
    stack: Bench, verdict: str, state: str, told: EngagementKind | None
) -> None:
    event = await _unknown(stack)
    output = await _output("resolve", str(event.data.message_id), verdict, *WHO)
    assert output.endswith(f"1 settled as {verdict.strip('-').replace('-', '_')}\n")
    assert await stack.state(event) == state
    assert [one.kind for one in await stack.told()][1:] == ([told] if told else [])
    shown = json.loads(await _output("show", str(event.data.message_id), "--json"))
    (kept,) = shown["settlements"]
    assert (kept["settled_by"], kept["why"]) == ("ana", "INC-7: in the provider's log")
    assert shown["consent"]["granted"] is True
    assert event.data.recipient not in json.dumps(shown)
    assert "settled" in await _output("show", str(event.data.message_id))


async def test_what_is_sent_again_arrives(stack: Bench) -> None:
    event = await _unknown(stack)
    await _output("resolve", str(event.data.message_id), "--send-again", *WHO)
    async with running([stack.worker()]):
        assert await stack.settled(event) == {"accepted": 1}
    assert stack.mailed() == [str(event.data.message_id)]


async def test_many_are_settled_only_after_a_look(stack: Bench) -> None:
    events = [await _unknown(stack, number) for number in (1, 2)]
    chosen = ("resolve", "--all", "--provider", "smtp", "--not-taken", *WHO)
    output = await _output(*chosen)
    assert "2 would be settled as not_taken" in output
    assert "--yes" in output
    assert [await stack.state(event) for event in events] == ["unknown", "unknown"]
    assert "2 settled as not_taken" in await _output(*chosen, "--yes")
    assert [await stack.state(event) for event in events] == ["rejected", "rejected"]


async def test_what_is_not_unknown_is_not_settled(stack: Bench) -> None:
    event = message(1)
    await stack.take(customer(1), event)
    await handed(stack, cause=Cause.TAKEN)
    result = await _run("resolve", str(event.data.message_id), "--not-taken", *WHO)
    assert (result.exit_code, await stack.state(event)) == (1, "accepted")
    assert "orderwake ledger show" in result.output


async def test_what_expired_is_not_sent_again(stack: Bench) -> None:
    event = await _unknown(stack, valid_until=START)
    result = await _run("resolve", str(event.data.message_id), "--send-again", *WHO)
    assert (result.exit_code, await stack.state(event)) == (1, "unknown")
    assert "--taken or --not-taken" in result.output


@pytest.mark.parametrize(
    ("options", "fix"),
    [
        (["resolve", str(uuid4()), *WHO], "--taken, --not-taken or --send-again"),
        (["resolve", "--taken", *WHO], "--all"),
        (["resolve", "--all", "--taken", *WHO], "--older-than"),
        (["resolve", "--all", "--older-than", "soon", "--taken", *WHO], "write 90s, 30m, 2h or 1d"),
        (["resolve", str(uuid4()), "--taken", "--by", "ana"], "--why"),
        (["show", str(uuid4())], "orderwake why"),
    ],
)
async def test_mistakes_are_told_with_their_fix(stack: Bench, options: list[str], fix: str) -> None:
    assert stack.pool
    result = await _run(*options)
    assert result.exit_code != 0
    assert fix in result.output


async def _unknown(stack: Bench, number: int = 1, **changes: object) -> MessageRequested:
    event = message(number, **changes)  # type: ignore[arg-type]
    await stack.take(customer(number), event)
    await handed(stack, cause=Cause.NO_ANSWER)
    return event


async def _run(*options: str) -> Result:
    # In a thread: the command runs an event loop of its own.
    return await asyncio.to_thread(CliRunner().invoke, ledger, options)


async def _output(*options: str) -> str:
    result = await _run(*options)
    assert result.exit_code == 0, result.output
    return result.output
