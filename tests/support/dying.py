"""A scheduler that ends or stops itself at a named point: `python -m tests.support.dying POINT`.

Points lie before or after queries, which are named as in the `.sql` files, and commits. Whose commit it is says a query
that the same transaction has made: the commit of `put` is the one that put decisions into the outbox.
"""

import asyncio
import os
import signal
import sys
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import asyncpg
from aiokafka import AIOKafkaProducer
from asyncpg.transaction import Transaction

from services.cli import main
from services.scheduler import store
from shared.kafka import outbox, positions

if TYPE_CHECKING:
    from shared.db.queries import Queries

NONE = "none"
_LOOPS_UNTIL_WRITTEN = 3


@dataclass(frozen=True)
class Point:
    """A place in the scheduler's work, `of` the transaction that has made this query; it counts from `nth` on."""

    name: str
    when: str
    query: str
    of: str = ""
    nth: int = 1
    fatal: bool = True


POINTS: dict[str, Point] = {
    point.name: point
    for point in (
        Point("states locked", "after", "lock_customers"),
        Point("states saved", "after", "put_steps", of="lock_customers"),
        Point("positions written", "after", "advance", of="lock_customers"),
        Point("intake committing", "before", "commit", of="lock_customers"),
        Point("intake committed", "after", "commit", of="lock_customers"),
        Point("claimed", "after", "claim", nth=2),
        Point("decided", "before", "save_customers", of="claim"),
        Point("facts saved", "after", "save_customers", of="claim"),
        Point("steps written", "after", "remove_steps", of="claim"),
        Point("outbox filled", "after", "put", of="claim", nth=2),
        Point("committing", "before", "commit", of="put"),
        Point("committed", "after", "commit", of="put", nth=2),
        Point("taken", "after", "take"),
        Point("half published", "sent", "", nth=7),
        Point("published", "before", "remove"),
        Point("removed", "after", "remove"),
        Point("relay committing", "before", "commit", of="remove"),
        Point("stalled with a batch", "before", "lock", fatal=False),
        Point("stalled with a claim", "after", "claim", nth=3, fatal=False),
    )
}
"""Every point between an event's arrival and the end of what follows from it, in that order; then the stalls."""


def _texts() -> dict[str, str]:
    """Return the names of all queries by their text; the claims of partitions and of customers keep apart."""
    sources: tuple[tuple[Queries, frozenset[str]], ...] = (
        (store.queries, store.queries.names() - {"positions"}),
        (outbox.queries, outbox.queries.names()),
        (positions.queries, frozenset({"lock", "advance"})),
    )
    return {getattr(source, name): name for source, names in sources for name in names}


class Death:
    """Counts how often its point was passed, and strikes."""

    def __init__(self, point: Point) -> None:
        self._point = point
        self._left = point.nth
        self._names = _texts()
        self._trail: dict[int, list[str]] = defaultdict(list)
        known = {*self._names.values(), "commit", ""}
        if not {point.query, point.of} <= known:
            message = (
                f"the scheduler makes no query {point.query!r} or {point.of!r}: mend tests/support/dying.py"
            )
            raise ValueError(message)

    def name(self, text: str) -> str:
        """Return the name of a query, or nothing for one of another's."""
        return self._names.get(text, "")

    def passes(self, when: str, connection: object, name: str, found: object) -> bool:
        """Note what a connection does; returns whether the point is reached. A query must have `found` something."""
        trail = self._trail[id(connection)]
        point = self._point
        here = (when, name) == (point.when, point.query) and (not point.of or point.of in trail) and found
        if when == "after" and name == "commit":
            trail.clear()
        elif when == "after" and name:
            trail.append(name)
        if not here:
            return False
        self._left -= 1
        return self._left == 0

    def forget(self, connection: object) -> None:
        """A transaction was rolled back."""
        self._trail.pop(id(connection), None)

    def sent(self) -> bool:
        """Note that a record was given to the producer; returns whether the point is reached."""
        if self._point.when != "sent":
            return False
        self._left -= 1
        return self._left == 0

    def strike(self) -> None:
        """End at once, without a word to anyone; or stop, until somebody says to go on."""
        os.write(2, f"point reached: {self._point.name}\n".encode())
        os.kill(os.getpid(), signal.SIGKILL if self._point.fatal else signal.SIGSTOP)


def prepare(death: Death) -> None:
    """Let every query, commit and send of this process pass by `death`."""
    for method in ("fetch", "fetchrow", "fetchval", "execute", "executemany"):
        original = getattr(asyncpg.Connection, method)
        setattr(asyncpg.Connection, method, _watched(original, death))
    _watch_commits(death)
    _watch_sends(death)


def _watched(original: Callable[..., Any], death: Death) -> Callable[..., Any]:
    async def watched(connection: Any, text: str, *arguments: Any, **more: Any) -> Any:  # noqa: ANN401  asyncpg's own
        name = death.name(text)
        if name and death.passes("before", connection, name, text):
            death.strike()
        found = await original(connection, text, *arguments, **more)
        if name and death.passes("after", connection, name, found):
            death.strike()
        return found

    return watched


def _watch_commits(death: Death) -> None:
    original = Transaction.__aexit__

    async def leave(self: Any, kind: Any, error: Any, trace: Any) -> None:  # noqa: ANN401  asyncpg's own
        connection = self._connection
        if kind is not None:
            death.forget(connection)
            await original(self, kind, error, trace)
            return
        if death.passes("before", connection, "commit", self):
            # On its way, perhaps done, and nobody left to hear of it.
            going = asyncio.ensure_future(original(self, kind, error, trace))
            for _ in range(_LOOPS_UNTIL_WRITTEN):
                await asyncio.sleep(0)
            death.strike()
            await going
        else:
            await original(self, kind, error, trace)
        if death.passes("after", connection, "commit", self):
            death.strike()

    Transaction.__aexit__ = leave  # type: ignore[method-assign,assignment]  # the process is there to be broken


def _watch_sends(death: Death) -> None:
    original = AIOKafkaProducer.send

    async def send(self: Any, topic: str, value: bytes, key: bytes) -> Any:  # noqa: ANN401  aiokafka ships no types
        future = await original(self, topic, value, key)
        if death.sent():
            await future
            death.strike()
        return future

    AIOKafkaProducer.send = send


if __name__ == "__main__":
    point = sys.argv.pop()
    if point != NONE:
        prepare(Death(POINTS[point]))
    sys.argv.append("scheduler")
    main()
