"""From what providers answered to what the ledger says."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from services.dispatcher.campaigns import Trip
from services.dispatcher.domain.faults import ABOUT_ADDRESSES, Fault
from services.dispatcher.domain.retries import tried_again, wait_before_retry
from services.dispatcher.domain.states import Cause
from services.dispatcher.ledger import Claimed, Ledger, Move
from services.dispatcher.people import Connection, Failure
from services.dispatcher.providers.base import Answer, Result
from shared.kafka import outbox

_CAUSE = {
    Result.ACCEPTED: Cause.TAKEN,
    Result.REJECTED: Cause.TURNED_DOWN,
    Result.NOT_TAKEN: Cause.TURNED_DOWN,
    Result.UNKNOWN: Cause.NO_ANSWER,
}


@dataclass(frozen=True, slots=True)
class Done:
    """A hand-over that came to an end.

    `elsewhere` says that another provider can have it at once, `trip` what is to be held because of the answer.
    """

    claimed: Claimed
    answer: Answer
    provider: str
    elsewhere: bool = False
    trip: Trip | None = None

    @property
    def again(self) -> bool:
        """Whether it goes again."""
        return tried_again(self.answer.result, self.answer.fault, self.claimed.attempts + 1)

    @property
    def cause(self) -> Cause:
        """What the answer does to the ledger."""
        return Cause.NOT_TAKEN_YET if self.again else _CAUSE[self.answer.result]


async def write(ledger: Ledger, connection: Connection, done: Sequence[Done], now: datetime) -> None:
    """Write answers, as at machine time `now`, what they say of addresses, and the holds that follow."""
    await outbox.put(connection, [one.trip.outgoing() for one in done if one.trip])
    moved = set()
    for cause in (Cause.TAKEN, Cause.TURNED_DOWN, Cause.NOT_TAKEN_YET, Cause.NO_ANSWER):
        moved |= await ledger.move(connection, cause, [_move(one, now) for one in done if one.cause is cause])
    failures = [
        _failure(ledger, one, fault)
        for one in done
        if (fault := one.answer.fault)
        and fault in ABOUT_ADDRESSES
        and not one.again
        and (fault is not Fault.SOFT or one.claimed.message_id in moved)  # these are counted: once a message
    ]
    if failures:
        await ledger.people.failed(connection, failures)


def _failure(ledger: Ledger, done: Done, fault: Fault) -> Failure:
    claimed, reason = done.claimed, done.answer.reason or str(fault)
    message = claimed.event.data
    shop, customer = claimed.customer
    row = {
        "message_id": claimed.message_id,
        "shop_id": shop,
        "customer_id": customer,
        "channel": message.channel,
        "provider": done.provider,
        "provider_reference": done.answer.reference,
    }
    hashed = ledger.people.hash(message.channel, message.recipient)
    return Failure(done.provider, row, hashed, fault, reason)


def _move(done: Done, now: datetime) -> Move:
    answer, claimed = done.answer, done.claimed
    next_try = None
    if done.again:
        fault = answer.fault or Fault.PASSING
        seconds = wait_before_retry(
            claimed.message_id, claimed.attempts + 1, fault, answer.retry_after, elsewhere=done.elsewhere
        )
        next_try = now + timedelta(seconds=seconds)
    attempt = None if done.cause is Cause.TAKEN else claimed.attempts + 1
    return Move(claimed.message_id, answer.reason, answer.reference, next_try, attempt)
