"""What becomes of the unknown: queries, keys that a provider takes once, policy, and nothing by itself for an SMS."""

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest
from prometheus_client import REGISTRY

from services.dispatcher.domain.states import Cause
from services.dispatcher.ledger import Ledger, Move
from services.dispatcher.providers.base import Answer, Fault
from shared.clock import ManualClock
from shared.events import Channel, MessageRequested
from tests.support.dispatching import Bench, bench, going, running
from tests.support.messages import START, customer, message
from tests.support.reporting_back import Scripted, Sendonly, handed, ledger_of, reconciler_of

LATER = timedelta(minutes=10)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(START)


@pytest.fixture
async def stack(database_url: str, tmp_path: Path, clock: ManualClock) -> AsyncIterator[Bench]:
    async with bench(database_url, tmp_path, clock, unknown_after_hours=2) as made:
        yield made


def _gauge(age: str) -> float | None:
    return REGISTRY.get_sample_value("orderwake_ledger_unknown_messages", {"age": age})


async def unknown(
    stack: Bench, clock: ManualClock, channel: Channel = Channel.EMAIL, provider: str = "smtp"
) -> MessageRequested:
    """A message that was handed over ten minutes ago and never answered."""
    event = message(1, channel, valid_until=START + timedelta(days=3))
    await stack.take(customer(1), event)
    await handed(stack, provider, Cause.NO_ANSWER)
    clock.advance(LATER)
    await stack.place(clock.machine() + timedelta(days=9))
    return event


async def test_a_query_that_finds_it_settles_it(stack: Bench, clock: ManualClock) -> None:
    event = await unknown(stack, clock, Channel.SMS, "twilio")
    provider = Scripted("twilio", Channel.SMS, found=Answer.accepted("SM1"))
    assert await reconciler_of(stack, provider).look() == 1
    row = (await stack.states())[event.data.message_id]
    assert (row["state"], row["provider_reference"], row["emptied"]) == ("accepted", "SM1", True)
    (sought,) = provider.asked
    assert (sought.recipient, sought.handed_over_at) == (event.data.recipient, START)
    assert sought.body
    assert sought.body.endswith("Reply STOP to opt out")
    assert [one.kind for one in await stack.told()] == ["unknown", "accepted"]


async def test_what_was_certainly_not_taken_goes_again_and_once(stack: Bench, clock: ManualClock) -> None:
    event = await unknown(stack, clock)
    await reconciler_of(stack, Scripted(found=Answer.of(Fault.PASSING, "not_found"))).look()
    assert await stack.state(event) == "intended"
    async with running([stack.worker()]):
        assert await stack.settled(event) == {"accepted": 1}
    assert stack.mailed() == [str(event.data.message_id)]


async def test_a_query_that_finds_that_it_failed_ends_it(stack: Bench, clock: ManualClock) -> None:
    event = await unknown(stack, clock)
    await reconciler_of(stack, Scripted(found=Answer.of(Fault.DEAD, "bounced"))).look()
    assert await stack.state(event) == "undelivered"
    assert [one.kind for one in await stack.told()] == ["unknown", "accepted", "bounced"]
    later = message(1)
    await stack.take(later)
    async with running([stack.worker()]):
        await stack.settled(later)
    assert await stack.reason(later) == "dead_address"


async def test_nobody_is_asked_before_the_hand_over_is_old_enough(stack: Bench) -> None:
    await stack.take(customer(1), message(1))
    await handed(stack, cause=Cause.NO_ANSWER)
    provider = Scripted(found=Answer.of(Fault.PASSING, "not_found"))
    assert await reconciler_of(stack, provider).look() == 0
    assert provider.asked == []


async def test_providers_are_asked_ever_more_rarely(stack: Bench, clock: ManualClock) -> None:
    await unknown(stack, clock, Channel.SMS, "twilio")
    provider = Scripted("twilio", Channel.SMS)
    reconciler = reconciler_of(stack, provider)
    asked = []
    for minute in range(16):
        if await reconciler.look():
            asked.append(minute)
        clock.advance(timedelta(minutes=1))
    assert asked == [0, 1, 3, 7, 15]


