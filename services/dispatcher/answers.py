"""From what providers answered to what the ledger says."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from services.dispatcher.domain.policy import wait_before_retry
from services.dispatcher.domain.states import Cause
from services.dispatcher.ledger import Claimed, Connection, Ledger, Move
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


async def write(ledger: Ledger, connection: Connection, done: Sequence[Done], now: datetime) -> None:
    """Write answers, as at machine time `now`, and the opt-outs among them."""
    for result, cause in _CAUSE.items():
        await ledger.move(connection, cause, [_move(one, now) for one in done if one.answer.result is result])
    for one in done:
        if one.answer.opted_out:
            channel, reason = one.claimed.event.data.channel, one.answer.reason or "opted_out"
            await ledger.suppress(connection, one.claimed.customer, channel, reason)


def _move(done: Done, now: datetime) -> Move:
    answer, claimed = done.answer, done.claimed
    next_try = None
    if answer.result is Result.NOT_TAKEN:
        seconds = wait_before_retry(claimed.message_id, claimed.attempts + 1, answer.retry_after)
        next_try = now + timedelta(seconds=seconds)
    return Move(claimed.message_id, answer.reason, answer.reference, next_try)
