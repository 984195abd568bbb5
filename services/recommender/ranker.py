"""The ranker: follows everybody's `pair-counts` and the catalogue, and publishes `complements` that changed.

It is a role apart from the stream workers: it reads topics only, so it may run in a process of its own
(ORDERWAKE_RECOMMENDER_ROLE=ranker). Beside a worker it ranks the products of that worker's partitions, so that each
product has one ranker.

Oldest change first. Products whose own counts changed are ranked at once; that takes a millisecond each. One product's
counts are in the weights of hundreds, too, and to solve anew who speaks for each takes longer; so that takes a part of the
time that is left, and whose weights have moved by then is ranked once more.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from itertools import islice

from threadpoolctl import threadpool_limits

from services.recommender.domain.market import Market
from services.recommender.domain.material import materially_different
from services.recommender.domain.shop import Listed
from services.recommender.pacing import pause, pause_until
from services.recommender.relations import RelationsFile
from services.recommender.wire import SOURCE
from shared import metrics
from shared.clock import Clock
from shared.events import (
    Complements,
    ComplementsUpdated,
    Event,
    PairCountsUpdated,
    Product,
    ProductRecorded,
    Timing,
    decode,
)
from shared.ids import event_id, partition_key, split_key
from shared.kafka.faust import Output
from shared.kafka.follower import Follower
from shared.kafka.records import Record
from shared.settings import Settings
from shared.topics import CATALOG, COMPLEMENTS, PAIR_COUNTS

_TAKEN_AT_ONCE = 10
_SLICE = 20
_SOLVES = 4
_REFRESH_SECONDS = 10.0
_GROWTH = 1.5
_REST = 2
_REST_WHILE_BUSY = 9

Publish = Callable[[Iterable[Output]], Awaitable[object]]


class Ranker:
    """Keeps all rows in memory. `owned` says which partitions' products it ranks.

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
        self._sizes = settings.recommender_top, settings.recommender_pairs_kept
        self._seconds = settings.recommender_publish_seconds
        self._clock = clock
        self._publish = publish
        self._owned = owned
        self._busy = busy
        self._relations = RelationsFile(settings.relations_file)
        self.follower = Follower(
            settings, (PAIR_COUNTS, CATALOG, COMPLEMENTS), self.take, at_once=_TAKEN_AT_ONCE
        )
        self.shops: dict[str, Market] = {}
        self.ranked = 0
        self._partition: dict[bytes, int] = {}
        self._published: dict[bytes, tuple[int, bytes]] = {}
        self._ranked_at: dict[bytes, int] = {}
        self._waiting: dict[bytes, None] = {}
        self._unsolved: dict[bytes, None] = {}
        self._moved: dict[bytes, None] = {}
        self._changed = asyncio.Event()
        self._had: frozenset[int] = frozenset()
        self._days: dict[str, int] = {}
        self._refreshed = float("-inf")

    @property
    def waiting(self) -> int:
        """Products of ours whose newest counts are not ranked yet."""
        return len(self._waiting)

    def status(self) -> dict[str, object]:
        """Say how far the ranking is.

        `products` and `pairs` are what is known, of all workers; `ranked` says how often it ranked a product since it
        started; `unranked` products wait for that, `unsolved` for their weights or to be ranked by them; `relations` is
        the version in force.
        """
        rows = [row for market in self.shops.values() for row in market.rows.values()]
        return {
            "products": len(rows),
            "pairs": sum(len(row.pairs) for row in rows),
            "unranked": self.waiting,
            "unsolved": len(self._unsolved.keys() | self._moved),
            "ranked": self.ranked,
            "relations": self._relations.version,
        }

    def repurchase(self, shop: str, product: str) -> Timing | None:
        """When buyers of a product buy it again, as far as its newest row says."""
        market = self.shops.get(shop)
        row = market.rows.get(product) if market else None
        return row.repurchase if row else None

    def take(self, record: Record, event: Event | None) -> None:
        """Take one followed record; tombstones never come on these topics."""
        key = record.key or b""
        if isinstance(event, ComplementsUpdated):
            self._take_published(key, event.shopid, event.data, record.value or b"")
        elif isinstance(event, PairCountsUpdated):
            touched = self._market(event.shopid).put(event.data)
            self._partition[key] = record.partition
            self._mark(key)
            if self._had:
                self._unsolved[key] = None
                self._unsolved.update((partition_key(event.shopid, other), None) for other in touched)
        elif isinstance(event, ProductRecorded):
            moved = self._market(event.shopid).put_listing(event.data.product_id, _listed(event.data))
            if key not in self._partition:
                self._partition[key] = record.partition
                moved |= {event.data.product_id}
            for product in moved:
                self._mark(partition_key(event.shopid, product))

    def _take_published(self, key: bytes, shop: str, data: Complements, value: bytes) -> None:
        if data.version > self._published.get(key, (0, b""))[0]:
            self._published[key] = data.version, value
            self._market(shop).put_published(data)

    def _market(self, shop: str) -> Market:
        return self.shops.setdefault(shop, Market(*self._sizes))

    def _mark(self, key: bytes) -> None:
        if self._partition.get(key) in self._had:
            self._waiting[key] = None
            self._changed.set()

    async def run(self, stopping: asyncio.Event) -> None:
        """Rank what changed, oldest change first, until `stopping` is set.

        BLAS gets one thread in this process: its threads wait for each other by spinning, which on a busy machine makes
        solves of this size fifty times slower.
        """
        threadpool_limits(1, "blas")
        while not stopping.is_set():
            self._changed.clear()
            if self.follower.caught_up:
                self._look_around()
                await self._rank_waiting(stopping)
                await self._look_again(stopping)
            if not ((self._unsolved or self._moved) and self.follower.caught_up):
                await pause_until(self._changed, stopping, self._seconds)

    def _look_around(self) -> None:
        """Take in new partitions, changed relations, and what was ranked when its shop had much less to tell."""
        owned = self._owned()
        if owned != self._had:
            self._own(owned)
        if self._clock.monotonic() - self._refreshed < _REFRESH_SECONDS:
            return
        self._refreshed = self._clock.monotonic()
        self._turn_days()
        changed = self._relations.refresh()
        lines = {shop: market.counts.lines for shop, market in self.shops.items()}
        for key, ranked_at in self._ranked_at.items():
            shop, _ = split_key(key)
            if self._partition[key] in owned and (lines[shop] > _GROWTH * ranked_at or shop in changed):
                self._waiting[key] = None

    def _turn_days(self) -> None:
        """On another day other things sell of late: rank the shop's products again, in time."""
        turned = {
            name for name, shop in self.shops.items() if shop.day != self._days.setdefault(name, shop.day)
        }
        self._days.update((name, self.shops[name].day) for name in turned)
        for key, partition in self._partition.items() if turned else ():
            if partition in self._had and split_key(key)[0] in turned:
                self._moved[key] = None

    def _own(self, owned: frozenset[int]) -> None:
        gained, self._had = owned - self._had, owned
        for queue in (self._waiting, self._moved):
            for key in [key for key in queue if self._partition[key] not in owned]:
                del queue[key]
        self._waiting.update((key, None) for key, partition in self._partition.items() if partition in gained)
        for key in self._partition if owned else ():
            shop, product = split_key(key)
            if not self._market(shop).is_solved(product):
                self._unsolved[key] = None

    async def _rank_waiting(self, stopping: asyncio.Event) -> None:
        for market in self.shops.values():
            market.counts.forget_popular()
        for _ in range(0, len(self._waiting), _SLICE):
            if stopping.is_set():
                return
            took = await self._rank_some(_first(self._waiting, _SLICE))
            await pause(stopping, _REST_WHILE_BUSY * took if self._busy() else 0)

    async def _rank_some(self, keys: list[bytes]) -> float:
        """Rank, and publish what is new; returns the seconds that ranking took."""
        started = self._clock.monotonic()
        updates = [update for key in keys if (update := self._rank(key))]
        took = self._clock.monotonic() - started
        await self._publish([Output(COMPLEMENTS.name, key, value) for key, _, value in updates])
        self._published.update((key, (version, value)) for key, version, value in updates)
        metrics.COMPLEMENTS_PUBLISHED.inc(len(updates))
        self.ranked += len(keys)
        return took

    async def _look_again(self, stopping: asyncio.Event) -> None:
        """Solve a few, rank a few whose weights have moved, and rest for longer: what else runs here has other work."""
        started = self._clock.monotonic()
        for key in _first(self._unsolved, _SOLVES):
            shop, product = split_key(key)
            moved = {partition_key(shop, other) for other in self._market(shop).solve(product)} | {key}
            self._moved.update((one, None) for one in moved if self._partition.get(one) in self._had)
        took = self._clock.monotonic() - started
        took += await self._rank_some(_first(self._moved, _SLICE))
        await pause(stopping, (_REST_WHILE_BUSY if self._busy() else _REST) * took)

    def _rank(self, key: bytes) -> tuple[bytes, int, bytes] | None:
        """Return key, version and value of a record to publish; None if it would say nothing new."""
        shop, product = split_key(key)
        market = self._market(shop)
        version, value = self._published.get(key, (0, b""))
        said = market.complements(product, version + 1, self._relations.of(shop))
        self._ranked_at[key] = market.counts.lines
        former = decode(value, COMPLEMENTS.types) if value else None
        if not materially_different(said, former.data if isinstance(former, ComplementsUpdated) else None):
            return None
        event = ComplementsUpdated(
            id=event_id("complements", shop, product, said.version),
            source=SOURCE,
            time=self._clock.business(),
            subject=product,
            shopid=shop,
            data=said,
        )
        return key, said.version, event.encode()


def _first(queue: dict[bytes, None], number: int) -> list[bytes]:
    """Take the `number` oldest from a queue."""
    keys = list(islice(queue, number))
    for key in keys:
        del queue[key]
    return keys


def _listed(product: Product) -> Listed:
    return Listed(product.category, product.price, product.currency)
