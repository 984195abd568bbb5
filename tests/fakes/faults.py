"""Which request meets which fault: first those scripted, in order, then by chance, from a seed."""

import random
from collections import deque
from collections.abc import Iterable, Mapping


class Faults:
    """Names of faults. `script` is used up first (None: no fault); `rates` are chances between 0 and 1."""

    def __init__(
        self, script: Iterable[str | None] = (), rates: Mapping[str, float] | None = None, seed: int = 0
    ) -> None:
        self.script = deque(script)
        self._rates = dict(rates or {})
        self._random = random.Random(seed)  # noqa: S311  chance here is for reproducible tests

    def take(self) -> str | None:
        """The fault that the next request meets, if any."""
        if self.script:
            return self.script.popleft()
        draw = self._random.random()
        for name, rate in self._rates.items():
            if draw < rate:
                return name
            draw -= rate
        return None


def parse(options: Iterable[str], known: Iterable[str]) -> dict[str, float]:
    """Rates from `NAME=RATE` options. Raises ValueError on a name that is not among `known`."""
    rates = {}
    for option in options:
        name, _, rate = option.partition("=")
        if name not in known:
            message = f"{name} is no fault; known are {', '.join(known)}"
            raise ValueError(message)
        rates[name] = float(rate or 1)
    return rates
