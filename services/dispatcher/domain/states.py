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
    UNDELIVERED = "undelivered"


class Cause(StrEnum):
    """What moved a message."""

    CLAIMED = "a worker took it under a lease"
    LEASE_RAN_OUT_BEFORE = "the lease ran out before hand-over"
    PUT_BACK = "it must wait: a pause, consent not read yet, a fault before hand-over"
    REFUSED = "the last check refused it"
    KEPT_BACK = "the last check refused it, but an earlier hand-over of it was never answered"
    HANDED_OVER = "the last check passed; written before the provider is called"
    TAKEN = "the provider took it"
    TURNED_DOWN = "the provider turned it down for good"
    NOT_TAKEN_YET = "the provider certainly did not take it, and may later"
    NO_ANSWER = "the answer was lost or leaves it open"
    LEASE_RAN_OUT_AFTER = "the lease ran out after hand-over"
    PROOF_TAKEN = "a call-back or a query proved that the provider took it"
    EVIDENCE = "a call-back or the reader proved that it arrived"
    FAILED = "a call-back or a query of its last provider says that it did not arrive"
    NOT_FOUND = "a query proved that the provider did not take it"
    SAME_KEY = "it goes to the same provider again, which takes a message's id once"
    KEY_RAN_OUT = "that provider may have forgotten the message's id"
    SENT_AGAIN = "a person, or the stated policy of e-mail, sends it again and risks a double"
    SETTLED_TAKEN = "a person settled that the provider took it"
    SETTLED_NOT_TAKEN = "a person settled that it was not taken, and is not to go"


_NOT_CERTAIN = frozenset({State.HANDED_OVER, State.UNKNOWN})
_MAY_GO = frozenset({State.INTENDED, State.CLAIMED})

TRANSITIONS = MappingProxyType(
    {
        Cause.CLAIMED: (frozenset({State.INTENDED}), State.CLAIMED),
        Cause.LEASE_RAN_OUT_BEFORE: (frozenset({State.CLAIMED}), State.INTENDED),
        Cause.PUT_BACK: (frozenset({State.CLAIMED}), State.INTENDED),
        Cause.REFUSED: (frozenset({State.CLAIMED}), State.WITHHELD),
        Cause.KEPT_BACK: (frozenset({State.CLAIMED}), State.UNKNOWN),
        Cause.HANDED_OVER: (frozenset({State.CLAIMED}), State.HANDED_OVER),
        Cause.TAKEN: (_NOT_CERTAIN, State.ACCEPTED),
        Cause.TURNED_DOWN: (_NOT_CERTAIN, State.REJECTED),
        Cause.NOT_TAKEN_YET: (_NOT_CERTAIN, State.INTENDED),
        Cause.NO_ANSWER: (frozenset({State.HANDED_OVER}), State.UNKNOWN),
        Cause.LEASE_RAN_OUT_AFTER: (frozenset({State.HANDED_OVER}), State.UNKNOWN),
        Cause.PROOF_TAKEN: (_MAY_GO | _NOT_CERTAIN, State.ACCEPTED),
        Cause.EVIDENCE: (_MAY_GO | _NOT_CERTAIN | {State.ACCEPTED, State.REJECTED}, State.CONFIRMED),
        Cause.FAILED: (_MAY_GO | _NOT_CERTAIN | {State.ACCEPTED, State.CONFIRMED}, State.UNDELIVERED),
        Cause.NOT_FOUND: (frozenset({State.UNKNOWN}), State.INTENDED),
        Cause.SAME_KEY: (frozenset({State.UNKNOWN}), State.INTENDED),
        Cause.KEY_RAN_OUT: (frozenset({State.INTENDED}), State.UNKNOWN),
        Cause.SENT_AGAIN: (frozenset({State.UNKNOWN}), State.INTENDED),
        Cause.SETTLED_TAKEN: (frozenset({State.UNKNOWN}), State.ACCEPTED),
        Cause.SETTLED_NOT_TAKEN: (frozenset({State.UNKNOWN}), State.REJECTED),
    }
)

FINAL = frozenset({State.WITHHELD, State.UNDELIVERED})
"""States that nothing leads out of."""

CERTAIN = frozenset({State.ACCEPTED, State.REJECTED, State.WITHHELD, State.CONFIRMED, State.UNDELIVERED})
"""States in which the recipient is needed no more, and leaves the row."""


def sources(cause: Cause) -> list[str]:
    """The states that `cause` may find, sorted."""
    return sorted(TRANSITIONS[cause][0])


def target(cause: Cause) -> State:
    """The state that `cause` leads to."""
    return TRANSITIONS[cause][1]
