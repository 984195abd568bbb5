"""Publishing while people wait: the plan says what happens, it happens to each of them, and to nobody twice."""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from click.testing import CliRunner, Result

from demo.live import stand_still
from services.cli import cli
from services.scheduler.domain import Programme
from services.scheduler.publish import Publisher
from services.scheduler.versions import commands_publish, plan, publications
from shared.db import migrate
from shared.topics import DECISIONS, MESSAGES
from tests.support.samples import START, order
from tests.support.scheduling import (
    MIGRATIONS,
    Bench,
    bench,
    delivered,
    journey,
    journey_text,
    profile,
    queries,
    shelf,
    step,
)

SHOP = "skincare"
NAME = "skincare-routine"
HOUR = timedelta(hours=1)
STEPS = journey_text(SHOP)["steps"]
SLOWER = [
    step("pair", "email", "order", "90m", offer={"from": ["complements"]}),
    step("later", "email", "order", "6h"),
]
"""Another time for `pair`, no more `second` and `check`, and a new step `later`."""


@dataclass
class Desk:
    """A store with a scheduler that runs, and a person who publishes from a folder by command."""

    shop: Bench
    folder: Path
    environment: dict[str, str]

    def write(self, steps: Sequence[dict[str, Any]], **changes: object) -> None:
        text = json.dumps(journey_text(SHOP, steps=steps, **changes))
        (self.folder / "routine.yaml").write_text(text)

    async def run(self, *arguments: str) -> Result:
        """Run `orderwake journeys ...`, with a scheduler beside it that has no folder of its own."""
        done = asyncio.Event()
        beside = asyncio.create_task(Publisher(self.shop.pool, None, self.shop.clock).run(done))
        try:
            return await asyncio.to_thread(
                CliRunner(env=self.environment).invoke, cli, ["journeys", *arguments]
            )
        finally:
            done.set()
            await beside

    async def data(self, *arguments: str) -> Any:  # noqa: ANN401  any JSON value
        result = await self.run(*arguments, "--json")
        assert result.exit_code == 0, (result.output, result.exception)
        return json.loads(result.stdout)

    async def publish(self, waiting: str, *more: str, by: str = "ada") -> Any:  # noqa: ANN401  any JSON value
        told = ("--waiting", waiting, "--why", "a test", "--by", by, "--yes")
        return await self.data("publish", *(more or (str(self.folder),)), *told)


@pytest.fixture
async def desk(database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Desk]:
    monkeypatch.setattr(commands_publish, "_LOOK_SECONDS", 0.05)
    clock = tmp_path / "business-time"
    stand_still(clock, START + timedelta(minutes=1))
    folder = tmp_path / "journeys"
    folder.mkdir()
    environment = {"DATABASE_URL": database_url, "ORDERWAKE_BUSINESS_TIME": f"file:{clock}"}
    async with bench(database_url, [journey(SHOP)], shelf(SHOP)) as shop:
        shop.clock.now = START + timedelta(minutes=1)
        for number in range(8):
            await _enrol(shop, f"c-{number}")
        yield Desk(shop, folder, environment)


async def _enrol(shop: Bench, customer: str, order_id: str = "o-1", after: timedelta = timedelta()) -> None:
    await shop.feed(profile(SHOP, customer), order(order_id, customer=customer, placed_at=START + after))


def _waits(rows: Sequence[dict[str, Any]]) -> set[tuple[str, str, timedelta]]:
    return {(row["customer_id"], row["step"], row["due_at"] - START) for row in rows}


@pytest.mark.parametrize("waiting", ["migrate", "pin", "drain"])
async def test_rows_change_exactly_as_the_plan_says(desk: Desk, waiting: str) -> None:
    desk.write(SLOWER)
    before = _waits(await desk.shop.steps())
    planned = await desk.data("plan", str(desk.folder), "--waiting", waiting)
    assert _waits(await desk.shop.steps()) == before
    published = await desk.publish(waiting)
    assert published["plan"]["effects"] == planned["effects"]
    steps = planned["steps"]
    assert published["rows"] == {"gained": steps["gain"], "lost": steps["lose"], "moved": steps["move"]}
    after = _waits(await desk.shop.steps())
    assert len(after - before) == steps["gain"] + steps["move"]
    assert len(before - after) == steps["lose"] + steps["move"]
    expected = {"migrate": (8, 8, 8, 0), "pin": (0, 0, 0, 0), "drain": (0, 0, 0, 16)}
    assert tuple(steps[each] for each in ("gain", "lose", "move", "stop")) == expected[waiting]


