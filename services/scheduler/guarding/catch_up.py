"""After an outage: how fast all processes together may work off what is long overdue."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from services.scheduler.guarding.guards import queries
from services.scheduler.store import Connection
from shared.clock import Clock
from shared.settings import Settings


@dataclass(frozen=True, slots=True)
class Grant:
    """How many messages may be decided to be sent now, of those overdue."""

    tokens: float

    @property
    def whole(self) -> int:
        """Whole messages."""
        return max(int(self.tokens), 0)


class CatchUp:
    """A bucket of tokens, one a message, in one row: filled at a rate of machine time up to a second's worth.

    Whoever takes the tokens decides overdue steps; others leave them and go on with what is due now. The row is not held
    meanwhile: who stands still or dies with the tokens costs a second of catching up.
    """

    def __init__(self, settings: Settings, clock: Clock) -> None:
        self._rate = settings.catch_up_per_second
        self._after = timedelta(minutes=settings.catch_up_after_minutes)
        self._clock = clock

    def horizon(self, now: datetime) -> datetime | None:
        """What was due by this time is overdue at business time `now`; None: nothing ever is."""
        return now - self._after if self._rate else None

    async def grant(self, connection: Connection, horizon: datetime | None) -> Grant | None:
        """Take all tokens, in a transaction of its own; None if there is nothing to catch up with, or another is taking."""
        if horizon is None or not await connection.fetchval(queries.any_overdue, horizon):
            return None
        async with connection.transaction():
            row = await connection.fetchrow(queries.look_at_catch_up)
            if row is None:
                return None
            now = self._clock.machine()
            earned = max((now - row["counted_at"]).total_seconds(), 0.0) * self._rate
            tokens = min(row["tokens"] + earned, self._most)
            await connection.execute(queries.put_catch_up, min(tokens, 0.0), now)
        return Grant(max(tokens, 0.0))

    async def settle(self, connection: Connection, grant: Grant, messages: int) -> None:
        """Give back what is left after as many messages were decided to be sent; it may be less than nothing."""
        await connection.execute(queries.give_back_catch_up, grant.tokens - messages, self._most)

    @property
    def _most(self) -> float:
        return max(self._rate, 1.0)
