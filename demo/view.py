"""The live view: what comes in, what waits, what was decided and why, what goes out."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.table import Table

from demo.live import Week
from demo.observe import Observer
from demo.plan import LIVE_START
from demo.stack import SERVICES, Stack

_LOOK_SECONDS = 1.0
_PLAIN_DAYS = 1


@dataclass
class View:
    """Looks at the services once a second; draws in place on a terminal, and says a line a business day elsewhere."""

    console: Console
    stack: Stack
    observer: Observer
    week: Week
    statuses: dict[str, dict[str, Any]] = field(default_factory=dict)
    lag: dict[str, int] = field(default_factory=dict)
    _said: int = -1

    async def during(self, work: Callable[[Callable[[], None]], Awaitable[None]]) -> None:
        """Run `work(show)` under the view; a process that dies ends it with ProcessDiedError."""
        looking = asyncio.ensure_future(self._look())
        try:
            if not self.console.is_terminal:
                await work(self._say)
                return
            with Live(console=self.console, refresh_per_second=4) as live:
                await work(lambda: live.update(self._draw()))
        finally:
            looking.cancel()

    async def _look(self) -> None:
        while True:
            for name in SERVICES:
                self.statuses[name] = await self.stack.status(name) or self.statuses.get(name, {})
            self.lag = await self.observer.lag()
            await asyncio.sleep(_LOOK_SECONDS)

    def _say(self) -> None:
        self.stack.check()
        day = (self.week.clock.business() - LIVE_START).days
        if day > self._said:
            self._said = day
            decided = self.statuses.get("scheduler", {})
            self.console.print(
                f"  day {day}: {sum(self.week.sent.values()):,} events in, "
                f"{len(self.week.received.entries):,} messages out, {decided.get('waiting', 0):,} steps waiting",
                highlight=False,
            )

    def _draw(self) -> RenderableType:
        self.stack.check()
        scheduler = self.statuses.get("scheduler", {})
        now = self.week.clock.business()
        left = Table.grid(padding=(0, 2))
        for title, counts in (
            ("events in", dict(self.week.sent)),
            (
                "steps",
                {name: scheduler.get(name, 0) for name in ("waiting", "overdue", "undecided", "deferred")},
            ),
            ("messages out", self.week.received.by_channel()),
            ("lag", self.lag),
        ):
            left.add_row(_counts(title, counts))
        right = _counts(
            "verdicts and reasons", _flat({**scheduler.get("decided", {}), **scheduler.get("reasons", {})})
        )
        both = Table.grid(padding=(0, 4))
        both.add_row(left, right)
        return Panel(Group(both), title=f"{now:%A %d %B %Y, %H:%M} UTC (business time)", title_align="left")


def _flat(counts: Mapping[str, Any]) -> dict[str, int]:
    flat: dict[str, int] = {}
    for name, value in counts.items():
        if isinstance(value, Mapping):
            flat |= {f"{name} {inner}": int(count) for inner, count in value.items()}
        else:
            flat[name] = int(value)
    return dict(sorted(flat.items(), key=lambda item: -item[1])[:14])


def _counts(title: str, counts: Mapping[str, int]) -> Table:
    table = Table(title=title, title_justify="left", show_header=False, box=None, padding=(0, 1))
    for name, count in counts.items():
        table.add_row(name, f"{count:,}")
    return table
