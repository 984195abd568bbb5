"""Publishes what tables hold, coalesced, and never forgets a key that changed: rows of products, products of customers.

Which keys have changed since their last publication is itself kept in the table, written in the same batch as the change.
So after a crash, or when the partition moves to another worker, whoever has it publishes them.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from itertools import islice

import orjson

from services.recommender.pacing import pause
from services.recommender.tables import UNPUBLISHED
from shared.clock import Clock
from shared.errors import StalePartition
from shared.kafka.faust import BatchApp, Output, PartitionTable
from shared.topics import Topic

_SLICE = 200
_BUSY_SHARE = 0.1
_BUSY_SECONDS = 10.0

Make = Callable[[PartitionTable, Sequence[bytes]], list[Output]]


class Publisher:
    """Publishes a table, fed by `source`, for the partitions of it that this worker has.

    `make` says what to publish of some keys. `touched` belongs to the agents that write the table. A round comes every
    `seconds`; while `busy` says that counting lags, every ten, and it takes no more than a tenth of the time.
    """

    def __init__(  # noqa: PLR0913  what to publish, and when
        self,
        app: BatchApp,
        source: Topic,
        table: str,
        make: Make,
        *,
        clock: Clock,
        seconds: float,
        busy: Callable[[], bool],
    ) -> None:
        self._driver = app.driver
        self._source = source.name
        self._table = table
        self._make = make
        self._seconds = seconds
        self._clock = clock
        self._busy = busy
        self._waiting: dict[int, dict[bytes, None]] = {}
        self._tenure = -1
        self._worked = 0.0

    @property
    def waiting(self) -> int:
        """Keys whose newest state is not published yet."""
        return sum(len(keys) for keys in self._waiting.values())

    def touched(self, partition: int, table: PartitionTable, keys: Iterable[bytes]) -> None:
        """Have `keys` published, and keep that in `table`, in the batch in hand."""
        waiting = self._adopt(partition, table)
        waiting.update(dict.fromkeys(keys))
        table.set(UNPUBLISHED, orjson.dumps([key.decode() for key in waiting]))

    def _adopt(self, partition: int, table: PartitionTable) -> dict[bytes, None]:
        """What waits in a partition: in a new assignment, all that its table says is unpublished."""
        if self._driver.ownership.tenure != self._tenure:
            self._tenure = self._driver.ownership.tenure
            self._waiting = {}
        if partition not in self._waiting:
            keys = orjson.loads(table.get(UNPUBLISHED) or b"[]")
            self._waiting[partition] = dict.fromkeys(key.encode() for key in keys)
        return self._waiting[partition]

    async def run(self, stopping: asyncio.Event) -> None:
        """Publish until `stopping` is set."""
        next_when_busy = float("-inf")
        while not stopping.is_set():
            if self._driver.ready.is_set() and not (
                self._busy() and self._clock.monotonic() < next_when_busy
            ):
                self._worked = 0.0
                await self._round()
                rest = max(_BUSY_SECONDS, self._worked * (1 / _BUSY_SHARE - 1))
                next_when_busy = self._clock.monotonic() + rest
            await pause(stopping, self._seconds)

    async def _round(self) -> None:
        tenure = self._driver.ownership.tenure
        try:
            for topic, partition in sorted(self._driver.assigned):
                if topic == self._source:
                    await self._publish_partition(partition, tenure)
        except StalePartition:
            return

    async def _publish_partition(self, partition: int, tenure: int) -> None:
        async with self._tables(partition, tenure) as table:
            slices = range(0, len(self._adopt(partition, table)), _SLICE)
        for _ in slices:
            async with self._tables(partition, tenure) as table:
                waiting = self._adopt(partition, table)
                keys = list(islice(waiting, _SLICE))
                started = self._clock.monotonic()
                outputs = self._make(table, keys)
                self._worked += self._clock.monotonic() - started
                for key in keys:
                    del waiting[key]
            try:
                self._must_own(partition, tenure)
                await self._driver.producer.publish(outputs)
            except BaseException:
                waiting.update(dict.fromkeys(keys))
                raise

    @asynccontextmanager
    async def _tables(self, partition: int, tenure: int) -> AsyncIterator[PartitionTable]:
        self._must_own(partition, tenure)
        async with self._driver.tables_for(self._source, partition) as table:
            self._must_own(partition, tenure)
            yield table[self._table]

    def _must_own(self, partition: int, tenure: int) -> None:
        self._driver.ownership.check(tenure)
        if not self._driver.ownership.leased() or (self._source, partition) not in self._driver.assigned:
            message = "the partition may be another's by now"
            raise StalePartition(message)
