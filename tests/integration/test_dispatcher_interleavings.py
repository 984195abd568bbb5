"""What comes late, twice, or of two minds: no order of events sends a message twice, or ends a worker."""

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest

from services.dispatcher import answers
from services.dispatcher.allowances import Allowances
from services.dispatcher.answers import Done
from services.dispatcher.domain.allowance import Rate
from services.dispatcher.domain.states import Cause
from services.dispatcher.ledger import Claimed, Ledger, Move
from services.dispatcher.providers.base import Answer, Fault, Said, Sought
from shared.clock import ManualClock
from shared.events import Channel, EngagementKind
from tests.support.dispatching import Bench, bench, going, running
from tests.support.messages import START, customer, engagement, message
from tests.support.reporting_back import (
    Scripted,
    Sendonly,
    handed,
    hearing_of,
    ledger_of,
    reconciler_of,
    said,
)

LATER = timedelta(minutes=10)
NOT_TAKEN = Answer.of(Fault.PASSING, "smtp_451")


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(START)


@pytest.fixture
async def stack(database_url: str, tmp_path: Path, clock: ManualClock) -> AsyncIterator[Bench]:
    async with bench(database_url, tmp_path, clock) as made:
        yield made


async def hand_over(stack: Bench, ledger: Ledger, provider: str = "smtp") -> Claimed:
    """Claim the one message there is, and write that it goes."""
    async with stack.pool.acquire() as connection, connection.transaction():
        (claimed,) = await ledger.claim(connection, 10)
        assert await ledger.hand_over(connection, going([claimed], provider)) == {claimed.message_id}
    return claimed


async def answer(
    stack: Bench, ledger: Ledger, claimed: Claimed, said: Answer, provider: str = "smtp"
) -> None:
    """Write what came back."""
    async with stack.pool.acquire() as connection, connection.transaction():
        await answers.write(ledger, connection, [Done(claimed, said, provider)], stack.clock.machine())


async def test_an_answer_written_again_tells_nothing_of_the_next_hand_over(
    stack: Bench, clock: ManualClock
) -> None:
    """The acknowledgement of a commit was lost; the message went again before the answer was written again."""
    event = message(1)
    await stack.take(customer(1), event)
    ledger = ledger_of(stack)
    first = await hand_over(stack, ledger)
    await answer(stack, ledger, first, NOT_TAKEN)
    clock.advance(timedelta(seconds=5))
    second = await hand_over(stack, ledger)
    for late in (NOT_TAKEN, Answer.of(Fault.OPEN, "smtp_timeout"), Answer.of(Fault.PERMANENT, "smtp_550")):
        await answer(stack, ledger, first, late)
        assert await stack.state(event) == "handed_over"
    await answer(stack, ledger, second, Answer.accepted())
    assert await stack.state(event) == "accepted"


async def test_a_late_answer_that_it_was_taken_stops_the_next_hand_over_of_the_same_worker(
    stack: Bench, clock: ManualClock
) -> None:
    event = message(1)
    await stack.take(customer(1), event)
    ledger = ledger_of(stack)
    first = await hand_over(stack, ledger)
    clock.advance(LATER)
    await stack.worker().leases.look()
    await reconciler_of(stack, Scripted(found=Answer.of(Fault.PASSING, "not_found"))).look()
    second = await hand_over(stack, ledger)
    await answer(stack, ledger, first, Answer.accepted("first"))
    await answer(stack, ledger, second, NOT_TAKEN)
    assert await stack.state(event) == "accepted"


class _Meanwhile(Scripted):
    """Says that it was not taken, while a person sends it again, and that is not answered either."""

    def __init__(self, stack: Bench, ledger: Ledger) -> None:
        super().__init__(found=Answer.of(Fault.PASSING, "not_found"))
        self._stack = stack
        self._ledger = ledger

    async def find(self, sought: Sought) -> Answer | None:
        move = Move(sought.message_id, None, None, self._stack.clock.machine())
        async with self._stack.pool.acquire() as connection, connection.transaction():
            await self._ledger.learn(connection, Cause.SENT_AGAIN, [move])
        await answer(
            self._stack,
            self._ledger,
            await hand_over(self._stack, self._ledger),
            Answer.of(Fault.OPEN, "smtp_timeout"),
        )
        return await super().find(sought)


