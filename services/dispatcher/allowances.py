"""Tokens that all replicas share: one row a scope, taken in one statement of its own, so that none is held while others wait."""

from collections.abc import Mapping
from pathlib import Path

import asyncpg

from services.dispatcher.domain.allowance import Allowance, Rate
from shared.clock import Clock
from shared.db import load_queries

queries = load_queries(Path(__file__).with_name("flow.sql"))

UNKNOWN_SECONDS = 1.0


class Allowances:
    """Takes and gives back by scope. Who dies with tokens taken costs a moment of a rate, or a few of a day's messages."""

    def __init__(self, pool: asyncpg.Pool, clock: Clock, rates: Mapping[str, Rate]) -> None:
        self._pool = pool
        self._clock = clock
        self._rates = {scope: rate for scope, rate in rates.items() if not rate.unlimited}
        self._known: dict[str, Allowance] = {}

    def limited(self, scope: str) -> bool:
        """Whether there is a limit."""
        return scope in self._rates

    def left(self, scope: str) -> float:
        """How many may go now at most, as far as this process knows."""
        rate = self._rates.get(scope)
        if rate is None:
            return float("inf")
        known = self._known.get(scope)
        now = self._clock.machine()
        return (known or Allowance(rate, rate.most, 0, now)).left(now)

    def wait(self, scope: str, place: int) -> float:
        """Seconds until the message in that place of a scope's queue may go."""
        known = self._known.get(scope)
        return known.wait(self._clock.machine(), place) if known else UNKNOWN_SECONDS

    def used_up(self, scope: str) -> bool:
        """Whether a scope has had all of its day."""
        known = self._known.get(scope)
        return known is not None and known.used_up(self._clock.machine())

    async def take(self, wanted: Mapping[str, int]) -> dict[str, int]:
        """Take up to so many tokens of each limited scope; returns how many of each there were."""
        if not wanted:
            return {}
        if not self._known.keys() >= wanted.keys():
            await self._open()
        now = self._clock.machine()
        rates = [self._rates[scope] for scope in wanted]
        rows = await self._pool.fetch(
            queries.take,
            list(wanted),
            list(wanted.values()),
            [rate.per_second for rate in rates],
            [rate.most for rate in rates],
            [rate.per_day for rate in rates],
            now,
            now.date(),
        )
        for row in rows:
            self._known[row["scope"]] = Allowance(self._rates[row["scope"]], row["tokens"], row["used"], now)
        return {row["scope"]: row["granted"] for row in rows}

    async def give_back(self, unused: Mapping[str, int]) -> None:
        """Return tokens for which nothing went."""
        if not unused:
            return
        taken_on = [self._known[scope].looked_at.date() for scope in unused]
        await self._pool.execute(queries.give_back, list(unused), list(unused.values()), taken_on)
        for scope, count in unused.items():
            known = self._known[scope]
            known.tokens, known.used = known.tokens + count, max(known.used - count, 0)

    async def _open(self) -> None:
        """Make the rows that are not there yet, full."""
        now = self._clock.machine()
        tokens = [0.0 if rate.per_second is None else rate.most for rate in self._rates.values()]
        await self._pool.execute(queries.open, list(self._rates), tokens, now, now.date())
