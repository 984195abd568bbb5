"""Only leases say whether another worker lives."""

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest

from shared.clock import ManualClock
from tests.support.dispatching import Bench, bench, going, running
from tests.support.messages import START, customer, message
from tests.support.waiting import eventually


@pytest.fixture
def moved() -> ManualClock:
    return ManualClock(START)


@pytest.fixture
async def still(database_url: str, tmp_path: Path, moved: ManualClock) -> AsyncIterator[Bench]:
    async with bench(database_url, tmp_path, moved) as made:
        yield made


async def test_a_claim_whose_worker_died_goes_back_and_is_sent_once(still: Bench, moved: ManualClock) -> None:
    event = message(1)
    await still.take(customer(1), event)
    dead, heir = still.worker(), still.worker()
    async with still.pool.acquire() as connection, connection.transaction():
        assert len(await dead.ledger.claim(connection, 10)) == 1
    await heir.leases.look()
    assert await still.state(event) == "claimed"
    moved.advance(timedelta(seconds=still.settings.dispatcher_lease_seconds + 1))
    await heir.leases.look()
    assert await still.state(event) == "intended"
    async with running([heir]):
        assert await still.settled(event) == {"accepted": 1}


async def test_a_hand_over_whose_worker_died_is_unknown_and_never_sent_again(
    still: Bench, moved: ManualClock
) -> None:
    event, later = message(1), message(1)
    await still.take(customer(1), event)
    dead, heir = still.worker(), still.worker()
    async with still.pool.acquire() as connection, connection.transaction():
        await dead.ledger.hand_over(connection, going(await dead.ledger.claim(connection, 10)))
    moved.advance(timedelta(seconds=still.settings.dispatcher_lease_seconds + 1))
    await heir.leases.look()
    assert await still.state(event) == "unknown"
    await still.take(later)
    async with running([heir]):
        await still.settled(later)
    assert still.mailed() == [str(later.data.message_id)]


async def test_a_slow_provider_does_not_cost_a_live_worker_its_rows(still: Bench, moved: ManualClock) -> None:
    still.smtp.gate.clear()
    event = message(1)
    await still.take(customer(1), event)
    slow, other = still.worker(), still.worker()
    async with running([slow]):
        await eventually(lambda: still.smtp.waiting == 1, what="the content to reach the server")
        for _ in range(4):
            moved.advance(timedelta(seconds=still.settings.dispatcher_lease_seconds * 0.6))
            await slow.leases.look()
            await other.leases.look()
        assert await still.state(event) == "handed_over"
        still.smtp.gate.set()
        assert await still.settled(event) == {"accepted": 1}


async def test_an_answer_that_comes_after_the_lease_still_counts(still: Bench, moved: ManualClock) -> None:
    still.smtp.gate.clear()
    event = message(1)
    await still.take(customer(1), event)
    slow, other = still.worker(), still.worker()
    async with running([slow]):
        await eventually(lambda: still.smtp.waiting == 1, what="the content to reach the server")
        moved.advance(timedelta(seconds=still.settings.dispatcher_lease_seconds + 1))
        await other.leases.look()
        assert await still.state(event) == "unknown"
        still.smtp.gate.set()

        async def accepted() -> bool:
            return await still.state(event) == "accepted"

        await eventually(accepted)
    assert [one.kind for one in await still.told()] == ["unknown", "accepted"]


async def test_a_worker_that_lost_its_claim_cannot_hand_over(still: Bench, moved: ManualClock) -> None:
    event = message(1)
    await still.take(customer(1), event)
    late, heir = still.worker(), still.worker()
    async with still.pool.acquire() as connection, connection.transaction():
        lost = await late.ledger.claim(connection, 10)
    moved.advance(timedelta(seconds=still.settings.dispatcher_lease_seconds + 1))
    await heir.leases.look()
    async with still.pool.acquire() as connection, connection.transaction():
        held = await heir.ledger.claim(connection, 10)
        assert await late.ledger.hand_over(connection, going(lost)) == set()
        assert await heir.ledger.hand_over(connection, going(held)) == {event.data.message_id}


async def test_what_was_written_as_handed_over_by_a_broken_commit_may_go_again(still: Bench) -> None:
    event = message(1)
    await still.take(customer(1), event)
    worker = still.worker()
    async with still.pool.acquire() as connection, connection.transaction():
        await worker.ledger.hand_over(connection, going(await worker.ledger.claim(connection, 10)))
        await worker.ledger.let_go(connection, worker.sender.holding())
    assert await still.state(event) == "intended"
