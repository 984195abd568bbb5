"""The driver's parts alone: stores, what a batch sees, the lease, partitions by key."""

import shutil
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from rocksdict import Cache

from shared.clock import ManualClock
from shared.errors import StalePartition
from shared.kafka.faust.driver import Driver
from shared.kafka.faust.ownership import Ownership
from shared.kafka.faust.producer import BatchProducer, Output
from shared.kafka.faust.stores import MemoryStore, RocksStore, Store, Stores
from shared.kafka.faust.tables import PartitionTable
from shared.settings import Settings
from shared.topics import changelog_name, faust_topics

SESSION = 6.0


@pytest.fixture(params=["memory", "rocksdb"])
def open_store(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], Store]:
    """Open the same partition's store, again and again."""
    if request.param == "memory":
        return MemoryStore
    return lambda: RocksStore(tmp_path / "store", Cache(1_000_000))


def test_a_store_gives_back_what_was_applied_and_forgets_what_was_deleted(
    open_store: Callable[[], Store],
) -> None:
    store = open_store()
    assert store.offset == -1
    store.apply({b"a": b"1", b"b": b"2", b"c": b""}, 2)
    store.apply({b"b": None, b"a": b"3", b"never": None}, 6)
    assert store.get_many([b"a", b"b", b"c", b"d"]) == {b"a": b"3", b"c": b""}
    assert store.get_many([]) == {}
    assert store.offset == 6
    store.close()


def test_rocksdb_keeps_values_and_offset_together_over_a_restart(tmp_path: Path) -> None:
    first = RocksStore(tmp_path / "store", Cache(1_000_000))
    first.apply({b"a": b"1"}, 41)
    first.close()
    again = RocksStore(tmp_path / "store", Cache(1_000_000))
    assert (again.get_many([b"a"]), again.offset) == ({b"a": b"1"}, 41)
    again.clear()
    assert RocksStore(tmp_path / "store", Cache(1_000_000)).offset == -1


def test_stores_that_are_not_kept_are_closed_and_can_be_opened_again(tmp_path: Path) -> None:
    stores = Stores("rocksdb", tmp_path)
    stores.get("counts", 0).apply({b"a": b"1"}, 1)
    stores.get("counts", 1).apply({b"a": b"2"}, 1)
    stores.keep_only([("counts", 1)])
    assert stores.get("counts", 0).get_many([b"a"]) == {b"a": b"1"}
    stores.discard("counts", 1)
    assert stores.get("counts", 1).offset == -1
    stores.keep_only([])
    shutil.rmtree(tmp_path / "counts")


def test_a_batch_sees_its_own_writes_and_nobody_else_does() -> None:
    store = MemoryStore()
    store.apply({b"a": b"1", b"b": b"2"}, 0)
    table = PartitionTable(store)
    table.set_many({b"a": b"new", b"b": None})
    table.set(b"c", b"3")
    table.set(b"c", b"4")
    assert table.get_many([b"a", b"b", b"c", b"d"]) == {b"a": b"new", b"c": b"4"}
    assert table.get(b"b") is None
    assert PartitionTable(store).get_many([b"a", b"b", b"c"]) == {b"a": b"1", b"b": b"2"}
    assert table.changes == {b"a": b"new", b"b": None, b"c": b"4"}


def test_the_lease_runs_from_the_sending_of_the_last_acknowledged_heartbeat() -> None:
    clock = ManualClock(datetime(2026, 3, 2, tzinfo=UTC))
    ownership = Ownership(SESSION, clock)
    ownership.begin()
    assert not ownership.leased()
    sent_at = ownership.now()
    clock.advance(timedelta(seconds=5))
    ownership.renew(sent_at)
    assert ownership.leased()
    clock.advance(timedelta(seconds=1))
    assert not ownership.leased()


def test_a_tenure_ends_with_its_assignment() -> None:
    ownership = Ownership(SESSION)
    ownership.begin()
    mine = ownership.tenure
    ownership.check(mine)
    ownership.end()
    ownership.begin()
    with pytest.raises(StalePartition):
        ownership.check(mine)


# From Kafka's own UtilsTest.testMurmur2.
JAVA_MURMUR2 = {
    b"21": -973932308,
    b"foobar": -790332482,
    b"a-little-bit-long-string": -985981536,
    b"a-little-bit-longer-string": -1486304829,
    b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8": -58897971,
}


@pytest.mark.parametrize("key", JAVA_MURMUR2)
async def test_keys_go_where_javas_default_partitioner_sends_them(
    monkeypatch: pytest.MonkeyPatch, key: bytes
) -> None:
    class ManyPartitions:
        async def partitions_for(self, _: str) -> set[int]:
            return set(range(1009))

    async def delivered(topic: str, partition: int, *_: object) -> int:
        places.append((topic, partition))
        return 0

    places: list[tuple[str, int]] = []
    producer = BatchProducer("127.0.0.1:1")
    monkeypatch.setattr(producer, "_producer", ManyPartitions())
    monkeypatch.setattr(producer, "_deliver", delivered)
    await producer.publish([Output("topic", key, b"")])
    assert places == [("topic", (JAVA_MURMUR2[key] & 0x7FFFFFFF) % 1009)]


def test_changelogs_are_the_declared_ones(tmp_path: Path) -> None:
    driver = Driver(Settings(data_dir=tmp_path), "app", "service", ("baskets", "pairs"), "memory")
    declared = {topic.name for topic in faust_topics("app", ("baskets", "pairs")) if topic.compacted}
    assert {driver.changelog(table) for table in driver.tables} == declared
    assert changelog_name("app", "pairs") in declared
