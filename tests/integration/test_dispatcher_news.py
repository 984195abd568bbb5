"""Nothing is sent by news of consent that is old."""

from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from services.dispatcher.compose import Composer
from services.dispatcher.domain.policy import Withheld
from services.dispatcher.ledger import Claimed
from services.dispatcher.providers.base import Parcel
from shared.clock import ManualClock
from shared.events import EngagementKind
from shared.topics import CUSTOMERS, ENGAGEMENT
from tests.support.dispatching import Bench, bench, running
from tests.support.messages import START, customer, engagement, message

LATE = timedelta(seconds=6)


@pytest.fixture
def moved() -> ManualClock:
    return ManualClock(START)


@pytest.fixture
async def stack(database_url: str, tmp_path: Path, moved: ManualClock) -> AsyncIterator[Bench]:
    async with bench(database_url, tmp_path, moved) as made:
        yield made


@pytest.mark.parametrize("topic", [CUSTOMERS.name, ENGAGEMENT.name])
@pytest.mark.parametrize(
    ("observed_at", "behind_since"),
    [(START - LATE, None), (START, START - LATE), (START - timedelta(hours=2), None)],
)
async def test_one_silent_or_lagging_partition_holds_every_message_until_it_is_read(
    stack: Bench, topic: str, observed_at: datetime, behind_since: datetime | None
) -> None:
    event = message(1)
    await stack.take(customer(1), event)
    await stack.place(observed_at, behind_since, topics=[topic], partitions=[1])
    worker = stack.worker()
    assert await worker.sender.start_batch(10) == 0
    assert await stack.state(event) == "intended"
    await stack.take(engagement(1, EngagementKind.UNSUBSCRIBED, START))
    await stack.place(START)
    async with running([worker]):
        assert await stack.settled(event) == {"withheld": 1}
    assert stack.mailed() == []


async def test_a_partition_that_lags_for_a_moment_holds_nothing(stack: Bench) -> None:
    event = message(1)
    await stack.take(customer(1), event)
    await stack.place(START, START - timedelta(seconds=1))
    async with running([stack.worker()]):
        assert await stack.settled(event) == {"accepted": 1}


async def test_nothing_leaves_before_any_partition_is_known(stack: Bench) -> None:
    await stack.forget_positions()
    await stack.take(customer(1), message(1))
    assert await stack.worker().sender.start_batch(10) == 0
    await stack.place(START, topics=[CUSTOMERS.name])
    assert await stack.worker().sender.start_batch(10) == 0


async def test_news_that_grows_old_after_the_claim_holds_too(stack: Bench, moved: ManualClock) -> None:
    event = message(1)
    await stack.take(customer(1), event)
    await stack.place(START)
    compose = Composer(stack.settings, moved).parcel

    def slow(claimed: Claimed) -> Parcel | Withheld:
        moved.advance(LATE)
        return compose(claimed)

    assert await stack.worker(slow).sender.start_batch(10) == 1
    assert (await stack.state(event), await stack.reason(event)) == ("intended", "news_stale")


async def test_consent_that_is_not_read_is_looked_for_ever_more_rarely(
    stack: Bench, moved: ManualClock
) -> None:
    await stack.take(message(1))
    sender = stack.worker().sender
    for seconds in (0.25, 0.5, 1, 2, 4, 8, 16, 30, 30):
        assert await sender.start_batch(10) == 1
        moved.advance(timedelta(seconds=seconds, milliseconds=-1))
        assert await sender.start_batch(10) == 0
        moved.advance(timedelta(milliseconds=1))
