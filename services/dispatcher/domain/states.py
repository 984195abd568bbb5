"""The ledger's states and the only ways between them. docs/ledger.md shows the same; a test compares."""

from enum import StrEnum
from types import MappingProxyType


class State(StrEnum):
    """Where a message stands."""

    INTENDED = "intended"
    CLAIMED = "claimed"
    HANDED_OVER = "handed_over"
    ACCEPTED = "accepted"
    REJECTED = "rejected"
    WITHHELD = "withheld"
    UNKNOWN = "unknown"
    CONFIRMED = "confirmed"


class Cause(StrEnum):
    """What moved a message."""

    CLAIMED = "a worker took it under a lease"
    LEASE_RAN_OUT_BEFORE = "the lease ran out before hand-over"
    PUT_BACK = "it must wait: a pause, consent not read yet, a fault before hand-over"
    REFUSED = "the last check refused it"
    HANDED_OVER = "the last check passed; written before the provider is called"
    TAKEN = "the provider took it"
    TURNED_DOWN = "the provider turned it down for good"
    NOT_TAKEN_YET = "the provider certainly did not take it, and may later"
    NO_ANSWER = "the answer was lost or leaves it open"
    LEASE_RAN_OUT_AFTER = "the lease ran out after hand-over"
    EVIDENCE = "a call-back or the reader proved that it arrived"


TRANSITIONS = MappingProxyType(
    {
        Cause.CLAIMED: (frozenset({State.INTENDED}), State.CLAIMED),
        Cause.LEASE_RAN_OUT_BEFORE: (frozenset({State.CLAIMED}), State.INTENDED),
        Cause.PUT_BACK: (frozenset({State.CLAIMED}), State.INTENDED),
        Cause.REFUSED: (frozenset({State.CLAIMED}), State.WITHHELD),
        Cause.HANDED_OVER: (frozenset({State.CLAIMED}), State.HANDED_OVER),
        Cause.TAKEN: (frozenset({State.HANDED_OVER, State.UNKNOWN}), State.ACCEPTED),
        Cause.TURNED_DOWN: (frozenset({State.HANDED_OVER, State.UNKNOWN}), State.REJECTED),
        Cause.NOT_TAKEN_YET: (frozenset({State.HANDED_OVER, State.UNKNOWN}), State.INTENDED),
        Cause.NO_ANSWER: (frozenset({State.HANDED_OVER}), State.UNKNOWN),
        Cause.LEASE_RAN_OUT_AFTER: (frozenset({State.HANDED_OVER}), State.UNKNOWN),
        Cause.EVIDENCE: (frozenset({State.HANDED_OVER, State.UNKNOWN, State.ACCEPTED}), State.CONFIRMED),
    }
)

FINAL = frozenset({State.REJECTED, State.WITHHELD, State.CONFIRMED})


def sources(cause: Cause) -> list[str]:
    """The states that `cause` may find, sorted."""
    return sorted(TRANSITIONS[cause][0])


def target(cause: Cause) -> State:
    """The state that `cause` leads to."""
    return TRANSITIONS[cause][1]
