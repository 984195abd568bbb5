"""Guards on real PostgreSQL: exact counts through crashes and redeliveries, and journeys that stop themselves once."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from datetime import timedelta
from pathlib import Path
from uuid import UUID

import pytest

from services.scheduler.domain.programme import Programme
from services.scheduler.guarding import guards
from services.scheduler.guarding.guards import Guards
from shared.db import load_queries
from shared.events import Control, ControlSet, EngagementKind, Reason
from shared.kafka.records import Record
from shared.switches import GUARD, Scope, switch_key
from shared.topics import CONTROLS, DECISIONS, MESSAGES
from tests.support.samples import START, engagement, order
from tests.support.scheduling import Bench, bench, envelope, journey, profile, shelf

SHOP = "skincare"
ROUTINE = Scope(SHOP, f"{SHOP}-routine")
HOUR = timedelta(hours=1)
PEOPLE = 40

queries = load_queries(Path(__file__).parents[1] / "support" / "controls.sql")


@pytest.fixture
async def shop(database_url: str) -> AsyncIterator[Bench]:
    """Forty people who got their first message, in a shop whose guards conclude from twenty messages on."""
    async with bench(database_url, [journey(SHOP)], shelf(SHOP)) as ready:
        ready.programmes = [Programme.model_validate({"shop": SHOP, "guards": {"least": 20}})]
        await ready.publish()
        people = [f"c-{number}" for number in range(PEOPLE)]
        await ready.feed(*(profile(SHOP, each) for each in people))
        await ready.feed(*(order(customer=each) for each in people))
        await ready.poll(START + HOUR)
        yield ready


def guards_of(shop: Bench) -> Guards:
    return Guards(shop.pool, shop.views.switches, shop.clock)


async def messages(shop: Bench) -> dict[str, UUID]:
    """The message that each customer was sent."""
    return {
        each["recipient"].partition("@")[0]: UUID(each["message_id"])
        for each in await shop.published(MESSAGES)
    }


async def respond(shop: Bench, kind: EngagementKind, people: Sequence[int]) -> None:
    sent = await messages(shop)
    await shop.feed(*(engagement(sent[f"c-{each}"], kind, customer=f"c-{each}") for each in people))


async def counted(shop: Bench) -> list[tuple[str, int, int, int]]:
    """Step, sends, opens and complaints, as counted."""
    rows = await shop.pool.fetch(queries.counted)
    return [(row["step"], row["sends"], row["opens"], row["complaints"]) for row in rows]


def throw(shop: Bench, control: Control, scope: Scope = ROUTINE) -> None:
    """Let the process read a control off its topic."""
    event = ControlSet(**envelope(SHOP, None, START), data=control)
    shop.views.take(Record(CONTROLS.name, 0, 0, switch_key(scope, control), b""), event)


async def test_every_message_and_response_is_counted_once_however_often_it_comes(shop: Bench) -> None:
    for _ in range(3):
        await respond(shop, EngagementKind.OPENED, range(10))
        await respond(shop, EngagementKind.COMPLAINED, [3, 5])
        await respond(shop, EngagementKind.CLICKED, range(5))
    assert await counted(shop) == [("pair", PEOPLE, 10, 2)]
    await shop.poll(START + 5 * HOUR)
    assert await counted(shop) == [("pair", PEOPLE, 10, 2), ("second", PEOPLE - 2, 0, 0)]
    places = [row["place"] for row in await shop.pool.fetch(queries.counted)]
    assert places == [1, 2]


async def test_what_a_crash_undoes_was_not_counted(shop: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = guards._add  # noqa: SLF001  the last write of both transactions

    async def crash(*arguments: object) -> None:
        await whole(*arguments)  # type: ignore[arg-type]  # as they came
        raise ConnectionResetError

    with monkeypatch.context() as patch:
        patch.setattr(guards, "_add", crash)
        with pytest.raises(ConnectionResetError):
            await shop.poll(START + 5 * HOUR)
        with pytest.raises(ConnectionResetError):
            await respond(shop, EngagementKind.OPENED, range(10))
    assert await counted(shop) == [("pair", PEOPLE, 0, 0)]
    await shop.poll(START + 5 * HOUR)
    assert await counted(shop) == [("pair", PEOPLE, 0, 0), ("second", PEOPLE, 0, 0)]


async def test_a_journey_over_a_limit_is_stopped_once_by_whichever_guard_sees_it(shop: Bench) -> None:
    await respond(shop, EngagementKind.COMPLAINED, range(5))
    thrown = await asyncio.gather(*(guards_of(shop).run_once(START + 2 * HOUR) for _ in range(4)))
    ((stop,),) = [each for each in thrown if each]
    assert (stop.action, stop.journey, stop.set_by) == ("stop", ROUTINE.journey, GUARD)
    assert stop.why.startswith("complaints: 5 of 40 messages of step pair (email), 12.50%")
    (published,) = await shop.published(CONTROLS)
    assert Control.model_validate(published) == stop
    assert await guards_of(shop).run_once(START + 3 * HOUR) == []


async def test_noise_does_not_stop_a_journey(shop: Bench) -> None:
    await respond(shop, EngagementKind.COMPLAINED, [0])
    await respond(shop, EngagementKind.UNSUBSCRIBED, [0, 1])
    await respond(shop, EngagementKind.BOUNCED, [7, 8])
    assert await guards_of(shop).run_once(START + 2 * HOUR) == []


async def test_what_a_guard_stopped_is_skipped_with_its_reason_until_a_person_resumes(shop: Bench) -> None:
    await respond(shop, EngagementKind.UNSUBSCRIBED, range(6))
    (stop,) = await guards_of(shop).run_once(START + 2 * HOUR)
    throw(shop, stop)
    await shop.poll(START + 5 * HOUR)
    decisions = [each for each in await shop.published(DECISIONS) if each["step"] == "second"]
    assert {each["verdict"] for each in decisions} == {"skip"}
    (rule,) = [each for each in decisions[-1]["rules"] if each["rule"] == Reason.JOURNEY_STOPPED]
    assert rule["inputs"]["stopped"] == f"guard: {stop.why}"

    resumed = START + 6 * HOUR
    throw(shop, Control(action="resume", journey=ROUTINE.journey, set_at=resumed, set_by="ada", why="mended"))
    assert await guards_of(shop).run_once(resumed) == []
    await respond(shop, EngagementKind.COMPLAINED, range(20))
    assert await guards_of(shop).run_once(resumed + HOUR) == []


async def test_after_a_resume_a_new_breach_stops_the_journey_again(shop: Bench) -> None:
    await respond(shop, EngagementKind.COMPLAINED, range(5))
    (first,) = await guards_of(shop).run_once(START + 2 * HOUR)
    throw(shop, first)
    resumed = START + 3 * HOUR
    throw(shop, Control(action="resume", journey=ROUTINE.journey, set_at=resumed, set_by="ada", why="mended"))
    await shop.poll(START + 5 * HOUR)
    sent = {
        each["recipient"].partition("@")[0]: UUID(each["message_id"])
        for each in await shop.published(MESSAGES)
    }
    again = [f"c-{number}" for number in range(10, 15)]
    await shop.feed(*(engagement(sent[each], EngagementKind.COMPLAINED, customer=each) for each in again))
    (second,) = await guards_of(shop).run_once(START + 6 * HOUR)
    assert "5 of 35 messages of step second" in second.why
    assert second.set_at > first.set_at


@pytest.mark.parametrize("action", ["pause", "stop"])
async def test_a_guard_leaves_alone_what_a_person_holds_already(shop: Bench, action: str) -> None:
    await respond(shop, EngagementKind.COMPLAINED, range(5))
    held = {"action": action, "journey": ROUTINE.journey, "set_at": START, "set_by": "ada", "why": "looking"}
    throw(shop, Control.model_validate(held))
    assert await guards_of(shop).run_once(START + 2 * HOUR) == []
    assert await shop.published(CONTROLS) == []
