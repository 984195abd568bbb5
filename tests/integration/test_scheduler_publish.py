"""One set of journeys is in force: whoever starts publishes its own, and whoever runs goes by what was published."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from services.scheduler import derive, publish, store
from services.scheduler.domain.publishing import Waiting
from services.scheduler.intake import Intake
from services.scheduler.publish import Publisher
from services.scheduler.store import CustomerKey, Locked
from services.scheduler.versions import changes, people, publications, releasing
from services.scheduler.versions.releasing import Terms
from shared.errors import JourneysReplaced, PublicationError
from shared.topics import DECISIONS, MESSAGES
from tests.support import eventually
from tests.support.samples import START, order
from tests.support.scheduling import Bench, admitted, bench, journey, profile, queries, shelf, step

SHOP = "skincare"
HOUR = timedelta(hours=1)
WAYS: tuple[Waiting, ...] = ("migrate", "pin", "drain", "migrate", "pin", "migrate")
OLD = journey(SHOP)
NEW = journey(SHOP, steps=[step("pair", "email", "order", "90m"), step("later", "email", "order", "6h")])


@pytest.fixture
async def old(database_url: str) -> AsyncIterator[Bench]:
    async with bench(database_url, [OLD], shelf(SHOP)) as ready:
        yield ready


@pytest.fixture
def new(old: Bench) -> Bench:
    """Stand for a process with other journeys, on the same store; it has not started."""
    return replace(old, journeys={NEW.id: NEW})


def _waits(rows: Sequence[dict[str, Any]]) -> list[tuple[str, str, timedelta]]:
    return sorted((row["customer_id"], row["step"], row["due_at"] - START) for row in rows)


async def _enrol(shop: Bench, *customers: str) -> None:
    for each in customers:
        await shop.feed(profile(SHOP, each), order(customer=each))


async def test_new_journeys_move_all_who_wait(old: Bench, new: Bench) -> None:
    await _enrol(old, "c-1")
    await new.publish()
    assert _waits(await old.steps()) == [("c-1", "later", 6 * HOUR), ("c-1", "pair", 1.5 * HOUR)]


async def test_a_revert_moves_them_back_and_both_versions_stay_on_record(old: Bench, new: Bench) -> None:
    await _enrol(old, "c-1")
    before = await old.steps()
    await new.publish()
    await _enrol(new, "c-2")
    await old.publish()
    assert _waits(await old.steps()) == sorted(
        (customer, name, due) for _, name, due in _waits(before) for customer in ("c-1", "c-2")
    )
    assert await old.pool.fetchval(queries.versions) == 2


async def test_people_of_a_shop_whose_journey_is_gone_wait_for_nothing(old: Bench) -> None:
    await _enrol(old, "c-1")
    other = journey("grocer")
    await replace(old, journeys={other.id: other}).publish()
    assert await old.steps() == []


async def test_a_running_process_takes_up_what_another_published(old: Bench, new: Bench) -> None:
    poller, intake = old.poller(), Intake(old.clock)
    await _enrol(old, "c-1")
    assert await poller.run_once(START) == 0
    await new.publish()
    expected = await new.steps()
    async with old.pool.acquire() as connection, connection.transaction():
        await intake.handle(connection, [admitted(order("o-2"))])
    assert {row["step"] for row in await old.steps()} == {"pair", "later"}
    assert len(await old.steps()) == 2 * len(expected)
    assert await poller.run_once(START + 2 * HOUR) == 1
    decided = await old.published(DECISIONS)
    assert {each["journey_version"] for each in decided} == {NEW.version}


async def test_a_process_of_software_that_derives_otherwise_writes_nothing_and_stops(old: Bench) -> None:
    await _enrol(old, "c-1")
    expected = await old.steps()
    poller = old.poller()
    await old.pool.execute(queries.derived_otherwise)
    with pytest.raises(JourneysReplaced, match="another version of the software"):
        await old.feed(order("o-2"))
    with pytest.raises(JourneysReplaced):
        await asyncio.wait_for(poller.run(asyncio.Event()), 20)
    assert await old.steps() == expected


async def test_a_start_with_software_that_derives_otherwise_derives_everyone_anew(
    old: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    await _enrol(old, "c-1")
    await old.pool.execute(queries.derived_otherwise)
    with monkeypatch.context() as patch:
        watched = _Watched(patch)
        await old.publish()
    assert watched.seen == ["c-1"]


async def test_a_process_that_is_replaced_while_it_publishes_does_not_take_over_again(
    old: Bench, new: Bench
) -> None:
    await _enrol(old, "c-1")
    publisher = new.publisher()
    await publisher.run_once()
    await old.publish()
    while not publisher.published.is_set():
        await publisher.run_once()
    assert {row["step"] for row in await old.steps()} == {"pair", "second"}


async def test_a_process_that_may_not_publish_goes_by_what_people_published(old: Bench, new: Bench) -> None:
    await _enrol(old, "c-1")
    quiet = Publisher(old.pool, None, old.clock)
    while not quiet.published.is_set():
        await quiet.run_once()
    assert {row["step"] for row in await old.steps()} == {"pair", "second"}
    await new.publisher().run_once()
    while await quiet.run_once():
        pass
    assert {row["step"] for row in await old.steps()} == {"pair", "later"}


async def test_a_process_that_may_not_publish_names_the_command_if_nothing_is_published(
    database_url: str,
) -> None:
    async with bench(database_url, [], shelf(SHOP)) as ready:
        with pytest.raises(PublicationError, match="orderwake journeys publish"):
            await Publisher(ready.pool, None, ready.clock).run_once()


async def test_only_customers_of_shops_that_a_publication_concerns_are_derived_anew(
    old: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    await _enrol(old, "c-1")
    other = journey("grocer")
    with monkeypatch.context() as patch:
        watched = _Watched(patch)
        await replace(old, journeys={**old.journeys, other.id: other}).publish()
    assert watched.seen == []


async def test_a_batch_under_way_is_finished_before_others_take_over_so_its_people_move_too(
    old: Bench, new: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    written, go_on = asyncio.Event(), asyncio.Event()
    write = store.write_steps

    async def slow(
        connection: store.Connection, change: store.Difference, customers: Iterable[CustomerKey]
    ) -> None:
        await write(connection, change, customers)
        written.set()
        await go_on.wait()

    monkeypatch.setattr(store, "write_steps", slow)
    feeding = asyncio.ensure_future(_enrol(old, "c-1"))
    await written.wait()
    publishing = asyncio.ensure_future(new.publish())
    try:
        await eventually(lambda: old.pool.fetchval(queries.waiting_locks))
    finally:
        go_on.set()
    await asyncio.gather(feeding, publishing)
    assert {row["step"] for row in await new.steps()} == {"pair", "later"}


class _Watched:
    """Counts which customers are derived anew; dies in the batch of that number."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, dies_in: int | None = None) -> None:
        self.seen: list[str] = []
        self._batches = 0
        self._dies_in = dies_in
        self._lock_next = store.lock_next
        monkeypatch.setattr(publish, "_CUSTOMERS", 2)
        monkeypatch.setattr(store, "lock_next", self.lock_next)

    async def lock_next(
        self,
        connection: store.Connection,
        after: CustomerKey,
        limit: int,
        shops: Sequence[str] | None = None,
    ) -> list[Locked]:
        found = await self._lock_next(connection, after, limit, shops)
        self._batches += 1
        if self._batches == self._dies_in:
            raise _Killed
        self.seen += [each.customer_id for each in found]
        return found


