"""What becomes of an accepted message: the events that follow, when, and how often they are told."""

import random
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

FATES: Mapping[str, tuple[str, ...]] = {
    "delivered": ("taken", "delivered"),
    "bounced": ("taken", "bounced"),
    "soft": ("taken", "deferred", "soft"),
    "complained": ("taken", "delivered", "complained"),
    "stopped": ("taken", "delivered", "stopped"),
    "read": ("taken", "delivered", "opened", "clicked"),
    "dropped": ("dropped",),
    "silent": (),
}


@dataclass(frozen=True)
class Planned:
    """An event `after` seconds, told `times` times."""

    event: str
    after: float
    times: int


class Fates:
    """Draws the fate of each message: first those scripted, in order, then by chance; the rest is delivered.

    A fate is one of FATES, or a provider's own code (`30003`): taken, then not delivered for that reason.
    `duplicate` and `disorder` are chances, per event and per message; `delay` is the longest wait for each
    event, in seconds.
    """

    def __init__(  # noqa: PLR0913  the knobs of a fake
        self,
        rates: Mapping[str, float] | None = None,
        *,
        script: Iterable[str] = (),
        duplicate: float = 0.0,
        disorder: float = 0.0,
        delay: float = 0.0,
        seed: int = 0,
    ) -> None:
        self.script = deque(script)
        self._rates = dict(rates or {})
        self._duplicate = duplicate
        self._disorder = disorder
        self._delay = delay
        self._random = random.Random(seed)  # noqa: S311  chance here is for reproducible tests

    def plan(self, fate: str | None = None) -> list[Planned]:
        """The events that follow the next accepted message, whose fate is drawn unless it is told."""
        fate = fate or (self.script.popleft() if self.script else self._draw())
        events = FATES.get(fate, ("taken", f"undelivered:{fate}"))
        dues, due = [], 0.0
        for _ in events:
            due += self._random.random() * self._delay
            dues.append(due)
        if self._random.random() < self._disorder:
            events = events[::-1]
        return [
            Planned(event, due, 2 if self._random.random() < self._duplicate else 1)
            for event, due in zip(events, dues, strict=True)
        ]

    def _draw(self) -> str:
        draw = self._random.random()
        for name, rate in self._rates.items():
            if draw < rate:
                return name
            draw -= rate
        return "delivered"
