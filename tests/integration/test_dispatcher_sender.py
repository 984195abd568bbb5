"""From the ledger through the sender to what the far end received, on real PostgreSQL, SMTP and HTTP."""

from collections import Counter
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest

from services.dispatcher.domain.policy import Switch
from shared.clock import ManualClock
from shared.events import Channel, Control, EngagementKind, MessageRequested
from tests.support.dispatching import (
    START,
    Bench,
    StandingClock,
    bench,
    customer,
    engagement,
    message,
    running,
)
from tests.support.waiting import eventually


@pytest.fixture
def clock() -> StandingClock:
    return StandingClock()


@pytest.fixture
async def stack(database_url: str, tmp_path: Path, clock: StandingClock) -> AsyncIterator[Bench]:
    async with bench(database_url, tmp_path, clock) as made:
        yield made


async def _settled(stack: Bench, *events: MessageRequested) -> Counter[str]:
    async def done() -> bool:
        rows = await stack.states()
        return all(
            rows[event.data.message_id]["state"] not in ("intended", "claimed", "handed_over")
            for event in events
        )

    await eventually(done, what="every message to be settled")
    rows = await stack.states()
    return Counter(rows[event.data.message_id]["state"] for event in events)


async def test_every_message_arrives_once_and_is_told(stack: Bench) -> None:
    mails = [message(number) for number in range(60)]
    texts = [message(100 + number, Channel.SMS) for number in range(20)]
    people = [customer(number) for number in (*range(60), *range(100, 120))]
    await stack.take(*people, *mails, *texts)
    async with running([stack.worker(), stack.worker()]):
        assert await _settled(stack, *mails, *texts) == {"accepted": 80}
    assert Counter(stack.mailed()) == Counter(str(event.data.message_id) for event in mails)
    assert Counter(entry["k"] for entry in stack.twilio.received()) == Counter(
        str(event.data.message_id) for event in texts
    )
    told = await stack.told()
    assert Counter((one.kind, one.channel) for one in told) == {
        ("accepted", "email"): 60,
        ("accepted", "sms"): 20,
    }
    assert all(row["emptied"] for row in (await stack.states()).values())


async def test_the_same_message_again_changes_nothing(stack: Bench) -> None:
    event = message(1)
    await stack.take(customer(1), event, event)
    async with running([stack.worker()]):
        await _settled(stack, event)
        await stack.take(event)
        later = message(1)
        await stack.take(later)
        await _settled(stack, later)
    assert len(stack.mailed()) == 2


async def test_an_opt_out_between_decision_and_hand_over_wins(stack: Bench, clock: StandingClock) -> None:
    withdrawn, unsubscribed = message(1), message(2)
    await stack.take(customer(1), customer(2), withdrawn, unsubscribed)
    clock.now += timedelta(minutes=5)
    await stack.take(
        customer(1, 2, granted=False, at=clock.now), engagement(2, EngagementKind.UNSUBSCRIBED, clock.now)
    )
    async with running([stack.worker()]):
        assert await _settled(stack, withdrawn, unsubscribed) == {"withheld": 2}
    assert stack.mailed() == []
    assert [(one.kind, one.reason) for one in await stack.told()] == [("withheld", "no_consent")] * 2


async def test_consent_given_after_an_opt_out_counts_again(stack: Bench, clock: StandingClock) -> None:
    await stack.take(customer(1), engagement(1, EngagementKind.UNSUBSCRIBED, START))
    clock.now += timedelta(minutes=5)
    event = message(1)
    await stack.take(customer(1, 2, at=clock.now), event)
    async with running([stack.worker()]):
        assert await _settled(stack, event) == {"accepted": 1}


async def test_an_older_version_of_a_customer_is_ignored(stack: Bench) -> None:
    event = message(1)
    await stack.take(customer(1, 5, granted=False))
    await stack.take(customer(1, 4), event)
    async with running([stack.worker()]):
        assert await _settled(stack, event) == {"withheld": 1}


async def test_a_message_waits_until_its_customer_has_been_read(stack: Bench) -> None:
    event = message(1)
    await stack.take(event)
    async with running([stack.worker()]):

        async def held() -> bool:
            return await stack.reason(event) == "consent_not_read"

        await eventually(held)
        await stack.take(customer(1))
        assert await _settled(stack, event) == {"accepted": 1}


async def test_a_message_past_its_validity_is_withheld(stack: Bench, clock: StandingClock) -> None:
    event = message(1)
    await stack.take(customer(1), event)
    clock.now += timedelta(days=1, seconds=1)
    async with running([stack.worker()]):
        assert await _settled(stack, event) == {"withheld": 1}
    assert [one.reason for one in await stack.told()] == ["expired"]


async def test_a_pause_holds_and_its_end_lets_go(stack: Bench) -> None:
    event = message(1)
    control = Control(action="pause", journey="skincare", set_at=START, set_by="sre", why="test")
    stack.switches.append(Switch("skincare", control))
    await stack.take(customer(1), event)
    async with running([stack.worker()]):

        async def held() -> bool:
            return await stack.reason(event) == "paused"

        await eventually(held)
        assert stack.mailed() == []
        stack.switches.clear()
        assert await _settled(stack, event) == {"accepted": 1}


