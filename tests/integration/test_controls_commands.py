"""`orderwake pause|stop|resume|controls`, as people call them, on real Kafka."""

import asyncio
import json
from collections.abc import Callable, Coroutine
from pathlib import Path

import asyncpg
import pytest
from click.testing import CliRunner, Result

from services.cli import cli
from shared.clock import Scale
from shared.db import load_queries, migrate
from shared.embedded import Infrastructure
from shared.settings import Settings
from tests.support.broker import fresh_topics
from tests.support.samples import START
from tests.support.scheduling import MIGRATIONS

queries = load_queries(Path(__file__).parents[1] / "support" / "controls.sql")

Run = Callable[..., Coroutine[None, None, Result]]


@pytest.fixture
async def run(infrastructure: Infrastructure, database_url: str, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run `orderwake ...` on empty topics, where two journeys of one shop are published."""
    await fresh_topics(Settings(kafka_bootstrap_servers=infrastructure.bootstrap_servers, topic_partitions=2))
    await migrate(database_url, "scheduler", MIGRATIONS)
    connection = await asyncpg.connect(database_url)
    for journey in ("routine", "refill"):
        await connection.execute(queries.publish, "skincare", journey)
    await connection.close()
    monkeypatch.setenv("DATABASE_URL", database_url)
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", infrastructure.bootstrap_servers)
    monkeypatch.setenv("ORDERWAKE_BUSINESS_TIME", str(Scale(START, START, 0)))

    async def command(*arguments: str) -> Result:
        # In a thread: the command runs an event loop of its own.
        return await asyncio.to_thread(CliRunner().invoke, cli, list(arguments))

    return command


async def test_what_is_thrown_is_listed_with_who_and_why_until_it_is_resumed(run: Run) -> None:
    paused = await run("pause", "--shop", "skincare", "--channel", "sms", "--why", "filtered", "--by", "ada")
    assert paused.output == "paused shop skincare on sms; in force everywhere within 5 s\n"
    stopped = await run(
        "stop", "--shop", "skincare", "--journey", "routine", "--why", "complaints", "--by", "bob", "--json"
    )
    expected = {
        "action": "stop",
        "shop": "skincare",
        "journey": "routine",
        "channel": None,
        "since": START.isoformat(),
        "by": "bob",
        "why": "complaints",
    }
    assert json.loads(stopped.output) == expected
    listed = [json.loads(line) for line in (await run("controls", "--json")).output.splitlines()]
    assert [each["action"] for each in listed] == ["pause", "stop"]
    assert listed[1] == expected
    resumed = await run("resume", "--shop", "skincare", "--journey", "routine", "--why", "mended")
    assert resumed.exit_code == 0, resumed.output
    assert "paused" in (plain := (await run("controls")).output)
    assert "ada: filtered" in plain
    assert "routine" not in plain


async def test_a_resume_follows_what_it_undoes_although_no_business_time_has_passed(run: Run) -> None:
    await run("pause", "--why", "all of it", "--by", "ada")
    await run("resume", "--why", "over", "--by", "ada")
    assert (await run("controls")).output == "nothing is paused or stopped\n"
    await run("stop", "--why", "again", "--by", "ada")
    assert "every shop" in (await run("controls")).output


async def test_a_resume_of_what_is_not_held_says_what_is(run: Run) -> None:
    nothing = await run("resume", "--shop", "skincare", "--why", "over")
    assert nothing.exit_code == 1
    assert "shop skincare is not paused or stopped, nor anything else" in nothing.output
    await run("pause", "--shop", "skincare", "--journey", "routine", "--why", "wrong price", "--by", "ada")
    other = await run("resume", "--shop", "skincare", "--why", "over")
    assert other.exit_code == 1
    assert "journey routine of shop skincare" in other.output


async def test_a_name_that_nobody_published_is_refused_with_the_nearest(run: Run) -> None:
    wrong = await run("pause", "--shop", "skincare", "--journey", "rutine", "--why", "x")
    assert wrong.exit_code == 1
    assert "no journey rutine was published; did you mean routine?" in wrong.output
    elsewhere = await run("pause", "--shop", "fitness", "--why", "x")
    assert "no shop fitness was published; published: skincare." in elsewhere.output
    assert (await run("controls")).output == "nothing is paused or stopped\n"
    assert (await run("pause", "--shop", "fitness", "--unchecked", "--why", "x")).exit_code == 0


async def test_a_switch_is_thrown_without_the_database(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://nobody@127.0.0.1:1/none")
    paused = await run("pause", "--shop", "skincare", "--why", "incident")
    assert paused.exit_code == 0, paused.output
    assert "not checked" in paused.output


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--why", " "], "--why is empty"),
        (["--shop", "", "--why", "x"], "is not an id"),
        (["--journey", "a|b", "--why", "x"], "is not an id"),
        (["--channel", "fax", "--why", "x"], "'fax' is not one of"),
        ([], "Missing option '--why'"),
    ],
)
async def test_what_cannot_be_meant_is_refused_before_anything_is_read(
    arguments: list[str], said: str
) -> None:
    result = await asyncio.to_thread(CliRunner().invoke, cli, ["pause", *arguments])
    assert result.exit_code == 2
    assert said in result.output
