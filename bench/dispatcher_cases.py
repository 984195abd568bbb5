"""Rounds of the service and of the bare loop in turn, against the same far end, on the same messages."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

import asyncpg

from bench.dispatcher_crew import Place, run
from bench.dispatcher_far import Far
from bench.dispatcher_mail import messages
from bench.scheduler_worker import Told
from bench.service import Bar
from services.dispatcher import app
from shared.db import create_pool, load_queries
from shared.events import Event
from shared.ids import partition_key
from shared.kafka.producer import make_producer
from shared.topics import MESSAGES, Topic

queries = load_queries(Path(__file__).with_name("dispatcher.sql"))

Start = Callable[[], AbstractContextManager[Far]]
_CHUNK = 10_000


@dataclass(frozen=True)
class Terms:
    """How much of it: messages a round, rounds, products in a mail."""

    messages: int
    rounds: int
    products: int


@dataclass
class Turns:
    """What one side took in each round."""

    seconds: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)

    def note(self, told: Told) -> None:
        """Add a round."""
        self.seconds.append(told["seconds"])
        self.cpu.append(told["cpu"])


async def beside(name: str, place: Place, start: Start, terms: Terms) -> dict[str, float]:
    """Rates of both sides, and what the service takes as a multiple of the bare loop, by rounds, at the median."""
    ours, bare = Turns(), Turns()
    bar = Bar(f"{name}: ours and bare", 2 * terms.rounds * terms.messages)
    for turn in range(terms.rounds):
        sides = [("ours", ours), ("bare", bare)]
        for side, turns in sides if turn % 2 == 0 else reversed(sides):
            turns.note(await once(side, place, start, terms))
            bar.show((len(ours.seconds) + len(bare.seconds)) * terms.messages)
    return {
        f"{name}_per_second": terms.messages / median(ours.seconds),
        f"{name}_bare_per_second": terms.messages / median(bare.seconds),
        f"ratio_bare_{name}": median(a / b for a, b in zip(ours.seconds, bare.seconds, strict=True)),
        f"ratio_bare_{name}_cpu": median(a / b for a, b in zip(ours.cpu, bare.cpu, strict=True)),
        f"{name}_cpu_us_each": median(ours.cpu) / terms.messages * 1e6,
        f"{name}_bare_cpu_us_each": median(bare.cpu) / terms.messages * 1e6,
    }


async def drain(name: str, place: Place, start: Start, terms: Terms) -> dict[str, float]:
    """Drain a queue, and tell how the memory went."""
    Bar(f"drain {terms.messages:,} over {name}", 1).show(0)
    told = await once("ours", place, start, terms)
    return {
        "drained": terms.messages,
        "drain_per_second": terms.messages / told["seconds"],
        "drain_peak_mb": told["peak_mb"],
        "drain_early_mb": told["early_mb"],
        "drain_late_mb": told["late_mb"],
        "drain_memory_growth": told["late_mb"] / told["early_mb"],
    }


async def once(side: str, place: Place, start: Start, terms: Terms) -> Told:
    """One side, once. Raises RuntimeError unless the far end has taken each message, and as often as it was accepted."""
    pool = await create_pool(place.settings, app.NAME, size=2)
    try:
        await _settle(pool)
        if side == "ours":
            await fill(place, MESSAGES, terms)
        with ExitStack() as stack:
            far = stack.enter_context(start())
            more = ("--products", str(terms.products))
            told = run((side, "--messages", str(terms.messages), *more), place.environment(far))
            taken = await far.taken()
        if not terms.messages == told["accepted"] == taken:
            states = {row["state"]: row["messages"] for row in await pool.fetch(queries.states)}
            message = f"{side}: of {terms.messages} messages {told['accepted']:.0f} accepted, {taken} taken; {states}"
            raise RuntimeError(message)
        return told
    finally:
        await pool.close()


async def _settle(pool: asyncpg.Pool) -> None:
    for query in (queries.clear, queries.settle, queries.checkpoint):
        await pool.execute(query)


async def fill(place: Place, topic: Topic, terms: Terms) -> None:
    """Put messages on their topic; the broker has them on return."""
    left = terms.messages
    while left:
        number = min(left, _CHUNK)
        await publish(place, topic, messages(number, terms.products, place.settings.clock().business()))
        left -= number


async def publish(place: Place, topic: Topic, events: Sequence[Event]) -> None:
    """Put events on a topic."""
    producer = make_producer(place.settings.kafka_bootstrap_servers, linger_ms=20)
    await producer.start()
    try:
        for event in events:
            await producer.send(
                topic.name, event.encode(), key=partition_key(event.shopid, event.customerid or "")
            )
    finally:
        await producer.stop()
