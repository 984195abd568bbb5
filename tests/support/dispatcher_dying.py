"""Dispatchers that end themselves at points of the ledger, e.g. "before taken"; `python -m tests.support.dispatcher_dying` forks them.

Points lie before and after the commit of each transaction that moves messages for one of the ledger's causes, or that first
writes them (`intended`). Which messages those were goes to its log, with the point.
"""

import asyncio
import ctypes
import json
import os
import signal
import sys
from collections import defaultdict
from collections.abc import Callable
from contextvars import ContextVar
from importlib import import_module
from typing import Any

import asyncpg
from asyncpg.transaction import Transaction

from services.dispatcher.domain import states
from services.dispatcher.domain.states import Cause, State

INTENDED = "intended"
_LOOPS_UNTIL_WRITTEN = 3
_PR_SET_PDEATHSIG = 1

_cause: ContextVar[Cause | None] = ContextVar("cause", default=None)
_target = states.target


def name_of(when: str, cause: Cause) -> str:
    """A point's name."""
    return f"{when} {cause.name.lower()}"


def _noted(cause: Cause) -> State:
    _cause.set(cause)
    return _target(cause)


class Death:
    """Strikes at its point. What a connection's transaction has moved so far is kept by cause."""

    def __init__(self, point: str) -> None:
        self._point = point
        self._when, _, self._cause = point.partition(" ")
        self._moved: dict[int, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))

    def note(self, connection: object, cause: str, messages: list[str]) -> None:
        """Messages were moved, not yet committed."""
        if messages:
            self._moved[id(connection)][cause] += messages

    def is_due(self, connection: object, when: str) -> bool:
        """Whether the point is this commit, `before` or `after` it."""
        return when == self._when and bool(self._moved[id(connection)][self._cause])

    def forget(self, connection: object) -> None:
        """The transaction is over."""
        self._moved.pop(id(connection), None)

    def strike(self, connection: object) -> None:
        """End at once, without a word to anyone but us."""
        hit = " ".join(self._moved[id(connection)][self._cause])
        os.write(2, f"point reached: {self._point}\nmessages hit: {hit}\n".encode())
        os.kill(os.getpid(), signal.SIGKILL)


def prepare(death: Death) -> None:
    """Let every query and commit of this process pass by `death`."""
    for method in ("fetch", "execute", "executemany"):
        setattr(asyncpg.Connection, method, _watched(getattr(asyncpg.Connection, method), death))
    original = Transaction.__aexit__

    async def leave(self: Any, kind: Any, error: Any, trace: Any) -> None:  # noqa: ANN401  asyncpg's own
        connection = self._connection
        if kind is None:
            going = None
            if death.is_due(connection, "before"):
                # On its way, perhaps done, and nobody left to hear of it.
                going = asyncio.ensure_future(original(self, kind, error, trace))
                for _ in range(_LOOPS_UNTIL_WRITTEN):
                    await asyncio.sleep(0)
                death.strike(connection)
            await (going or original(self, kind, error, trace))
            if death.is_due(connection, "after"):
                death.strike(connection)
        else:
            await original(self, kind, error, trace)
        death.forget(connection)

    Transaction.__aexit__ = leave  # type: ignore[method-assign,assignment]  # the process is there to be broken


def _watched(original: Callable[..., Any], death: Death) -> Callable[..., Any]:
    queries = import_module("services.dispatcher.ledger").queries

    async def watched(connection: Any, text: str, *arguments: Any, **more: Any) -> Any:  # noqa: ANN401  asyncpg's own
        cause = _cause.get()
        _cause.set(None)
        found = await original(connection, text, *arguments, **more)
        if text == queries.intend:
            rows = arguments[0]
            death.note(connection, INTENDED, [str(row[0] if isinstance(row, tuple) else row) for row in rows])
        elif cause is not None and isinstance(found, list):
            death.note(connection, cause.name.lower(), [str(row["message_id"]) for row in found])
        return found

    return watched


def _lives(told: dict[str, Any]) -> None:
    """One dispatcher's life, in a process of its own, which ends with the one that began it."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    for number in (signal.SIGCHLD, signal.SIGINT):
        signal.signal(number, signal.SIG_DFL)
    log = os.open(told["log"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.environ.update(told["environment"])
    if told["point"]:
        prepare(Death(told["point"]))
    run = import_module("shared.service").run
    run("dispatcher", import_module("services.dispatcher.app").build)


def main() -> None:
    """Read lives from standard input, begin each, and say its process id: what they import is imported once."""
    states.target = _noted
    import_module("services.dispatcher.app")
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # whoever has died is gone at once
    for line in sys.stdin:
        pid = os.fork()
        if pid == 0:
            try:
                _lives(json.loads(line))
            finally:
                os._exit(0)
        sys.stdout.write(f"{pid}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
