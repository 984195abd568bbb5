"""All shops' shelves, filled by what the followed topics say."""

import asyncio

from services.recommender.domain.shelf import Shelf
from services.recommender.pacing import pause
from services.recommender.relations import RelationsFile
from shared import collector
from shared.events import (
    ComplementsUpdated,
    CustomerProductsUpdated,
    Event,
    PairCountsUpdated,
    ProductRecorded,
)
from shared.ids import split_key
from shared.kafka.follower import Follower
from shared.kafka.records import Record
from shared.settings import Settings
from shared.topics import CATALOG, COMPLEMENTS, CUSTOMER_PRODUCTS, PAIR_COUNTS

_REFRESH_SECONDS = 5.0
_AT_ONCE = 5


class Shelves:
    """One shelf for each shop that any topic has named. The last record of a key counts, as compaction keeps it."""

    def __init__(self, settings: Settings) -> None:
        """Read the relations. Raises RelationsError where their file cannot be used."""
        topics = (COMPLEMENTS, CATALOG, PAIR_COUNTS, CUSTOMER_PRODUCTS)
        self.follower = Follower(settings, topics, self.take, at_once=_AT_ONCE)
        self.relations = RelationsFile(settings.relations_file)
        self.by_shop: dict[str, Shelf] = {}
        self._settled = False

    def ready(self) -> bool:
        """Whether all that was there at the start is in memory.

        Before it first says so, what is there is put out of the collector's sight, or a collection would stop answers for
        some tenths of a second.
        """
        if not self._settled and self.follower.caught_up:
            collector.quieten()
            self._settled = True
        return self._settled

    def take(self, record: Record, event: Event | None) -> None:
        """Take one record; a tombstone takes away what its key had."""
        if record.key is None:
            return
        shop, subject = split_key(record.key)
        shelf = self.by_shop.get(shop)
        if shelf is None:
            shelf = self.by_shop[shop] = Shelf(self.relations.of(shop))
        if record.topic == COMPLEMENTS.name:
            shelf.put_complements(subject, event.data if isinstance(event, ComplementsUpdated) else None)
        elif record.topic == CATALOG.name:
            shelf.put_listing(subject, event.data if isinstance(event, ProductRecorded) else None)
        elif record.topic == PAIR_COUNTS.name:
            shelf.put_counts(subject, event.data if isinstance(event, PairCountsUpdated) else None)
        else:
            shelf.put_customer(subject, event.data if isinstance(event, CustomerProductsUpdated) else None)
        if not shelf:
            del self.by_shop[shop]

    async def refresh(self, stopping: asyncio.Event) -> None:
        """Have popularity made anew every few seconds, and look whether the relations have changed."""
        while not stopping.is_set():
            await pause(stopping, _REFRESH_SECONDS)
            for shelf in self.by_shop.values():
                shelf.forget_popular()
            for shop in self.relations.refresh():
                if shop in self.by_shop:
                    self.by_shop[shop].rules = self.relations.of(shop)
