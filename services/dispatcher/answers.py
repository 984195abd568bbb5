"""From what providers answered to what the ledger says."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from services.dispatcher.domain.faults import ABOUT_ADDRESSES, Fault
from services.dispatcher.domain.policy import wait_before_retry
from services.dispatcher.domain.states import Cause
from services.dispatcher.ledger import Claimed, Connection, Ledger, Move
from services.dispatcher.people import Failure
from services.dispatcher.providers.base import Answer, Result

_CAUSE = {
    Result.ACCEPTED: Cause.TAKEN,
    Result.REJECTED: Cause.TURNED_DOWN,
    Result.NOT_TAKEN: Cause.NOT_TAKEN_YET,
    Result.UNKNOWN: Cause.NO_ANSWER,
}


@dataclass(frozen=True, slots=True)
class Done:
    """A hand-over that came to an end."""

    claimed: Claimed
    answer: Answer
    provider: str


async def write(ledger: Ledger, connection: Connection, done: Sequence[Done], now: datetime) -> None:
    """Write answers, as at machine time `now`, and what they say of addresses."""
    for result, cause in _CAUSE.items():
        await ledger.move(connection, cause, [_move(one, now) for one in done if one.answer.result is result])
    failures = [
        _failure(ledger, one, fault)
        for one in done
        if (fault := one.answer.fault) and fault in ABOUT_ADDRESSES
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
    if answer.result is Result.NOT_TAKEN:
        seconds = wait_before_retry(claimed.message_id, claimed.attempts + 1, answer.retry_after)
        next_try = now + timedelta(seconds=seconds)
    return Move(claimed.message_id, answer.reason, answer.reference, next_try)
