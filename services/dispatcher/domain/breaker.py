"""Leaving alone what fails: a provider, by its answers; a campaign, by what providers say of its content.

Seconds are machine time and only ever compared with each other.
"""

from collections import deque
from dataclasses import dataclass, field
from enum import StrEnum
from math import inf

from services.dispatcher.domain.faults import Fault, Result

LOOKS_BACK = 20
"""Answers by which a provider is judged."""
TOO_MANY = 10
"""Faults among them from which on it is left alone."""
REFUSED_IN_A_ROW = 3
"""Refusals of ourselves (`sender`) from which on it is left alone: one may be about one country, or one shop's number."""
SHORTEST_REST, LONGEST_REST = 1.0, 60.0
SENDER_REST = 60.0
QUOTA_REST = 3600.0

_FAILING = frozenset({Fault.PASSING, Fault.OPEN})
_COUNTED = frozenset({Result.ACCEPTED, Result.REJECTED})


class Condition(StrEnum):
    """What a breaker lets through: all, nothing, or one message to see whether the provider is back."""

    CLOSED = "closed"
    OPEN = "open"
    PROBING = "probing"


@dataclass
class Breaker:
    """One provider's, in one process. A definite answer, even a refusal of the message, shows that the provider works.

    What fails opens it for a second, then twice as long, up to a minute; then one message goes as a probe. A limit that was met
    (`busy`) only makes a rest of what was asked for: nothing need be tried after it.
    """

    _last: deque[bool] = field(default_factory=lambda: deque(maxlen=LOOKS_BACK))
    _refused: int = 0
    _times: int = 0
    _until: float = -inf
    _open: bool = False
    _probe: bool = False
    reason: str | None = None

    def condition(self, now: float) -> Condition:
        """What it lets through now."""
        if now < self._until:
            return Condition.OPEN
        return Condition.PROBING if self._open else Condition.CLOSED

    def room(self, now: float) -> float:
        """How many messages may go now."""
        condition = self.condition(now)
        if condition is Condition.PROBING:
            return 0 if self._probe else 1
        return inf if condition is Condition.CLOSED else 0

    def rests_for(self, now: float) -> float:
        """Seconds until something may go."""
        return max(self._until - now, 0.0)

    def begin(self, now: float) -> None:
        """A message is on its way."""
        self._probe = self._probe or self.condition(now) is Condition.PROBING

    def call_off(self) -> None:
        """A message that was to go did not."""
        self._probe = False

    def hear(
        self, result: Result, fault: Fault | None, reason: str | None, asked: float | None, now: float
    ) -> bool:
        """Note an answer; whether it opened the breaker."""
        if result in _COUNTED:
            self._works()
            return False
        if fault is Fault.BUSY:
            self._rest(now, max(asked or 0.0, self._back_off(now)), reason)
            return False
        if fault is Fault.QUOTA:
            return self._break(now, max(asked or 0.0, QUOTA_REST), reason)
        if fault is Fault.SENDER:
            self._refused += 1
            enough = self._refused >= REFUSED_IN_A_ROW or self._open
            return enough and self._break(now, max(asked or 0.0, SENDER_REST), reason)
        self._last.append(True)
        enough = self._last.count(True) >= TOO_MANY or self._open
        return enough and self._break(now, max(asked or 0.0, self._back_off(now)), reason)

    @property
    def left_alone(self) -> bool:
        """Whether it was opened by faults, and nothing has shown since that the provider works."""
        return self._open

    @property
    def first_refusal(self) -> bool:
        """Whether ourselves were refused just now, and not before since it last worked."""
        return self._refused == 1

    def _works(self) -> None:
        self._last.append(False)
        if self._open:
            self._last.clear()
        self._refused, self._times, self._open, self._probe, self.reason = 0, 0, False, False, None

    def _break(self, now: float, seconds: float, reason: str | None) -> bool:
        opened = not self._open
        self._open = True
        self._rest(now, seconds, reason)
        return opened

    def _rest(self, now: float, seconds: float, reason: str | None) -> None:
        if now >= self._until:
            self._times += 1
        self._probe, self.reason = False, reason
        self._until = max(self._until, now + seconds)

    def _back_off(self, now: float) -> float:
        """Answers to what was on its way together count once."""
        times = self._times if now >= self._until else max(self._times - 1, 0)
        return min(SHORTEST_REST * 2.0 ** min(times, 16), LONGEST_REST)


CAMPAIGN_LOOKS_BACK = 50
CAMPAIGN_REFUSALS = 10


@dataclass
class Campaign:
    """Of one shop's journey on one channel: whether providers refuse what it says (spam, policy)."""

    _last: deque[bool] = field(default_factory=lambda: deque(maxlen=CAMPAIGN_LOOKS_BACK))

    def hear(self, result: Result, fault: Fault | None) -> int | None:
        """Note an answer; how many of the last were refusals, when they become too many. Then it forgets them."""
        if result not in _COUNTED:
            return None
        self._last.append(fault is Fault.CONTENT)
        refusals = self._last.count(True)
        if fault is not Fault.CONTENT or refusals < CAMPAIGN_REFUSALS:
            return None
        self._last.clear()
        return refusals
