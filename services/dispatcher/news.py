"""Whether what this service has read of consent and opt-outs is recent enough to send by."""

from datetime import timedelta

import structlog

from services.dispatcher.ledger import queries
from services.dispatcher.people import Connection
from shared.clock import Clock
from shared.kafka.freshness import Position, fresh_partitions
from shared.settings import Settings
from shared.topics import CUSTOMERS, ENGAGEMENT

log = structlog.get_logger()

TOPICS = (CUSTOMERS.name, ENGAGEMENT.name)


class News:
    """Judges by the positions that every replica writes: any of them may send to anybody's customers."""

    def __init__(self, clock: Clock, settings: Settings) -> None:
        self._clock = clock
        self._limit = timedelta(seconds=settings.stale_after_seconds)
        self._fresh: bool | None = None

    async def fresh(self, connection: Connection) -> bool:
        """Whether every partition of both topics is read to its end, as seen within the limit. None known: no."""
        rows = await connection.fetch(queries.positions, TOPICS)
        known = [Position(**row) for row in rows]
        trusted = fresh_partitions(known, TOPICS, self._clock.machine(), self._limit)
        fresh = bool(known) and trusted.keys() == {each.partition for each in known}
        if fresh is not self._fresh:
            log.info("news_fresh") if fresh else log.warning("news_stale", fresh_partitions=sorted(trusted))
        self._fresh = fresh
        return fresh