@pytest.mark.parametrize("once", [False, True])
async def test_a_query_about_an_earlier_hand_over_tells_nothing_of_the_last(
    stack: Bench, clock: ManualClock, *, once: bool
) -> None:
    event = message(1, valid_until=START + timedelta(days=3))
    await stack.take(customer(1), event)
    await handed(stack, cause=Cause.NO_ANSWER)
    clock.advance(LATER)
    provider = _Meanwhile(stack, ledger_of(stack))
    if once:
        provider.once, provider.found = True, None
    await reconciler_of(stack, provider).look()
    assert await stack.state(event) == "unknown"


@pytest.mark.parametrize("cause", [Cause.NOT_TAKEN_YET, Cause.NOT_FOUND, Cause.SENT_AGAIN])
async def test_what_was_erased_while_unknown_does_not_come_back_to_the_queue(
    stack: Bench, clock: ManualClock, cause: Cause
) -> None:
    event, other = message(1), message(2)
    await stack.take(customer(1), customer(2), event)
    ledger = ledger_of(stack)
    await hand_over(stack, ledger)
    clock.advance(timedelta(minutes=1))
    await stack.worker().leases.look()
    await stack.erase(1)
    await reconciler_of(stack, Scripted()).look()
    async with stack.pool.acquire() as connection, connection.transaction():
        apply = ledger.move if cause is Cause.NOT_TAKEN_YET else ledger.learn
        await apply(connection, cause, [Move(event.data.message_id, next_try=clock.machine())])
    assert await stack.state(event) == "unknown"
    await stack.place(clock.machine() + timedelta(days=9))
    await stack.take(other)
    async with running([stack.worker()]):
        assert await stack.settled(other) == {"accepted": 1}


async def test_what_a_worker_claims_anew_after_its_leases_ran_out_goes_once(
    stack: Bench, clock: ManualClock
) -> None:
    """It still holds what it claimed before: the database was away for longer than a lease."""
    events = [message(1) for _ in range(3)]
    await stack.take(customer(1), *events)
    worker = stack.worker()
    await worker.sender._claim(10)  # noqa: SLF001  between two loops of one worker
    clock.advance(timedelta(minutes=1))
    await stack.worker().leases.look()
    await stack.place(clock.machine() + timedelta(days=9))
    await worker.sender.start_batch(10)
    await worker.sender.settle()
    assert await stack.settled(*events) == {"accepted": 3}
    assert sorted(stack.mailed()) == sorted(str(event.data.message_id) for event in events)


async def test_what_is_refused_but_may_have_left_is_not_taken_up_again_at_every_look(
    stack: Bench, clock: ManualClock
) -> None:
    """An opt-out meets a message that goes again under its key."""
    event = message(1, valid_until=START + timedelta(days=3))
    await stack.take(customer(1), event)
    await handed(stack, cause=Cause.NO_ANSWER)
    clock.advance(LATER)
    reconciler, ledger = reconciler_of(stack, Sendonly(once=True)), ledger_of(stack)
    assert await reconciler.look() == 1
    async with stack.pool.acquire() as connection, connection.transaction():
        await ledger.claim(connection, 10)
        await ledger.move(connection, Cause.REFUSED, [Move(event.data.message_id, "no_consent")])
    clock.advance(LATER)
    assert await reconciler.look() == 0
    clock.advance(timedelta(hours=1))
    assert await reconciler.look() == 1


async def test_an_answer_written_again_does_not_count_against_the_address_again(
    stack: Bench, clock: ManualClock
) -> None:
    soft, ledger = Answer.of(Fault.SOFT, "soft"), ledger_of(stack)
    await stack.take(customer(1))
    for _ in range(2):
        await stack.take(message(1))
        await answer(stack, ledger, await hand_over(stack, ledger), soft)
        clock.advance(timedelta(hours=1))
        last = await hand_over(stack, ledger)
        for _ in range(2):
            await answer(stack, ledger, last, soft)
    await stack.place(clock.machine() + timedelta(days=9))
    later = message(1, valid_until=START + timedelta(days=3))
    await stack.take(later)
    async with running([stack.worker()]):
        assert await stack.settled(later) == {"accepted": 1}


