"""Tables on a real broker: they agree with a recount, whatever became of the worker's files."""

import asyncio
import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest
from aiokafka import TopicPartition

from shared.embedded import EmbeddedKafka
from shared.errors import TopicsError
from shared.kafka.faust import Output, Tables, batch_agent, make_app, run
from shared.kafka.faust.changelog import restore
from shared.kafka.faust.stores import Kind, MemoryStore
from shared.kafka.records import Admitted
from tests.support import eventually
from tests.support.driver import (
    Names,
    admit_all,
    all_committed,
    counted,
    counting_app,
    create,
    create_for,
    delta_origins,
    expected,
    produce,
    read_all,
    running,
    settings_for,
    some_records,
)


@pytest.fixture
async def names(kafka: EmbeddedKafka, unique: str) -> Names:
    """Give topics of the test's own, created."""
    found = Names(unique)
    await create_for(kafka.bootstrap, found)
    return found


@pytest.mark.parametrize("store", ["memory", "rocksdb"])
async def test_counts_and_outputs_agree_with_a_recount_and_survive_a_restart(
    kafka: EmbeddedKafka, names: Names, tmp_path: Path, store: Kind
) -> None:
    for round_ in (1, 2):
        await produce(kafka.bootstrap, names.source.name, some_records(500))
        async with running(counting_app(settings_for(kafka.bootstrap, tmp_path), names, store)):
            await eventually(lambda: all_committed(kafka.bootstrap, names))
        assert await counted(kafka.bootstrap, names) == Counter(
            {key: count * round_ for key, count in expected(500).items()}
        )
        assert len(await delta_origins(kafka.bootstrap, names)) == 500 * round_


async def test_a_worker_that_lost_its_files_is_rebuilt_from_the_changelog(
    kafka: EmbeddedKafka, names: Names, tmp_path: Path
) -> None:
    for folder in ("first", "second"):
        await produce(kafka.bootstrap, names.source.name, some_records(300))
        async with running(counting_app(settings_for(kafka.bootstrap, tmp_path / folder), names, "rocksdb")):
            await eventually(lambda: all_committed(kafka.bootstrap, names))
    assert await counted(kafka.bootstrap, names) == Counter({k: 2 * n for k, n in expected(300).items()})


async def test_a_store_that_the_changelog_cannot_have_filled_is_named_and_not_trusted(
    kafka: EmbeddedKafka, names: Names
) -> None:
    await produce(kafka.bootstrap, names.changelog, [(b"key", b"1")] * 3)
    ends = Counter(record.partition for record in await read_all(kafka.bootstrap, names.changelog))
    ((partition, end),) = ends.items()
    ahead, behind = MemoryStore(), MemoryStore()
    ahead.apply({b"key": b"of another time"}, end)
    place = TopicPartition(names.changelog, partition)
    assert await restore(kafka.bootstrap, {place: ahead}, lambda: None) == {place}
    assert await restore(kafka.bootstrap, {place: behind}, lambda: None) == set()
    assert (behind.get_many([b"key"]), behind.offset) == ({b"key": b"1"}, end - 1)


async def test_topics_that_share_a_table_are_counted_together(
    kafka: EmbeddedKafka, names: Names, tmp_path: Path
) -> None:
    other = Names(f"{names.prefix}x")
    await create(kafka.bootstrap, {other.source.name: {}})
    for source in (names.source, other.source):
        await produce(kafka.bootstrap, source.name, some_records(400))
    app = make_app(
        settings_for(kafka.bootstrap, tmp_path), names.app_id, "test", tables=("counts",), store="memory"
    )

    async def add(batch: Sequence[Admitted], tables: Tables) -> list[Output]:
        known = tables["counts"].get_many({one.record.key or b"" for one in batch})
        await asyncio.sleep(0)  # lets the other agent in, if it could come in
        for key in (one.record.key or b"" for one in batch):
            known[key] = json.dumps(
                {"count": json.loads(known.get(key, b'{"count": 0}'))["count"] + 1}
            ).encode()
        tables["counts"].set_many(known)
        return []

    for source in (names.source, other.source):
        batch_agent(app, source, tables=("counts",), admit=admit_all)(add)
    async with running(app):
        await eventually(lambda: sum(app.driver.done.values()) == 800)
    assert await counted(kafka.bootstrap, names) == expected(400) + expected(400)


async def test_unequal_partition_counts_are_refused_before_anything_is_read(
    kafka: EmbeddedKafka, unique: str, tmp_path: Path
) -> None:
    names = Names(unique)
    await create(kafka.bootstrap, {names.source.name: {}}, partitions=3)
    await create(kafka.bootstrap, {names.changelog: {}}, partitions=2)
    with pytest.raises(TopicsError, match=r"3 partitions.*2.*topics apply"):
        await run(counting_app(settings_for(kafka.bootstrap, tmp_path), names), asyncio.Event())
