"""What the parts of one worker share: tables, producer, guard, tenure, the batch in hand, and how it all ends."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

import structlog
from aiokafka import TopicPartition
from aiokafka.errors import KafkaError

from shared import metrics
from shared.errors import StalePartition, TopicsError
from shared.kafka.faust.changelog import restore
from shared.kafka.faust.ownership import Ownership
from shared.kafka.faust.producer import BatchProducer, Output, Permit
from shared.kafka.faust.stores import Kind, Stores
from shared.kafka.faust.tables import PartitionTable, Tables
from shared.settings import Settings
from shared.topics import changelog_name

log = structlog.get_logger()

Place = tuple[str, int]

_SETTLE_SECONDS = 20.0
_DROP_SECONDS = 2.0
_RESTORE_AGAIN_SECONDS = 1.0
_LEASE_AGAIN_SECONDS = 0.1


@dataclass
class Driver:
    """One worker's state. Made with its app; `start` and `close` belong to `shared.kafka.faust.app.run`."""

    settings: Settings
    app_id: str
    service: str
    tables: tuple[str, ...]
    store: Kind
    tables_of: dict[str, tuple[str, ...]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.ownership = Ownership(self.settings.consumer_session_seconds)
        self.producer = BatchProducer(self.settings.kafka_bootstrap_servers)
        self.stores = Stores(self.store, self.settings.data_dir / self.app_id)
        self.assigned: frozenset[Place] = frozenset()
        self.failure: BaseException | None = None
        self.failed = asyncio.Event()
        self.ready = asyncio.Event()
        self.closing = asyncio.Event()
        self.done: dict[Place, int] = {}
        self.span_of: Callable[[Place], tuple[int, int]] = lambda _: (0, 0)
        self._idle = asyncio.Event()
        self._idle.set()
        self._in_hand = 0
        self._locks: dict[Place, asyncio.Lock] = {}

    def changelog(self, table: str) -> str:
        """Return the name of a table's changelog topic."""
        return changelog_name(self.app_id, table)

    def lag(self) -> dict[Place, int]:
        """Count the records not yet done, by assigned topic and partition, as far as a fetch has told."""
        return {place: self._lag(place) for place in self.assigned}

    def _lag(self, place: Place) -> int:
        committed, end = self.span_of(place)
        return max(end - self.done.get(place, committed), 0)

    def fail(self, error: BaseException) -> None:
        """Stop taking batches; `run` raises `error`. What was in hand stays unacknowledged."""
        log.error("worker_failed", error=repr(error), exc_info=error)
        if self.failure is None:
            self.failure = error
        self.closing.set()
        self.failed.set()

    # -- assignment ----------------------------------------------------------------------------------------------

    async def settle(self) -> None:
        """Take no more batches and wait for those in hand: done, or dropped when they take too long."""
        if not self.ready.is_set():
            self.ownership.end()  # breaks off a restore that would open the flow again
        self.closing.set()
        self.ready.clear()
        try:
            await asyncio.wait_for(self._idle.wait(), _SETTLE_SECONDS)
        except TimeoutError:
            self.ownership.end()
            await self._idle_or_fail()

    async def _idle_or_fail(self) -> None:
        try:
            await asyncio.wait_for(self._idle.wait(), _DROP_SECONDS)
        except TimeoutError:
            self.fail(StalePartition("a batch was still in hand when its partition had to be given up"))

    def release(self) -> None:
        """Give the partitions up: they are no longer ours."""
        self.ownership.end()
        self.ready.clear()
        for topic, partition in self.assigned:
            with suppress(KeyError):
                metrics.CONSUMER_LAG.remove(topic, str(partition))
        self.assigned = frozenset()

    async def assign(self, places: Iterable[Place]) -> None:
        """Bring the tables of `places`, which the group gave us, up to date; then take batches."""
        if self.failed.is_set():
            return
        self.ownership.begin()
        tenure = self.ownership.tenure
        assigned = frozenset(place for place in places if place[0] in self.tables_of)
        wanted = {(table, part) for topic, part in assigned for table in self.tables_of[topic]}
        self.stores.keep_only(wanted)
        try:
            await self._restore(wanted, tenure)
        except StalePartition:
            return
        except Exception as error:  # noqa: BLE001  whatever it is, the worker must not go on with half a table
            self.fail(error)
            return
        self.assigned, self.done = assigned, {}
        self.closing.clear()
        self.ready.set()
        log.info("assigned", partitions=len(assigned), tables=len(wanted))

    async def _restore(self, wanted: set[Place], tenure: int) -> None:
        places = {TopicPartition(self.changelog(table), part): (table, part) for table, part in wanted}
        while True:
            stores = {place: self.stores.get(*owner) for place, owner in places.items()}
            self.ownership.check(tenure)
            try:
                foreign = await restore(
                    self.settings.kafka_bootstrap_servers, stores, lambda: self.ownership.check(tenure)
                )
            except KafkaError as error:
                log.warning("restore_interrupted", error=repr(error))
                await asyncio.sleep(_RESTORE_AGAIN_SECONDS)
                continue
            if not foreign:
                return
            for place in foreign:
                self.stores.discard(*places[place])

    def check_partitions(self, counts: Mapping[str, int]) -> None:
        """Raise TopicsError unless each changelog has its source's partition count. `counts` is by topic."""
        for topic, tables in self.tables_of.items():
            for table in tables:
                source, changelog = counts.get(topic, 0), counts.get(self.changelog(table), 0)
                if source != changelog or not source:
                    message = (
                        f"{topic} has {source} partitions, {self.changelog(table)} has {changelog}; "
                        "they must be equal: run `orderwake topics apply` before the worker"
                    )
                    raise TopicsError(message)

    # -- batches -------------------------------------------------------------------------------------------------

    def take(self, place: Place) -> int | None:
        """Begin a batch. Returns its tenure, or None when it must be left alone (it will come again)."""
        if self.closing.is_set() or place not in self.assigned:
            return None
        self._in_hand += 1
        self._idle.clear()
        return self.ownership.tenure

    def put_down(self) -> None:
        """End a batch, done or dropped."""
        self._in_hand -= 1
        if not self._in_hand:
            self._idle.set()

    @asynccontextmanager
    async def tables_for(self, topic: str, partition: int) -> AsyncIterator[Tables]:
        """Give the partition's tables to one batch at a time, even if several topics share them."""
        names = sorted(self.tables_of[topic])
        locks = [self._locks.setdefault((name, partition), asyncio.Lock()) for name in names]
        for lock in locks:
            await lock.acquire()
        try:
            yield {name: PartitionTable(self.stores.get(name, partition)) for name in names}
        finally:
            for lock in locks:
                lock.release()

    async def write(
        self,
        partition: int,
        tables: Tables,
        outputs: Sequence[Output],
        tenure: int,
        *,
        tables_first: bool = False,
    ) -> None:
        """Make a batch's effects durable: outputs first, then changelogs, then stores.

        In this order a crash in between lets the source be replayed on the old tables, which yields the same outputs
        again: none is lost, and the reader drops those it has by their origin. `tables_first` turns it round, for a
        process whose tables keep what it has to send until it is acknowledged; each table's changes, which must be of
        WHOLE_BYTES at most, are then durable all or none.
        """
        permit = Permit(lambda: self._hold(tenure), self.ownership.expiring)
        if not tables_first:
            await self.producer.publish(outputs, permit=permit)
        await self._write_tables(partition, tables, permit, tenure, whole=tables_first)
        if tables_first:
            await self.producer.publish(outputs, permit=permit)
        self.ownership.check(tenure)

    async def _write_tables(
        self, partition: int, tables: Tables, permit: Permit, tenure: int, *, whole: bool
    ) -> None:
        changes = (
            Output(self.changelog(name), key, value, (), partition)
            for name, table in tables.items()
            for key, value in table.changes.items()
        )
        ends = await self.producer.publish(changes, whole=whole, permit=permit)
        for name, table in tables.items():
            if not table.changes:
                continue
            if tenure != self.ownership.tenure:
                self.stores.discard(name, partition)
            else:
                self.stores.get(name, partition).apply(table.changes, ends[self.changelog(name), partition])

    async def _hold(self, tenure: int) -> None:
        """Return once writing is safe; wait while heartbeats go unanswered. Raises StalePartition."""
        self.ownership.check(tenure)
        while self.ownership.expiring():
            if self.closing.is_set():
                message = "heartbeats go unanswered: the partition may be another's by now"
                raise StalePartition(message)
            await asyncio.sleep(_LEASE_AGAIN_SECONDS)
            self.ownership.check(tenure)

    def finished(self, place: Place, last: int) -> None:
        """Note that all up to offset `last` is durable."""
        self.done[place] = last + 1
        metrics.CONSUMER_LAG.labels(place[0], str(place[1])).set(self._lag(place))

    async def close(self) -> None:
        """Let go of everything."""
        self.release()
        await self.producer.stop()
        self.stores.keep_only(())