async def test_an_address_fails_once_for_a_message_however_much_one_call_back_says(stack: Bench) -> None:
    event = message(1)
    await stack.take(customer(1), event)
    await handed(stack, cause=Cause.TAKEN)
    soft = {"occurred_at": START, "reason": "soft", "fault": Fault.SOFT}
    reports = [said(Said.UNDELIVERED, event, **soft) for _ in range(3)]
    await hearing_of(stack).take(
        "smtp", Channel.EMAIL, [said(Said.TAKEN, event, occurred_at=START), *reports]
    )
    assert [(one.kind, one.reason) for one in await stack.told()] == [
        ("accepted", None),
        ("rejected", "soft"),
    ]


async def test_a_start_that_comes_late_does_not_lift_a_later_stop(stack: Bench, clock: ManualClock) -> None:
    former, event = message(1, Channel.SMS), message(1, Channel.SMS)
    await stack.take(customer(1), former)
    await handed(stack, "twilio", Cause.TAKEN)
    number = former.data.recipient
    clock.advance(LATER)
    await hearing_of(stack).take(
        "twilio", Channel.SMS, [said(Said.STOPPED, address=number, occurred_at=clock.machine())]
    )
    clock.advance(LATER)
    await hearing_of(stack).take(
        "twilio", Channel.SMS, [said(Said.STARTED, address=number, occurred_at=START)]
    )
    await stack.take(event)
    async with running([stack.worker()]):
        assert await stack.settled(event) == {"withheld": 1}


async def test_a_start_does_not_lift_what_was_unsubscribed_elsewhere_before_the_stop(
    stack: Bench, clock: ManualClock
) -> None:
    former, event = message(1, Channel.SMS), message(1, Channel.SMS)
    await stack.take(customer(1), former)
    await handed(stack, "twilio", Cause.TAKEN)
    clock.advance(LATER)
    opted_out = engagement(1, EngagementKind.UNSUBSCRIBED, clock.business())
    of_texts = opted_out.data.model_copy(update={"channel": Channel.SMS})
    await stack.take(opted_out.model_copy(update={"data": of_texts}))
    for what in (Said.STOPPED, Said.STARTED):
        clock.advance(LATER)
        spoken = said(what, address=former.data.recipient, occurred_at=clock.machine())
        await hearing_of(stack).take("twilio", Channel.SMS, [spoken])
    await stack.take(event)
    async with running([stack.worker()]):
        assert await stack.settled(event) == {"withheld": 1}


async def test_nobody_asks_for_a_hand_over_by_the_reference_of_an_earlier_one(
    stack: Bench, clock: ManualClock
) -> None:
    """Else what failed at first would prove time and again that the last was not taken, and each went."""
    event = message(1, Channel.SMS, valid_until=START + timedelta(days=3))
    await stack.take(customer(1), event)
    failed = Answer.of(Fault.BUSY, "twilio_30001", reference="SM1")
    provider = Scripted("twilio", Channel.SMS, found=failed)
    for _ in range(2):
        await handed(stack, "twilio", Cause.NO_ANSWER)
        clock.advance(LATER)
        await reconciler_of(stack, provider).look()
    assert [one.reference for one in provider.asked] == [None, None]


async def test_what_is_given_back_after_midnight_does_not_come_off_the_new_days_count(
    stack: Bench, clock: ManualClock
) -> None:
    rates = {"provider/smtp": Rate(per_day=10)}
    one, other = Allowances(stack.pool, clock, rates), Allowances(stack.pool, clock, rates)
    assert await one.take({"provider/smtp": 8}) == {"provider/smtp": 8}
    clock.advance(timedelta(days=1))
    assert await other.take({"provider/smtp": 10}) == {"provider/smtp": 10}
    await one.give_back({"provider/smtp": 8})
    assert await other.take({"provider/smtp": 1}) == {"provider/smtp": 0}
