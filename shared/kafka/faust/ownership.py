"""Whether this worker may still write for the partitions that it was given.

A tenure is one assignment by the group. Within it, a lease runs from the moment that the last acknowledged
heartbeat was sent: for the session's length the broker cannot have given the partitions to anyone else.
"""

from shared.clock import Clock, SystemClock
from shared.errors import StalePartition

_SPARE = 0.25


class Ownership:
    """Numbers tenures and keeps the lease. `session_seconds` is the group session's time-out."""

    def __init__(self, session_seconds: float, clock: Clock | None = None) -> None:
        self._session = session_seconds
        self._clock = clock or SystemClock()
        self._renewed = float("-inf")
        self.tenure = 0

    def begin(self) -> None:
        """Note that a new assignment is in force; its lease begins with a heartbeat."""
        self.tenure += 1

    def end(self) -> None:
        """Note that the assignment is over: nothing more may be written for it."""
        self.tenure += 1

    def now(self) -> float:
        """Return machine seconds, for `renew`."""
        return self._clock.monotonic()

    def renew(self, sent_at: float) -> None:
        """Note that the broker acknowledged a heartbeat that was sent at `sent_at`."""
        self._renewed = max(self._renewed, sent_at)

    def leased(self) -> bool:
        """Whether nobody else can own the partitions now."""
        return self._clock.monotonic() - self._renewed < self._session

    def expiring(self) -> bool:
        """Whether so little of the lease is left that nothing may be under way any more."""
        return self._clock.monotonic() - self._renewed > self._session * (1 - _SPARE)

    def check(self, tenure: int) -> None:
        """Raise StalePartition unless `tenure` is the present one."""
        if tenure != self.tenure:
            message = "the partitions were reassigned while the batch was in hand"
            raise StalePartition(message)
