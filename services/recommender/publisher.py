"""Publishes each product's counts as `pair-counts`, coalesced, and never forgets one that changed.

Which products have changed since their last publication is itself kept in the table, written in the same batch as the
counts. So after a crash, or when the partition moves to another worker, whoever has it publishes them.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from itertools import islice

import orjson

from services.recommender import tables, wire
from services.recommender.pacing import pause
from shared.clock import Clock
from shared.errors import StalePartition
from shared.ids import split_key
from shared.kafka.faust import BatchApp, Output, PartitionTable
from shared.settings import Settings
from shared.topics import BASKET_DELTAS, PAIR_COUNTS

_SLICE = 200
_BUSY_SHARE = 0.1


class Publisher:
    """Publishes for the partitions that this worker has. `touched` belongs to the second stage's agent.

    While `busy` says that counting lags, it takes no more than a tenth of the time.
    """

    def __init__(self, app: BatchApp, settings: Settings, clock: Clock, busy: Callable[[], bool]) -> None:
        self._driver = app.driver
        self._kept = settings.recommender_pairs_kept
        self._seconds = settings.recommender_publish_seconds
        self._clock = clock
        self._busy = busy
        self._waiting: dict[int, dict[bytes, None]] = {}
        self._tenure = -1
        self._worked = 0.0

    @property
    def waiting(self) -> int:
        """Products whose newest counts are not published yet."""
        return sum(len(products) for products in self._waiting.values())

    def touched(self, partition: int, table: PartitionTable, products: Iterable[bytes]) -> None:
        """Have `products` published, and keep that in `table`, in the batch in hand."""
        waiting = self._adopt(partition, table)
        waiting.update(dict.fromkeys(products))
        table.set(tables.UNPUBLISHED, orjson.dumps([key.decode() for key in waiting]))

    def _adopt(self, partition: int, table: PartitionTable) -> dict[bytes, None]:
        """What waits in a partition: in a new assignment, all that its table says is unpublished."""
        if self._driver.ownership.tenure != self._tenure:
            self._tenure = self._driver.ownership.tenure
            self._waiting = {}
        if partition not in self._waiting:
            keys = orjson.loads(table.get(tables.UNPUBLISHED) or b"[]")
            self._waiting[partition] = dict.fromkeys(key.encode() for key in keys)
        return self._waiting[partition]

    async def run(self, stopping: asyncio.Event) -> None:
        """Publish until `stopping` is set."""
        while not stopping.is_set():
            self._worked = 0.0
            if self._driver.ready.is_set():
                await self._round()
            await pause(stopping, self._seconds)
            rest = self._clock.monotonic() + self._worked * (1 / _BUSY_SHARE - 1)
            while self._busy() and self._clock.monotonic() < rest and not stopping.is_set():
                await pause(stopping, self._seconds)

    async def _round(self) -> None:
        tenure = self._driver.ownership.tenure
        try:
            for topic, partition in sorted(self._driver.assigned):
                if topic == BASKET_DELTAS.name:
                    await self._publish_partition(partition, tenure)
        except StalePartition:
            return

    async def _publish_partition(self, partition: int, tenure: int) -> None:
        async with self._tables(partition, tenure) as table:
            slices = range(0, len(self._adopt(partition, table)), _SLICE)
        for _ in slices:
            async with self._tables(partition, tenure) as table:
                waiting = self._adopt(partition, table)
                products = list(islice(waiting, _SLICE))
                outputs = self._outputs(table, products)
                for product in products:
                    del waiting[product]
            try:
                self._must_own(partition, tenure)
                await self._driver.producer.publish(outputs)
            except BaseException:
                waiting.update(dict.fromkeys(products))
                raise

    @asynccontextmanager
    async def _tables(self, partition: int, tenure: int) -> AsyncIterator[PartitionTable]:
        self._must_own(partition, tenure)
        async with self._driver.tables_for(BASKET_DELTAS.name, partition) as table:
            self._must_own(partition, tenure)
            yield table["pairs"]

    def _must_own(self, partition: int, tenure: int) -> None:
        self._driver.ownership.check(tenure)
        if (
            not self._driver.ownership.leased()
            or (BASKET_DELTAS.name, partition) not in self._driver.assigned
        ):
            message = "the partition may be another's by now"
            raise StalePartition(message)

    def _outputs(self, table: PartitionTable, products: Sequence[bytes]) -> list[Output]:
        started = self._clock.monotonic()
        occurred_at = self._clock.business().isoformat()
        outputs = []
        for key, tally in tables.totals(table, products, self._kept).items():
            shop, product = split_key(key)
            record = wire.pair_counts(shop, product, tally, occurred_at)
            outputs.append(Output(PAIR_COUNTS.name, *record))
        self._worked += self._clock.monotonic() - started
        return outputs