@pytest.mark.parametrize("fault", ["4xx", "data_4xx", "drop_before"])
async def test_what_the_server_certainly_did_not_take_goes_again(stack: Bench, fault: str) -> None:
    stack.smtp.faults.script.append(fault)
    event = message(1)
    await stack.take(customer(1), event)
    async with running([stack.worker()]):
        assert await _settled(stack, event) == {"accepted": 1}
    assert stack.mailed() == [str(event.data.message_id)]
    assert (await stack.states())[event.data.message_id]["attempts"] == 2


@pytest.mark.parametrize(("fault", "received"), [("drop_taken", 1), ("drop_lost", 0)])
async def test_a_connection_lost_after_the_content_is_unknown_and_not_sent_again(
    stack: Bench, fault: str, received: int
) -> None:
    stack.smtp.faults.script.append(fault)
    event, later = message(1), message(1)
    await stack.take(customer(1), event)
    async with running([stack.worker()]):
        assert await _settled(stack, event) == {"unknown": 1}
        await stack.take(later)
        await _settled(stack, later)
    assert stack.mailed().count(str(event.data.message_id)) == received
    assert [one.kind for one in await stack.told()] == ["unknown", "accepted"]


async def test_a_permanent_refusal_is_told_with_its_code(stack: Bench) -> None:
    stack.smtp.faults.script.append("5xx")
    event = message(1)
    await stack.take(customer(1), event)
    async with running([stack.worker()]):
        assert await _settled(stack, event) == {"rejected": 1}
    assert [(one.kind, one.reason, one.provider) for one in await stack.told()] == [
        ("rejected", "smtp_550", "smtp")
    ]


async def test_a_stop_that_the_sms_provider_knows_suppresses_the_channel(stack: Bench) -> None:
    stack.twilio.faults.script.append("21610")
    first, second, mail = message(1, Channel.SMS), message(1, Channel.SMS), message(1)
    await stack.take(customer(1), first)
    async with running([stack.worker()]):
        assert await _settled(stack, first) == {"rejected": 1}
        await stack.take(second, mail)
        await _settled(stack, second, mail)
    assert await stack.state(second) == "withheld"
    assert await stack.state(mail) == "accepted"
    kinds = Counter(one.kind for one in await stack.told())
    assert kinds == {"rejected": 1, "unsubscribed": 1, "withheld": 1, "accepted": 1}


async def test_a_template_that_is_missing_withholds_the_message(stack: Bench) -> None:
    event = message(1, template="skincare/no-such-thing")
    await stack.take(customer(1), event)
    async with running([stack.worker()]):
        assert await _settled(stack, event) == {"withheld": 1}
    assert [one.reason for one in await stack.told()] == ["unrenderable"]


async def test_no_address_is_ever_logged(stack: Bench, capfd: pytest.CaptureFixture[str]) -> None:
    stack.smtp.faults.script.extend(["4xx", "5xx", "drop_taken", "drop_before", None])
    events = [message(number) for number in range(6)]
    odd = message(7, recipient="not an address someone7")
    texts = [message(20, Channel.SMS)]
    await stack.take(*(customer(number) for number in (*range(8), 20)), *events, odd, *texts)
    async with running([stack.worker()]):
        await _settled(stack, *events, odd, *texts)
    logged = "".join(capfd.readouterr())
    assert "example.com" not in logged
    assert "someone" not in logged
    assert "+1555" not in logged
    assert "Ana" not in logged


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
        assert await _settled(still, event) == {"accepted": 1}


async def test_a_hand_over_whose_worker_died_is_unknown_and_never_sent_again(
    still: Bench, moved: ManualClock
) -> None:
    event, later = message(1), message(1)
    await still.take(customer(1), event)
    dead, heir = still.worker(), still.worker()
    async with still.pool.acquire() as connection, connection.transaction():
        await dead.ledger.claim(connection, 10)
        await dead.ledger.hand_over(connection, {event.data.message_id: "smtp"})
    moved.advance(timedelta(seconds=still.settings.dispatcher_lease_seconds + 1))
    await heir.leases.look()
    assert await still.state(event) == "unknown"
    await still.take(later)
    async with running([heir]):
        await _settled(still, later)
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
        assert await _settled(still, event) == {"accepted": 1}


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
        await late.ledger.claim(connection, 10)
    moved.advance(timedelta(seconds=still.settings.dispatcher_lease_seconds + 1))
    await heir.leases.look()
    async with still.pool.acquire() as connection, connection.transaction():
        await heir.ledger.claim(connection, 10)
        assert await late.ledger.hand_over(connection, {event.data.message_id: "smtp"}) == set()
        assert await heir.ledger.hand_over(connection, {event.data.message_id: "smtp"}) == {
            event.data.message_id
        }


async def test_what_was_written_as_handed_over_by_a_broken_commit_may_go_again(still: Bench) -> None:
    event = message(1)
    await still.take(customer(1), event)
    worker = still.worker()
    async with still.pool.acquire() as connection, connection.transaction():
        await worker.ledger.claim(connection, 10)
        await worker.ledger.hand_over(connection, {event.data.message_id: "smtp"})
        await worker.ledger.let_go(connection, worker.sender.holding())
    assert await still.state(event) == "intended"


async def test_proof_of_arrival_confirms_an_unknown_message(stack: Bench) -> None:
    stack.smtp.faults.script.append("drop_taken")
    event = message(1)
    await stack.take(customer(1), event)
    async with running([stack.worker()]):
        await _settled(stack, event)
    await stack.take(engagement(1, EngagementKind.OPENED, START, event.data.message_id))
    assert await stack.state(event) == "confirmed"
    assert [one.kind for one in await stack.told()] == ["unknown", "accepted"]
