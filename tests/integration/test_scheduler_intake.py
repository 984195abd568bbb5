"""Events become facts and due steps in one transaction, whatever order and however often they come."""

import itertools
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
from msgspec.structs import replace

from services.scheduler import store
from shared.events import OrderStatus
from shared.topics import CUSTOMERS
from tests.support.samples import START, order, returned
from tests.support.scheduling import Bench, bench, delivered, journey, profile, queries, shelf, tombstone

SHOP = "skincare"


@pytest.fixture
async def shop(database_url: str) -> AsyncIterator[Bench]:
    async with bench(database_url, [journey(SHOP)], shelf(SHOP)) as ready:
        yield ready


async def test_an_order_makes_its_steps_wait_and_a_delivery_adds_the_later_one(shop: Bench) -> None:
    await shop.feed(order())
    assert [row["step"] for row in await shop.steps()] == ["pair", "second"]
    await shop.feed(delivered(SHOP, "c-1", "o-1"))
    rows = await shop.steps()
    assert [(row["step"], row["next_at"] - START) for row in rows] == [
        ("pair", timedelta(minutes=45)),
        ("second", timedelta(hours=4)),
        ("check", timedelta(days=3)),
    ]
    assert {row["attempt"] for row in rows} == {0}


async def test_any_order_of_events_and_batches_gives_the_same_state_and_steps(shop: Bench) -> None:
    found = []
    for number, sequence in enumerate(itertools.permutations(range(4))):
        customer = f"c-{number}"
        news = [
            order(customer=customer),
            delivered(SHOP, customer, "o-1"),
            returned(customer=customer),
            profile(SHOP, customer),
        ]
        for place in sequence:
            await shop.feed(news[place])
        state = await shop.state(SHOP, customer)
        found.append(replace(state, customer_id="", profile=None))
    assert all(state == found[0] for state in found)
    steps = await shop.steps()
    assert len(steps) == 3 * len(found)
    assert len({row["due_at"] for row in steps}) == 3


async def test_a_duplicate_changes_nothing(shop: Bench) -> None:
    await shop.feed(order(), profile(SHOP, "c-1"))
    state, steps = await shop.state(SHOP), await shop.steps()
    await shop.feed(order(), order(), profile(SHOP, "c-1"))
    assert (await shop.state(SHOP), await shop.steps()) == (state, steps)


async def test_history_and_test_orders_are_known_and_start_nothing(shop: Bench) -> None:
    await shop.feed(order("o-1", history=True), order("o-2", test=True))
    assert set((await shop.state(SHOP)).orders) == {"o-1", "o-2"}
    assert await shop.steps() == []


async def test_an_order_that_turns_out_to_be_a_test_takes_its_steps_with_it(shop: Bench) -> None:
    await shop.feed(order())
    await shop.feed(order(version=2, test=True))
    assert await shop.steps() == []


async def test_a_cancelled_order_keeps_its_steps_so_that_each_skip_is_on_record(shop: Bench) -> None:
    await shop.feed(order(version=2, status=OrderStatus.CANCELLED))
    assert len(await shop.steps()) == 2


@pytest.mark.parametrize("place", ["lock", "save", "timings", "write_steps"])
async def test_a_batch_that_dies_anywhere_leaves_nothing_and_is_applied_by_the_next_try(
    shop: Bench, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(store, place, _crash)
        with pytest.raises(ConnectionResetError):
            await shop.feed(order(), profile(SHOP, "c-1"))
    assert await shop.steps() == []
    assert await shop.pool.fetchval(queries.state, SHOP, "c-1") is None
    await shop.feed(order(), profile(SHOP, "c-1"))
    assert len(await shop.steps()) == 2


async def _crash(*_: object) -> None:
    raise ConnectionResetError


async def test_a_tombstone_takes_the_contact_and_leaves_what_was_bought(shop: Bench) -> None:
    await shop.feed(order(), profile(SHOP, "c-1"))
    await shop.feed(tombstone(CUSTOMERS, SHOP, "c-1"))
    state = await shop.state(SHOP)
    assert state.profile is None
    assert "o-1" in state.orders
    text = store.unpack(await shop.pool.fetchval(queries.state, SHOP, "c-1"))
    assert "example.com" not in text
    assert "+1" not in text


async def test_one_batch_may_hold_many_customers_and_many_events_of_each(shop: Bench) -> None:
    customers = [f"c-{number}" for number in range(300)]
    await shop.feed(
        *(order(customer=each) for each in customers),
        *(delivered(SHOP, each, "o-1") for each in customers),
        *(profile(SHOP, each) for each in customers),
    )
    assert len(await shop.steps()) == 3 * len(customers)