async def test_a_provider_that_takes_an_id_once_gets_it_again_and_nobody_else_does(
    stack: Bench, clock: ManualClock
) -> None:
    event = await unknown(stack, clock, provider="resend")
    provider = Sendonly("resend", once=True)
    await reconciler_of(stack, provider).look()
    assert await stack.state(event) == "intended"
    ledger = ledger_of(stack)
    async with stack.pool.acquire() as connection, connection.transaction():
        claimed = await ledger.claim(connection, 10)
        assert [(one.provider, one.doubted) for one in claimed] == [("resend", True)]
        assert await ledger.hand_over(connection, going(claimed, "smtp")) == set()
        assert await ledger.hand_over(connection, going(claimed, "resend")) == {event.data.message_id}
        await ledger.move(connection, Cause.TAKEN, [Move(event.data.message_id)])
    assert await stack.state(event) == "accepted"


async def test_what_may_have_left_under_a_key_is_never_called_withheld(
    stack: Bench, clock: ManualClock
) -> None:
    event = await unknown(stack, clock, provider="resend")
    await reconciler_of(stack, Sendonly("resend", once=True)).look()
    ledger = ledger_of(stack)
    async with stack.pool.acquire() as connection, connection.transaction():
        await ledger.claim(connection, 10)
        await ledger.move(connection, Cause.REFUSED, [Move(event.data.message_id, "no_consent")])
    assert (await stack.state(event), await stack.reason(event)) == ("unknown", "no_consent")


async def test_a_key_is_used_no_longer_than_its_provider_remembers_it(
    stack: Bench, clock: ManualClock
) -> None:
    event = await unknown(stack, clock, provider="resend")
    reconciler = reconciler_of(stack, Sendonly("resend", once=True))
    await reconciler.look()
    clock.advance(timedelta(hours=20))
    await reconciler.look()
    assert (await stack.state(event), await stack.reason(event)) == ("unknown", "key_ran_out")
    clock.advance(timedelta(hours=2))
    await reconciler.look()
    assert await stack.state(event) == "unknown"


async def test_policy_lists_an_email_unless_resending_was_chosen(stack: Bench, clock: ManualClock) -> None:
    event = await unknown(stack, clock)
    clock.advance(timedelta(hours=3))
    await reconciler_of(stack, Sendonly()).look()
    assert await stack.state(event) == "unknown"
    stack.settings = stack.settings.model_copy(update={"unknown_email": "resend"})
    clock.advance(timedelta(hours=1))
    await reconciler_of(stack, Sendonly()).look()
    assert await stack.state(event) == "intended"


async def test_no_policy_sends_an_sms_again(stack: Bench, clock: ManualClock) -> None:
    event = await unknown(stack, clock, Channel.SMS, "twilio")
    stack.settings = stack.settings.model_copy(update={"unknown_email": "resend"})
    clock.advance(timedelta(hours=30))
    await reconciler_of(stack, Sendonly("twilio", Channel.SMS)).look()
    assert await stack.state(event) == "unknown"
    assert _gauge("older") == 1


async def test_a_worker_that_wakes_late_stops_what_was_to_go_again(stack: Bench, clock: ManualClock) -> None:
    event = message(1, valid_until=START + timedelta(days=3))
    await stack.take(customer(1), event)
    late: Ledger = ledger_of(stack)
    async with stack.pool.acquire() as connection, connection.transaction():
        await late.hand_over(connection, going(await late.claim(connection, 10)))
    clock.advance(LATER)
    await stack.worker().leases.look()
    await reconciler_of(stack, Scripted(found=Answer.of(Fault.PASSING, "not_found"))).look()
    assert await stack.state(event) == "intended"
    async with stack.pool.acquire() as connection, connection.transaction():
        await late.move(connection, Cause.TAKEN, [Move(event.data.message_id)])
    assert await stack.state(event) == "accepted"


async def test_the_address_of_an_erased_customer_leaves_an_unknown_row(
    stack: Bench, clock: ManualClock
) -> None:
    event = await unknown(stack, clock, Channel.SMS, "twilio")
    await stack.erase(1)
    provider = Scripted("twilio", Channel.SMS)
    await reconciler_of(stack, provider).look()
    row = (await stack.states())[event.data.message_id]
    assert (row["state"], row["emptied"]) == ("unknown", True)
    assert [one.recipient for one in provider.asked] == [None]
