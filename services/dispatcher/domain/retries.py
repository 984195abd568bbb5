"""After what a provider certainly did not take: how long until the next try, and how many tries there are. Machine time."""

from dataclasses import dataclass
from types import MappingProxyType
from uuid import UUID

from services.dispatcher.domain.faults import Fault, Result

ELSEWHERE_SECONDS = 0.25
"""The wait where another provider can have it at once."""


@dataclass(frozen=True, slots=True)
class Retry:
    """The first wait, doubled up to the longest; `tries` in all, None for as many as fit before the message expires."""

    first_seconds: float
    longest_seconds: float
    tries: int | None = None


_MINUTE, _HOUR = 60.0, 3600.0

RETRIES = MappingProxyType(
    {
        Fault.PASSING: Retry(0.5, _MINUTE),
        Fault.BUSY: Retry(1.0, 5 * _MINUTE),
        Fault.QUOTA: Retry(_HOUR, 2 * _HOUR),
        Fault.SENDER: Retry(_MINUTE, 10 * _MINUTE),
        Fault.SOFT: Retry(_HOUR / 2, _HOUR / 2, tries=2),
    }
)
"""Every class that is tried again; the others' first answer is the last."""

_TAKEN_BACK = frozenset({Result.NOT_TAKEN, Result.REJECTED})


def wait_before_retry(
    message_id: UUID,
    attempts: int,
    fault: Fault = Fault.PASSING,
    asked_seconds: float | None = None,
    *,
    elsewhere: bool = False,
) -> float:
    """Seconds until the try after attempt number `attempts`, spread by up to a quarter.

    What a provider asked for is the least, unless the next try is at another (`elsewhere`). The spread is a hash of message
    and attempt, so messages part company.
    """
    spread = 1 + (message_id.int + attempts * 0x9E3779B97F4A7C15) % 1009 / 1009 / 4
    if elsewhere:
        return ELSEWHERE_SECONDS * spread
    retry = RETRIES.get(fault, RETRIES[Fault.PASSING])
    doubled = min(retry.first_seconds * 2.0 ** min(max(attempts - 1, 0), 16), retry.longest_seconds)
    return max(doubled, asked_seconds or 0.0) * spread


def tried_again(result: Result, fault: Fault | None, attempts: int) -> bool:
    """Whether an answer to attempt number `attempts` is followed by another. Never after one that leaves it open."""
    if result not in _TAKEN_BACK:
        return False
    retry = RETRIES.get(fault) if fault else None
    if retry is None:
        return result is Result.NOT_TAKEN
    return retry.tries is None or attempts < retry.tries
