"""Classes of error, and what each means for a message: the tables of the providers' codes lead here.

The whole of exactly-once hangs on the difference between `not_taken` (certainly not accepted, so it may be handed over
again) and `unknown`.
"""

from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType


class Result(StrEnum):
    """What became of a hand-over."""

    ACCEPTED = "accepted"
    REJECTED = "rejected"
    NOT_TAKEN = "not_taken"
    UNKNOWN = "unknown"


class Fault(StrEnum):
    """Why a hand-over did not end in acceptance, or a message accepted did not arrive."""

    PASSING = "passing"
    """Certainly not taken; try again soon."""
    BUSY = "busy"
    """A limit on rate or concurrency: never processed; wait as asked."""
    QUOTA = "quota"
    """The day's quota is used up: never processed; wait for the next day."""
    SENDER = "sender"
    """Account, credentials, sender or region: ours to mend, no message is to blame."""
    CONTENT = "content"
    """This content will be refused again: spam filters, policy, malformed."""
    PERMANENT = "permanent"
    """This message will be refused again; it tells nothing of the address or of others."""
    DEAD = "dead"
    """The address does not exist, or cannot take such messages."""
    STOPPED = "stopped"
    """The recipient told the provider to stop."""
    SOFT = "soft"
    """The recipient could not be reached this time; after several in a row the address counts as dead."""
    OPEN = "open"
    """Nobody can say whether it was taken."""


@dataclass(frozen=True, slots=True)
class Treatment:
    """What follows from a class: the hand-over's result, and the least wait before another try (machine seconds)."""

    result: Result
    wait_seconds: float | None = None


_MINUTE, _HOUR = 60.0, 3600.0

TREATMENTS = MappingProxyType(
    {
        Fault.PASSING: Treatment(Result.NOT_TAKEN),
        Fault.BUSY: Treatment(Result.NOT_TAKEN, 1.0),
        Fault.QUOTA: Treatment(Result.NOT_TAKEN, _HOUR),
        Fault.SENDER: Treatment(Result.NOT_TAKEN, _MINUTE),
        Fault.CONTENT: Treatment(Result.REJECTED),
        Fault.PERMANENT: Treatment(Result.REJECTED),
        Fault.DEAD: Treatment(Result.REJECTED),
        Fault.STOPPED: Treatment(Result.REJECTED),
        Fault.SOFT: Treatment(Result.REJECTED),
        Fault.OPEN: Treatment(Result.UNKNOWN),
    }
)

ABOUT_ADDRESSES = frozenset({Fault.DEAD, Fault.STOPPED, Fault.SOFT})
"""Classes that say something of the address, whatever the message."""
