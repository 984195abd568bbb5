"""All shops' shelves, filled by what the followed topics say."""

import asyncio

from services.recommender.domain.shelf import Shelf
from services.recommender.pacing import pause
from shared.events import ComplementsUpdated, Event, PairCountsUpdated, ProductRecorded
from shared.ids import split_key
from shared.kafka.follower import Follower
from shared.kafka.records import Record
from shared.settings import Settings
from shared.topics import CATALOG, COMPLEMENTS, PAIR_COUNTS

_POPULAR_SECONDS = 5.0


class Shelves:
    """One shelf for each shop that any topic has named. The last record of a key counts, as compaction keeps it."""

    def __init__(self, settings: Settings) -> None:
        self.follower = Follower(settings, (COMPLEMENTS, CATALOG, PAIR_COUNTS), self.take)
        self.by_shop: dict[str, Shelf] = {}

    def take(self, record: Record, event: Event | None) -> None:
        """Take one record; a tombstone takes away what its key had."""
        if record.key is None:
            return
        shop, product = split_key(record.key)
        shelf = self.by_shop.get(shop)
        if shelf is None:
            shelf = self.by_shop[shop] = Shelf()
        if record.topic == COMPLEMENTS.name:
            said = event.data.candidates if isinstance(event, ComplementsUpdated) else None
            shelf.put_complements(product, said)
        elif record.topic == CATALOG.name:
            shelf.put_listing(product, event.data if isinstance(event, ProductRecorded) else None)
        else:
            shelf.put_sold(product, event.data.orders if isinstance(event, PairCountsUpdated) else None)
        if not shelf:
            del self.by_shop[shop]

    async def refresh(self, stopping: asyncio.Event) -> None:
        """Have popularity made anew every few seconds: between, what is popular is what was."""
        while not stopping.is_set():
            await pause(stopping, _POPULAR_SECONDS)
            for shelf in self.by_shop.values():
                shelf.forget_popular()
