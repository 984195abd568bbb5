"""The ranker: follows everybody's `pair-counts` and the catalogue, and publishes `complements` that changed.

It is a role apart from the stream workers: it reads topics only, so it may run in a process of its own. Beside a
worker it ranks the products of that worker's partitions, so that each product has one ranker.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from itertools import islice

from services.recommender.domain.ranking import ShopCounts, complements, materially_different
from services.recommender.pacing import pause
from services.recommender.wire import SOURCE
from shared import metrics
from shared.clock import Clock
from shared.events import Complements, ComplementsUpdated, Event, PairCountsUpdated, ProductRecorded
from shared.ids import event_id, partition_key, split_key
from shared.kafka.faust import Output
from shared.kafka.follower import Follower
from shared.kafka.records import Record
from shared.settings import Settings
from shared.topics import CATALOG, COMPLEMENTS, PAIR_COUNTS

_SLICE = 20
_REFRESH_SECONDS = 10.0
_GROWTH = 1.5
_REST = 9

Publish = Callable[[Iterable[Output]], Awaitable[object]]


class Ranker:
    """Keeps all counts in memory. `owned` says which partitions' products it ranks.

    While `busy` says that counting lags, it takes no more than a tenth of the time.
    """

    def __init__(
        self,
        settings: Settings,
        clock: Clock,
        publish: Publish,
        owned: Callable[[], frozenset[int]],
        busy: Callable[[], bool],
    ) -> None:
        self._top = settings.recommender_top
        self._seconds = settings.recommender_publish_seconds
        self._clock = clock
        self._publish = publish
        self._owned = owned
        self._busy = busy
        self.follower = Follower(settings, (PAIR_COUNTS, CATALOG, COMPLEMENTS), self.take)
        self.shops: dict[str, ShopCounts] = {}
        self.ranked = 0
        self._partition: dict[bytes, int] = {}
        self._published: dict[bytes, Complements] = {}
        self._ranked_at: dict[bytes, int] = {}
        self._waiting: dict[bytes, None] = {}
        self._had: frozenset[int] = frozenset()
        self._refreshed = float("-inf")

    @property
    def waiting(self) -> int:
        """Products of ours whose newest counts are not ranked yet."""
        return len(self._waiting)

    def take(self, record: Record, event: Event | None) -> None:
        """Take one followed record; tombstones never come on these topics."""
        key = record.key or b""
        if isinstance(event, ComplementsUpdated):
            former = self._published.get(key)
            if former is None or event.data.version > former.version:
                self._published[key] = event.data
        elif isinstance(event, PairCountsUpdated):
            self._shop(event.shopid).put(event.data.product_id, event.data.orders, event.data.pairs)
            self._mark(key, record.partition)
        elif isinstance(event, ProductRecorded):
            moved = self._shop(event.shopid).put_category(event.data.product_id, event.data.category)
            if moved or key not in self._partition:
                self._mark(key, record.partition)

    def _shop(self, shop: str) -> ShopCounts:
        return self.shops.setdefault(shop, ShopCounts())

    def _mark(self, key: bytes, partition: int) -> None:
        self._partition[key] = partition
        if partition in self._had:
            self._waiting[key] = None

    async def run(self, stopping: asyncio.Event) -> None:
        """Rank what changed, oldest change first, until `stopping` is set."""
        while not stopping.is_set():
            if self.follower.caught_up:
                self._look_around()
                await self._round(stopping)
            await pause(stopping, self._seconds)

    def _look_around(self) -> None:
        """Take in new partitions, and what was ranked when its shop had much less to tell."""
        owned = self._owned()
        gained = owned - self._had
        self._had = owned
        self._waiting = {key: None for key in self._waiting if self._partition[key] in owned}
        self._waiting.update((key, None) for key, partition in self._partition.items() if partition in gained)
        if self._clock.monotonic() - self._refreshed < _REFRESH_SECONDS:
            return
        self._refreshed = self._clock.monotonic()
        lines = {shop: counts.lines for shop, counts in self.shops.items()}
        for key, ranked_at in self._ranked_at.items():
            if self._partition[key] in owned and lines[split_key(key)[0]] > _GROWTH * ranked_at:
                self._waiting[key] = None

    async def _round(self, stopping: asyncio.Event) -> None:
        for counts in self.shops.values():
            counts.forget_popular()
        for _ in range(0, len(self._waiting), _SLICE):
            if stopping.is_set():
                return
            started = self._clock.monotonic()
            keys = list(islice(self._waiting, _SLICE))
            for key in keys:
                del self._waiting[key]
            updates = [update for key in keys if (update := self._rank(key))]
            took = self._clock.monotonic() - started
            await self._publish([Output(COMPLEMENTS.name, key, event.encode()) for key, event in updates])
            self._published.update((key, event.data) for key, event in updates)
            metrics.COMPLEMENTS_PUBLISHED.inc(len(updates))
            self.ranked += len(keys)
            await pause(stopping, _REST * took if self._busy() else 0)

    def _rank(self, key: bytes) -> tuple[bytes, ComplementsUpdated] | None:
        shop, product = split_key(key)
        counts = self._shop(shop)
        candidates = complements(counts, product, self._top)
        self._ranked_at[key] = counts.lines
        former = self._published.get(key)
        if not materially_different(candidates, former.candidates if former else ()):
            return None
        version = former.version + 1 if former else 1
        data = Complements(product_id=product, version=version, candidates=candidates)
        event = ComplementsUpdated(
            id=event_id("complements", shop, product, version),
            source=SOURCE,
            time=self._clock.business(),
            subject=product,
            shopid=shop,
            data=data,
        )
        return partition_key(shop, product), event
