"""What is due is decided once, on fresh state only, never above a cap, by any number of deciders."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from datetime import timedelta
from types import ModuleType
from typing import Any

import pytest

from services.scheduler import derive, store
from services.scheduler.domain import CustomerState, Due
from services.scheduler.guarding import guards
from services.scheduler.intake import TOPICS
from services.scheduler.poller import Poller
from shared.events import Control, ControlSet, EngagementKind, Verdict
from shared.kafka import outbox
from shared.kafka.records import Record
from shared.topics import CONTROLS, DECISIONS, MESSAGES
from tests.support.samples import START, engagement, occurrence, order
from tests.support.scheduling import (
    Bench,
    bench,
    delivered,
    envelope,
    journey,
    partition_of,
    profile,
    shelf,
)

SHOP = "skincare"
HOUR = timedelta(hours=1)


@pytest.fixture
async def shop(database_url: str) -> AsyncIterator[Bench]:
    async with bench(database_url, [journey(SHOP)], shelf(SHOP)) as ready:
        yield ready


async def _verdicts(shop: Bench) -> list[tuple[str, str]]:
    return [(each["step"], each["verdict"]) for each in await shop.published(DECISIONS)]


async def test_nothing_is_decided_before_its_time(shop: Bench) -> None:
    await shop.feed(profile(SHOP, "c-1"), order())
    assert await shop.poll(START + timedelta(minutes=44)) == 0
    assert await _verdicts(shop) == []


async def test_a_due_step_becomes_one_decision_one_message_and_one_fact(shop: Bench) -> None:
    await shop.feed(profile(SHOP, "c-1"), order())
    assert await shop.poll(START + HOUR) == 1
    (decision,) = await shop.published(DECISIONS)
    (message,) = await shop.published(MESSAGES)
    assert decision["verdict"] == "send"
    assert decision["complements_version"] == 7
    assert message["message_id"] == decision["message_id"]
    assert message["decision_id"] == decision["decision_id"]
    assert message["recipient"] == "c-1@example.com"
    facts = (await shop.state(SHOP)).verdicts
    assert [each.verdict for each in facts.values()] == [Verdict.SEND]
    assert [row["step"] for row in await shop.steps()] == ["second"]


async def test_deciding_again_decides_nothing(shop: Bench) -> None:
    await shop.feed(profile(SHOP, "c-1"), order())
    await shop.poll(START + HOUR)
    await shop.feed(order(), profile(SHOP, "c-1"))
    assert await shop.poll(START + HOUR) == 0
    assert len(await shop.published(DECISIONS)) == 1


async def test_a_decision_tells_the_positions_that_its_state_stood_on(shop: Bench) -> None:
    await shop.feed(profile(SHOP, "c-1"), order())
    await shop.poll(START + HOUR)
    (decision,) = await shop.published(DECISIONS)
    partition = partition_of(b"skincare|c-1")
    assert decision["positions"] == {f"{topic.name}-{partition}": 5 for topic in TOPICS}


async def test_all_due_steps_of_a_customer_count_towards_the_cap_in_one_go(database_url: str) -> None:
    capped = journey(SHOP, caps=[{"count": 1, "per": "7d"}])
    async with bench(database_url, [capped], shelf(SHOP)) as shop:
        await shop.feed(profile(SHOP, "c-1"), order())
        await shop.poll(START + 5 * HOUR)
        assert await _verdicts(shop) == [("pair", "send"), ("second", "skip")]
        assert len(await shop.published(MESSAGES)) == 1


async def test_a_deferred_step_comes_back_and_is_then_settled(database_url: str) -> None:
    quiet = journey(SHOP, quiet_hours={"email": {"starts": "08:00", "ends": "10:00"}})
    async with bench(database_url, [quiet], shelf(SHOP)) as shop:
        await shop.feed(profile(SHOP, "c-1"), order())
        await shop.poll(START + HOUR)
        assert await _verdicts(shop) == [("pair", "defer")]
        deferred = (await shop.steps())[0]
        assert (deferred["step"], deferred["attempt"]) == ("pair", 1)
        assert deferred["next_at"] == START + 2 * HOUR
        assert await shop.poll(START + 1.5 * HOUR) == 0
        await shop.feed(delivered(SHOP, "c-1", "o-1"))
        assert (await shop.steps())[0] == deferred
        await shop.poll(START + 2 * HOUR)
        assert await _verdicts(shop) == [("pair", "defer"), ("pair", "send")]
        ids = [each["decision_id"] for each in await shop.published(DECISIONS)]
        assert len(set(ids)) == 2


async def test_a_held_out_customer_gets_ghosts_and_no_message(database_url: str) -> None:
    async with bench(database_url, [journey(SHOP, holdout={"share": 1})], shelf(SHOP)) as shop:
        await shop.feed(profile(SHOP, "c-1"), order())
        await shop.poll(START + 5 * HOUR)
        assert await _verdicts(shop) == [("pair", "ghost"), ("second", "ghost")]
        assert await shop.published(MESSAGES) == []


async def test_withdrawn_consent_stops_the_next_step(shop: Bench) -> None:
    await shop.feed(profile(SHOP, "c-1"), order())
    await shop.poll(START + HOUR)
    await shop.feed(profile(SHOP, "c-1", version=2, at=START + 2 * HOUR, consent=False))
    await shop.poll(START + 5 * HOUR)
    assert await _verdicts(shop) == [("pair", "send"), ("second", "skip")]


async def test_an_unhappy_answer_stops_the_next_step(shop: Bench) -> None:
    await shop.feed(profile(SHOP, "c-1"), order())
    await shop.poll(START + HOUR)
    answered = engagement(occurrence("pair"), EngagementKind.ANSWERED, at=START + 2 * HOUR)
    unhappy = answered.data.model_copy(update={"answer": "unhappy"})
    await shop.feed(answered.model_copy(update={"data": unhappy}))
    await shop.poll(START + 5 * HOUR)
    assert await _verdicts(shop) == [("pair", "send"), ("second", "skip")]


async def test_a_silent_owner_holds_the_steps_of_its_partition_only(shop: Bench) -> None:
    customers = [f"c-{number}" for number in range(40)]
    for each in customers:
        await shop.feed(profile(SHOP, each), order(customer=each))
    silent = partition_of(b"skincare|c-1")
    await shop.fresh([silent], ago=timedelta(seconds=61))
    await shop.poll(START + HOUR)
    held = {each for each in customers if partition_of(f"skincare|{each}".encode()) == silent}
    assert held
    assert {row["customer_id"] for row in await shop.steps() if row["step"] == "pair"} == held
    assert len(await _verdicts(shop)) == len(customers) - len(held)
    await shop.fresh([silent])
    await shop.poll(START + HOUR)
    assert len(await _verdicts(shop)) == len(customers)


async def test_nothing_is_decided_while_a_topic_was_never_read(shop: Bench) -> None:
    await shop.feed(profile(SHOP, "c-1"), order())
    await shop.forget("returns")
    assert await shop.poll(START + HOUR) == 0
    assert len(await shop.steps()) == 2


async def test_nothing_is_decided_while_a_partition_has_lagged_for_longer_than_the_limit(shop: Bench) -> None:
    await shop.feed(profile(SHOP, "c-1"), order())
    await shop.behind("orders", timedelta(seconds=61))
    assert await shop.poll(START + HOUR) == 0
    await shop.behind("orders", timedelta(seconds=10))
    assert await shop.poll(START + HOUR) == 1


@pytest.mark.parametrize(
    ("scope", "decided"),
    [
        ({}, []),
        ({"journey": "skincare-routine"}, []),
        ({"channel": "email"}, []),
        ({"journey": "another"}, [("pair", "send")]),
        ({"channel": "sms"}, [("pair", "send")]),
    ],
)
async def test_what_is_paused_is_held_until_resumed(
    shop: Bench, scope: dict[str, str], decided: list[tuple[str, str]]
) -> None:
    await shop.feed(profile(SHOP, "c-1"), order())
    _throw(shop, "pause", scope)
    await shop.poll(START + HOUR)
    assert await _verdicts(shop) == decided
    _throw(shop, "resume", scope)
    await shop.poll(START + HOUR)
    assert await _verdicts(shop) == [("pair", "send")]


def _throw(shop: Bench, action: str, scope: dict[str, str]) -> None:
    control = Control.model_validate(
        {"action": action, "set_at": START, "set_by": "tests", "why": "to see", **scope}
    )
    event = ControlSet(**envelope(SHOP, None, START), data=control)
    shop.views.take(Record(CONTROLS.name, 0, 0, b"scope", event.encode()), event)


async def _crowd(shop: Bench, size: int) -> list[str]:
    customers = [f"c-{number}" for number in range(size)]
    await shop.feed(*(profile(SHOP, each) for each in customers))
    await shop.feed(*(order(customer=each) for each in customers))
    return customers


async def test_several_deciders_share_the_work_and_decide_each_step_once(shop: Bench) -> None:
    customers = await _crowd(shop, 200)

    async def drain(poller: Poller) -> None:
        while await poller.run_once(START + 5 * HOUR):
            pass

    await asyncio.gather(*(drain(shop.poller()) for _ in range(4)))
    await shop.poll(START + 5 * HOUR)
    decided = Counter((each["message_id"]) for each in await shop.published(DECISIONS))
    assert len(decided) == 2 * len(customers)
    assert set(decided.values()) == {1}


async def test_what_a_worker_that_stands_still_holds_keeps_no_other_waiting(shop: Bench) -> None:
    await _crowd(shop, 20)
    due = store.Span(None, START + 5 * HOUR)
    partitions = range(100)
    async with shop.pool.acquire() as still, shop.pool.acquire() as going, still.transaction():
        held = await store.claim(still, due, partitions, [], 8)
        async with going.transaction():
            found = await store.claim(going, due, partitions, [], 1)
    assert len(held) == 8
    assert {each.key for each in found}.isdisjoint(each.key for each in held)
    assert len(found) == 1


async def test_intake_and_deciders_at_once_neither_block_nor_lose(shop: Bench) -> None:
    customers = await _crowd(shop, 60)

    async def deliver() -> None:
        for start in range(0, len(customers), 7):
            await shop.feed(*(delivered(SHOP, each, "o-1") for each in customers[start : start + 7]))

    await asyncio.gather(deliver(), *(shop.poller().run_once(START + 5 * HOUR) for _ in range(3)))
    await shop.poll(START + 5 * HOUR)
    assert len(await _verdicts(shop)) == 2 * len(customers)
    assert [row["step"] for row in await shop.steps()] == ["check"] * len(customers)


@pytest.mark.parametrize(
    "place",
    [
        (store, "positions"),
        (store, "claim"),
        (store, "save"),
        (store, "write_steps"),
        (outbox, "put"),
        (store, "tally"),
        (guards, "_add"),
    ],
    ids=lambda place: place[1],
)
async def test_a_crash_anywhere_in_deciding_leaves_nothing_and_the_next_try_decides_once(
    shop: Bench, monkeypatch: pytest.MonkeyPatch, place: tuple[ModuleType, str]
) -> None:
    await shop.feed(profile(SHOP, "c-1"), order())
    before = await shop.steps()
    with monkeypatch.context() as patch:
        patch.setattr(*place, _crash)
        with pytest.raises(ConnectionResetError):
            await shop.poll(START + HOUR)
    assert await shop.published(DECISIONS) == []
    assert (await shop.state(SHOP)).verdicts == {}
    assert await shop.steps() == before
    await shop.poll(START + HOUR)
    (decision,) = await shop.published(DECISIONS)
    assert [str(each) for each in (await shop.state(SHOP)).verdicts] == [decision["message_id"]]


async def _crash(*_: object) -> None:
    raise ConnectionResetError


async def test_one_customer_who_cannot_be_decided_holds_up_nobody_else(
    shop: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    await shop.feed(profile(SHOP, "c-1"), order(customer="c-1"), profile(SHOP, "c-2"), order(customer="c-2"))
    decided = derive.undecided

    def fails(state: CustomerState, *rest: Any) -> list[Due]:  # noqa: ANN401  passed on
        if state.customer_id == "c-1":
            raise ZeroDivisionError
        return decided(state, *rest)

    with monkeypatch.context() as broken:
        broken.setattr(derive, "undecided", fails)
        await shop.poll(START + HOUR)
    assert [each["verdict"] for each in await shop.published(DECISIONS)] == ["send"]
    assert not (await shop.state(SHOP, "c-1")).verdicts
    await shop.poll(START + HOUR + timedelta(minutes=9))
    assert not (await shop.state(SHOP, "c-1")).verdicts
    await shop.poll(START + HOUR + timedelta(minutes=10))
    assert len((await shop.state(SHOP, "c-1")).verdicts) == 1