async def test_a_plan_names_people_steps_and_causes(desk: Desk) -> None:
    desk.write(SLOWER)
    planned = await desk.data("plan", str(desk.folder))
    assert {(each["effect"], each["step"], each["cause"], each["people"]) for each in planned["effects"]} == {
        ("gain", "later", "step later added", 8),
        ("lose", "second", "step second removed", 8),
        ("move", "pair", "delay of step pair 45m -> 90m", 8),
    }
    assert planned["people"] == {"looked_at": 8, "waiting": 8, "concerned": 8}
    text = (await desk.run("plan", str(desk.folder))).stdout
    assert "delay of step pair 45m -> 90m" in text


async def test_who_is_pinned_ends_with_their_version_and_who_comes_later_has_the_new_one(desk: Desk) -> None:
    desk.write(SLOWER)
    await desk.publish("pin")
    desk.shop.clock.now = START + 12 * HOUR
    await _enrol(desk.shop, "late", after=HOUR)
    assert {name for customer, name, _ in _waits(await desk.shop.steps()) if customer == "late"} == {
        "pair",
        "later",
    }
    await desk.shop.poll()
    decided = {(each["step"], each["journey_version"]) for each in await desk.shop.published(DECISIONS)}
    old, new = journey(SHOP).version, journey(SHOP, steps=SLOWER).version
    assert decided == {("pair", old), ("second", old), ("pair", new), ("later", new)}


async def test_who_is_drained_is_sent_nothing_and_told_why(desk: Desk) -> None:
    desk.write(SLOWER)
    await desk.publish("drain")
    desk.shop.clock.now = START + 5 * HOUR
    await desk.shop.poll()
    decided = await desk.shop.published(DECISIONS)
    assert {(each["verdict"], each["reason"]) for each in decided} == {("skip", "journey_stopped")}
    assert len(decided) == 16
    assert await desk.shop.published(MESSAGES) == []


async def test_nobody_is_sent_a_step_twice_over_versions_and_a_roll_back(desk: Desk) -> None:
    first = journey(SHOP).version
    desk.write(STEPS)
    before = {row["message_id"] for row in await desk.shop.steps() if row["step"] == "pair"}
    desk.shop.clock.now = START + HOUR
    await desk.shop.poll()
    desk.write(SLOWER)
    for arguments in ((str(desk.folder),), ("--journey", NAME, "--version", first[:5]), (str(desk.folder),)):
        await desk.publish("migrate", *arguments)
        desk.shop.clock.now += 2 * HOUR
        await desk.shop.poll()
    messages = [each["message_id"] for each in await desk.shop.published(MESSAGES) if each["step"] == "pair"]
    assert len(messages) == len(set(messages)) == 8
    assert set(messages) == {str(each) for each in before}


async def test_a_shop_that_wants_two_people_gets_two(desk: Desk) -> None:
    rules = [Programme(shop=SHOP, approval="two")]
    await replace(desk.shop, programmes=rules).publish()
    desk.write(SLOWER)
    proposed = await desk.publish("migrate")
    assert (proposed["in_force"], len(proposed["proposed"])) == ([], 1)
    assert {name for _, name, _ in _waits(await desk.shop.steps())} == {"pair", "second"}
    number = str(proposed["proposed"][0])
    own = await desk.run("approve", number, "--by", "Ada ", "--yes")
    assert own.exit_code == 1
    assert "needs a second person" in own.stderr
    again = await desk.publish("migrate")
    assert again["proposed"] == proposed["proposed"]
    approved = await desk.data("approve", number, "--by", "grace", "--yes")
    assert approved["rows"] == {"gained": 8, "lost": 8, "moved": 8}
    shown = (await desk.data("show", NAME))["publications"]
    assert [(each["state"], each["published_by"], each["approved_by"]) for each in shown] == [
        ("in_force", "ada", "grace"),
        ("superseded", "start-up", None),
    ]
    late = await desk.run("approve", number, "--by", "grace", "--yes")
    assert "is in force since" in late.stderr


async def test_a_proposal_that_was_overtaken_cannot_be_approved(desk: Desk) -> None:
    await replace(desk.shop, programmes=[Programme(shop=SHOP, approval="two")]).publish()
    desk.write(SLOWER)
    first = (await desk.publish("migrate"))["proposed"][0]
    desk.write(SLOWER[:1])
    second = (await desk.publish("migrate"))["proposed"][0]
    await desk.data("approve", str(second), "--by", "grace", "--yes")
    refused = await desk.run("approve", str(first), "--by", "grace", "--yes")
    assert "overtaken" in refused.stderr