class _Killed(Exception):  # noqa: N818  what happens to a process
    pass


async def test_a_killed_publication_goes_on_where_it_stopped(
    old: Bench, new: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    customers = [f"c-{number}" for number in range(7)]
    await _enrol(old, *customers)
    with monkeypatch.context() as patch:
        first = _Watched(patch, dies_in=3)
        with pytest.raises(_Killed):
            await new.publish()
    assert first.seen == customers[:4]
    with monkeypatch.context() as patch:
        second = _Watched(patch)
        await new.publish()
    assert second.seen == customers[4:]
    assert {row["step"] for row in await new.steps()} == {"pair", "later"}
    assert len(await new.steps()) == 2 * len(customers)


async def test_a_restart_with_the_same_journeys_derives_nobody_anew(
    old: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    await _enrol(old, "c-1")
    with monkeypatch.context() as patch:
        watched = _Watched(patch)
        await old.publish()
    assert watched.seen == []


async def test_two_that_start_together_share_the_work(
    old: Bench, new: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    customers = [f"c-{number}" for number in range(9)]
    await _enrol(old, *customers)
    with monkeypatch.context() as patch:
        watched = _Watched(patch)
        await asyncio.gather(new.publish(), new.publish())
    assert sorted(watched.seen) == customers
    assert {row["step"] for row in await new.steps()} == {"pair", "later"}


async def test_whatever_is_published_while_others_feed_and_decide_every_row_is_what_is_in_force_says(
    old: Bench, new: Bench
) -> None:
    stopping = asyncio.Event()
    old.clock.now = START + 2 * HOUR
    running = [
        asyncio.ensure_future(loop(stopping))
        for _ in range(2)
        for loop in (Publisher(old.pool, None, old.clock).run, old.poller().run)
    ]
    feeding = asyncio.ensure_future(_enrol(old, *(f"c-{number:02}" for number in range(40))))
    for number, waiting in enumerate(WAYS):
        wanted = (NEW, OLD)[number % 2]
        async with old.pool.acquire() as connection, connection.transaction():
            before = await publications.load(connection)
            changed = [changes.of_item(before, wanted)]
            await releasing.publish(connection, changed, Terms(waiting, "a test", "ada"), old.clock)
    await feeding

    async def complete() -> bool:
        async with old.pool.acquire() as connection:
            standing = await store.in_force(connection)
        return standing is not None and standing.complete

    await eventually(complete)
    stopping.set()
    await asyncio.gather(*running)
    async with old.pool.acquire() as connection:
        published = await publications.load(connection)
        known = await people.between(connection, [SHOP], ("", ""), (SHOP, "d"))
        stored = await store.timings(connection, [each.key for each in known])
    states = [(customer, derive.state_of(customer)) for customer in known]
    expected = {
        row.message_id: row.timing
        for customer, state in states
        for row in derive.waiting(customer, state, derive.undecided(state, published, old.clock.now))
    }
    assert len(known) == 40
    assert stored == expected
    messages = [each["message_id"] for each in await new.published(MESSAGES)]
    assert messages
    assert len(messages) == len(set(messages))
