"""After an outage: what is long overdue comes back at a rate, all processes together, and never before what is due now."""

from collections.abc import AsyncIterator
from datetime import datetime, timedelta

import pytest

from shared.clock import SystemClock
from shared.topics import DECISIONS
from tests.support.samples import START, order
from tests.support.scheduling import Bench, MovedClock, bench, journey, profile, shelf, step

SHOP = "skincare"
HOUR, SECOND = timedelta(hours=1), timedelta(seconds=1)
RATE = 10
LATE = 60


class Outage(MovedClock):
    """A clock whose machine time, too, moves only when told."""

    def __init__(self, now: datetime, machine: datetime) -> None:
        super().__init__(now)
        self._machine = machine

    def machine(self) -> datetime:
        """Return the time it was moved to."""
        return self._machine

    def advance(self, span: timedelta) -> None:
        """Move both times on."""
        self.now += span
        self._machine += span


@pytest.fixture
async def clock() -> Outage:
    return Outage(START + 2 * HOUR, SystemClock().machine())


@pytest.fixture
async def shop(database_url: str, clock: Outage) -> AsyncIterator[Bench]:
    """Sixty people whose message was due an hour and a quarter ago, in a shop that catches up by ten a second."""
    plan = journey(SHOP, steps=[step("pair", "email", "order", "45m")])
    async with bench(database_url, [plan], shelf(SHOP)) as ready:
        ready.settings = ready.settings.model_copy(update={"catch_up_per_second": float(RATE)})
        ready.clock = clock
        await ready.fresh()
        await crowd(ready, "late", LATE, START)
        yield ready


async def crowd(shop: Bench, name: str, size: int, placed_at: datetime) -> None:
    people = [f"{name}-{number}" for number in range(size)]
    await shop.feed(*(profile(SHOP, each) for each in people))
    await shop.feed(*(order(customer=each, placed_at=placed_at) for each in people))


async def sent(shop: Bench, name: str) -> int:
    """How many of those people were decided to be sent their message."""
    left: int = sum(row["customer_id"].startswith(name) for row in await shop.steps())
    return {"late": LATE, "fresh": 5}[name] - left


async def test_a_backlog_is_released_at_the_ramp(shop: Bench, clock: Outage) -> None:
    await shop.poll()
    assert await sent(shop, "late") == RATE
    await shop.poll()
    assert await sent(shop, "late") == RATE
    clock.advance(SECOND / 2)
    await shop.poll()
    assert await sent(shop, "late") == 1.5 * RATE
    for seconds in range(1, 5):
        clock.advance(SECOND)
        await shop.fresh()
        await shop.poll()
        assert await sent(shop, "late") == (1.5 + seconds) * RATE
    clock.advance(60 * SECOND)
    await shop.fresh()
    await shop.poll()
    assert await sent(shop, "late") == LATE
    assert len(await shop.published(DECISIONS)) == LATE


async def test_what_is_due_now_does_not_wait_for_the_backlog(shop: Bench, clock: Outage) -> None:
    await shop.poll()
    await crowd(shop, "fresh", 5, clock.now - timedelta(minutes=46))
    assert await sent(shop, "fresh") == 0
    await shop.poll()
    assert await sent(shop, "fresh") == 5
    assert await sent(shop, "late") == RATE


async def test_what_is_due_now_is_decided_whole_in_each_claim_before_any_of_the_backlog(shop: Bench) -> None:
    shop.settings = shop.settings.model_copy(update={"scheduler_claim": 3})
    await crowd(shop, "fresh", 5, shop.clock.now - timedelta(minutes=46))
    await shop.poller().run_once(shop.clock.now)
    assert await sent(shop, "fresh") == 3
    assert await sent(shop, "late") == 3


async def test_processes_share_one_budget(shop: Bench, clock: Outage) -> None:
    for poller in (shop.poller(), shop.poller(), shop.poller()):
        await poller.run_once(clock.now)
    assert await sent(shop, "late") == RATE


async def test_a_process_that_cannot_have_the_budget_goes_on_with_what_is_due_now(shop: Bench) -> None:
    await crowd(shop, "fresh", 5, shop.clock.now - timedelta(minutes=46))
    async with shop.pool.acquire() as connection, connection.transaction():
        await connection.execute("SELECT FROM catch_up FOR UPDATE")
        await shop.poll()
    assert (await sent(shop, "fresh"), await sent(shop, "late")) == (5, 0)


async def test_what_is_too_late_to_be_sent_is_settled_at_once_and_costs_nothing(
    shop: Bench, clock: Outage
) -> None:
    clock.advance(30 * HOUR)
    await shop.fresh()
    await shop.poll()
    assert await sent(shop, "late") == LATE
    assert {(each["verdict"], each["reason"]) for each in await shop.published(DECISIONS)} == {
        ("skip", "late")
    }


async def test_without_a_rate_everything_comes_at_once(shop: Bench) -> None:
    shop.settings = shop.settings.model_copy(update={"catch_up_per_second": 0.0})
    await shop.poll()
    assert await sent(shop, "late") == LATE