async def test_what_was_published_cannot_be_changed_or_removed(desk: Desk) -> None:
    for query in ("change_publication", "remove_publication", "change_release", "remove_release"):
        with pytest.raises(asyncpg.RestrictViolationError, match="publish again instead"):
            await desk.shop.pool.execute(getattr(queries, query))


async def test_a_withdrawn_journey_can_be_had_back(desk: Desk) -> None:
    version = journey(SHOP).version
    before = _waits(await desk.shop.steps())
    await desk.publish("migrate", "--withdraw", NAME)
    assert await desk.shop.steps() == []
    await desk.publish("migrate", "--version", version, "--journey", NAME)
    assert _waits(await desk.shop.steps()) == before


async def test_a_folder_of_some_leaves_what_others_published_in_force(desk: Desk) -> None:
    desk.write(STEPS, id="another")
    told = await desk.publish("migrate")
    assert [each["name"] for each in told["plan"]["changes"]] == ["another"]
    shown = (await desk.data("show"))["publications"]
    assert {each["name"] for each in shown if each["state"] == "in_force"} == {NAME, "another"}


async def test_show_and_diff_tell_what_is_and_was_in_force(desk: Desk) -> None:
    desk.write(SLOWER)
    old, new = journey(SHOP).version, journey(SHOP, steps=SLOWER).version
    compared = await desk.data("diff", "in-force", str(desk.folder / "routine.yaml"))
    assert (compared["from"], compared["to"]) == (old, new)
    assert {"field": "steps.pair.delay", "old": "45m", "new": "90m"} in compared["fields"]
    await desk.publish("migrate")
    assert (await desk.data("diff", f"{NAME}@{old[:6]}", NAME)) == compared
    shown = await desk.data("show", f"{NAME}@{old}")
    assert shown["body"]["steps"][0]["delay"] == "45m"
    assert (await desk.run("show")).stdout.count(NAME) == 1
    assert "nothing named other" in (await desk.run("show", "other")).stderr


async def test_who_cannot_be_asked_must_say_yes(desk: Desk) -> None:
    desk.write(SLOWER)
    result = await desk.run("publish", str(desk.folder), "--waiting", "pin", "--why", "a test")
    assert "add --yes" in result.stderr
    assert {name for _, name, _ in _waits(await desk.shop.steps())} == {"pair", "second"}


async def test_people_of_all_cores_are_counted_once(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plan, "_CUSTOMERS", 3)
    await desk.shop.feed(delivered(SHOP, "c-1", "o-1", START))
    desk.write(SLOWER)
    planned = await desk.data("plan", str(desk.folder))
    assert planned["people"]["looked_at"] == 8
    assert {
        "effect": "lose",
        "step": "check",
        "cause": "step check removed",
        "journey": NAME,
        "people": 1,
        "steps": 1,
    } in (planned["effects"])


async def test_a_start_proposes_to_a_shop_that_wants_two_people_and_only_once(desk: Desk) -> None:
    rules = [Programme(shop=SHOP, approval="two")]
    await replace(desk.shop, programmes=rules).publish()
    newer = replace(desk.shop, journeys={NAME: journey(SHOP, steps=SLOWER)}, programmes=rules)
    for _ in range(2):
        await newer.publish()
    shown = (await desk.data("show"))["publications"]
    assert [(each["name"], each["state"]) for each in shown if each["kind"] == "journey"] == [
        (NAME, "proposed"),
        (NAME, "in_force"),
    ]
    assert {name for _, name, _ in _waits(await desk.shop.steps())} == {"pair", "second"}


async def test_a_start_leaves_in_force_what_people_published_and_its_folder_lacks(desk: Desk) -> None:
    desk.write(STEPS, id="another")
    await desk.publish("migrate")
    await desk.shop.publish()
    shown = (await desk.data("show"))["publications"]
    assert {each["name"] for each in shown if each["state"] == "in_force"} == {NAME, "another"}


async def test_what_was_kept_before_publications_were_is_in_their_record(
    database_url: str, tmp_path: Path
) -> None:
    for path in sorted(MIGRATIONS.glob("*.sql"))[:2]:
        (tmp_path / path.name).write_text(path.read_text())
    await migrate(database_url, "scheduler", tmp_path)
    kept = journey(SHOP)
    connection = await asyncpg.connect(database_url)
    await connection.execute(queries.keep_journey, kept.id, kept.version, kept.model_dump_json(), START)
    await connection.close()
    async with bench(database_url, [kept], shelf(SHOP)) as shop:
        (entry,) = await publications.history(shop.pool)
    assert (entry.published_by, entry.in_force_at, entry.item()) == ("start-up", START, kept)
