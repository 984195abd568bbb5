"""What is done to dispatchers while they work: one is killed every few seconds, the broker and the database once in a while."""

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from itertools import cycle

from tests.support.dispatcher_world import Victim, World


class Mayhem:
    """Kills in turn, every `seconds`; each is started again at once. `killed` counts by what it was."""

    def __init__(self, world: World, seconds: float, say: Callable[[str], None]) -> None:
        self.killed: Counter[str] = Counter()
        self._world = world
        self._seconds = seconds
        self._say = say
        turn: Sequence[tuple[str, Victim]] = [(each.name, each) for each in world.dispatchers]
        self._victims = cycle([*turn, ("postgres", world.postgres), *turn, ("kafka", world.kafka)])

    async def run(self) -> None:
        """Kill until cancelled. A server's death does not spare the dispatchers: one of them dies with it."""
        dispatchers = cycle(self._world.dispatchers)
        while True:
            await asyncio.sleep(self._seconds)
            name, victim = next(self._victims)
            if name in ("postgres", "kafka"):
                self._kill(name, victim)
                unlucky = next(dispatchers)
                name, victim = unlucky.name, unlucky
            self._kill(name, victim)

    def _kill(self, name: str, victim: Victim) -> None:
        victim.kill()
        victim.start()
        self.killed[name.partition("-")[0]] += 1
        self._say(f"killed {name}")
