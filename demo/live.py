"""The live week: events come at their business time, readers react to what they receive, until business time stops."""

import asyncio
import heapq
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

import aiohttp
from aiokafka import AIOKafkaProducer

from demo import generate, load
from demo.generate import Person
from demo.grocer import SHOP as GROCER
from demo.receivers import Received
from shared.clock import FileClock, Scale
from shared.events import Event

_TICK_SECONDS = 0.1
_ASKING = b"/a/"  # the path of the links that answer


def stand_still(path: Path, at: datetime) -> None:
    """Write a business time that stands at `at`."""
    _write(path, Scale(at, at + timedelta(days=365_000), 1.0, at))


def start_time(path: Path, clock: FileClock, speed: float, origin: datetime, stop: datetime) -> Scale:
    """Let business time run from now on; returns the scale."""
    scale = Scale(origin, clock.machine(), speed, stop)
    _write(path, scale)
    return scale


def _write(path: Path, scale: Scale) -> None:
    fresh = path.with_suffix(".new")
    fresh.write_text(str(scale))
    fresh.replace(path)


@dataclass
class Week:
    """Sends `events` (in order of time) and reactions when their business time comes. `sent` counts them by kind."""

    seed: int
    clock: FileClock
    stop: datetime
    received: Received
    producer: AIOKafkaProducer
    session: aiohttp.ClientSession
    ingest_url: str
    people: dict[tuple[str, str], Person]
    events: Sequence[Event]
    sent: Counter[str] = field(default_factory=Counter)
    _reactions: list[tuple[datetime, str, Event]] = field(default_factory=list)
    _position: int = 0

    async def run(self, show: Callable[[], None]) -> None:
        """Send events and reactions until business time has stopped."""
        while not await self.tick():
            show()
            await asyncio.sleep(_TICK_SECONDS)
        show()

    async def tick(self) -> bool:
        """Send what has come due since the last tick; returns whether business time has reached its end."""
        now = self.clock.business()
        until = self._position
        while until < len(self.events) and self.events[until].time <= now:
            until += 1
        await self._send([*self.events[self._position : until], *self._due_reactions(now)])
        self._position = until
        return now >= self.stop

    def _due_reactions(self, now: datetime) -> list[Event]:
        for entry in self.received.look():
            if entry["channel"] == "email":
                self._react(entry["recipient"], entry["message_id"], Path(entry["path"]), now)
        ready = []
        while self._reactions and self._reactions[0][0] <= now:
            ready.append(heapq.heappop(self._reactions)[2])
        return ready

    def _react(self, recipient: str, message_id: str, mail: Path, now: datetime) -> None:
        customer, _, host = recipient.partition("@")
        who = self.people.get((host.partition(".")[0], customer))
        if who is None:
            return
        for event in generate.reactions(
            self.seed, who, message_id, asked=_ASKING in mail.read_bytes(), at=now
        ):
            if event.time < self.stop:
                heapq.heappush(self._reactions, (event.time, event.id, event))

    async def _send(self, events: Sequence[Event]) -> None:
        by_http = [event for event in events if event.shopid != GROCER]
        by_kafka = [event for event in events if event.shopid == GROCER]
        if by_http:
            await load.post(self.session, self.ingest_url, by_http)
        if by_kafka:
            await load.produce(self.producer, by_kafka, lambda _: None)
        self.sent.update(type(event).__name__.removesuffix("Recorded").lower() for event in events)
