"""The driver's promises on a real broker: nothing is committed before it is durable, and no error is swallowed."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaTimeoutError, OutOfOrderSequenceNumber

from shared.embedded import EmbeddedKafka
from shared.errors import RetryLater
from shared.kafka.faust import Output, Tables, batch_agent, make_app, run
from shared.kafka.faust.producer import BatchProducer
from shared.kafka.records import Admitted
from tests.support import eventually
from tests.support.driver import (
    Names,
    admit_all,
    all_committed,
    committed,
    count_batch,
    counted,
    counting_app,
    create_for,
    delta_origins,
    expected,
    members,
    produce,
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


async def test_a_batch_holds_one_partitions_records_in_order_and_its_last_offset_is_committed(
    kafka: EmbeddedKafka, names: Names, tmp_path: Path
) -> None:
    await produce(kafka.bootstrap, names.source.name, some_records(1000))
    app = make_app(settings_for(kafka.bootstrap, tmp_path), names.app_id, "test")
    batches: list[Sequence[Admitted]] = []

    @batch_agent(app, names.source, admit=admit_all)
    async def keep(batch: Sequence[Admitted], _: Tables) -> list[Output]:
        batches.append(batch)
        return []

    async with running(app):
        await eventually(lambda: all_committed(kafka.bootstrap, names))
    assert all(len({one.record.partition for one in batch}) == 1 for batch in batches)
    assert max(len(batch) for batch in batches) > 1
    offsets: dict[int, list[int]] = {}
    for one in (one for batch in batches for one in batch):
        offsets.setdefault(one.record.partition, []).append(one.record.offset)
    assert all(found == list(range(len(found))) for found in offsets.values())
    assert sum(map(len, offsets.values())) == 1000


@pytest.mark.parametrize("held", ["changelog", "deltas"])
async def test_no_commit_runs_ahead_of_the_changelog_or_of_an_output(
    kafka: EmbeddedKafka, names: Names, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, held: str
) -> None:
    reached, let_go = asyncio.Event(), asyncio.Event()
    deliver = BatchProducer._deliver  # noqa: SLF001  the one place that all records pass
    topic = {"changelog": names.changelog, "deltas": names.deltas}[held]

    async def slow(
        self: BatchProducer,
        to: str,
        partition: int,
        records: Sequence[Output],
        *rest: Any,  # noqa: ANN401  # whatever else it takes
    ) -> int:
        if to == topic:
            reached.set()
            await let_go.wait()
        return await deliver(self, to, partition, records, *rest)

    monkeypatch.setattr(BatchProducer, "_deliver", slow)
    await produce(kafka.bootstrap, names.source.name, some_records(200))
    app = counting_app(settings_for(kafka.bootstrap, tmp_path), names)
    async with running(app):
        await asyncio.wait_for(reached.wait(), 20)
        for _ in range(3):
            await app.consumer.commit()
            assert await committed(kafka.bootstrap, names) == {}
        let_go.set()
        await eventually(lambda: all_committed(kafka.bootstrap, names))
    assert await counted(kafka.bootstrap, names) == expected(200)


async def test_a_produce_that_fails_is_repeated_until_it_works(
    kafka: EmbeddedKafka, names: Names, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    send, failures = AIOKafkaProducer.send_batch, [KafkaTimeoutError(), OutOfOrderSequenceNumber()]

    async def sometimes(self: AIOKafkaProducer, *arguments: Any, **named: Any) -> Any:  # noqa: ANN401  aiokafka's own
        if failures:
            raise failures.pop()
        return await send(self, *arguments, **named)

    monkeypatch.setattr(AIOKafkaProducer, "send_batch", sometimes)
    await produce(kafka.bootstrap, names.source.name, some_records(200))
    async with running(counting_app(settings_for(kafka.bootstrap, tmp_path), names)) as task:
        await eventually(lambda: all_committed(kafka.bootstrap, names))
        assert not task.done()
    assert not failures
    assert await counted(kafka.bootstrap, names) == expected(200)
    assert len(await delta_origins(kafka.bootstrap, names)) == 200


async def test_an_error_in_processing_ends_the_service_and_acknowledges_nothing(
    kafka: EmbeddedKafka, names: Names, tmp_path: Path
) -> None:
    await produce(kafka.bootstrap, names.source.name, some_records(100))
    app = make_app(
        settings_for(kafka.bootstrap, tmp_path), names.app_id, "test", tables=("counts",), store="memory"
    )

    @batch_agent(app, names.source, tables=("counts",), admit=admit_all)
    async def fail(batch: Sequence[Admitted], tables: Tables) -> list[Output]:
        count_batch(batch, tables, names)
        message = "a rule is broken"
        raise ArithmeticError(message)

    with pytest.raises(ArithmeticError):
        await asyncio.wait_for(run(app, asyncio.Event()), 40)
    assert await committed(kafka.bootstrap, names) == {}
    assert await counted(kafka.bootstrap, names) == Counter()
    async with running(counting_app(settings_for(kafka.bootstrap, tmp_path), names)):
        await eventually(lambda: all_committed(kafka.bootstrap, names))
    assert await counted(kafka.bootstrap, names) == expected(100)


async def test_retry_later_is_retried_without_a_commit_until_it_works(
    kafka: EmbeddedKafka, names: Names, tmp_path: Path
) -> None:
    await produce(kafka.bootstrap, names.source.name, some_records(10))
    app = make_app(
        settings_for(kafka.bootstrap, tmp_path), names.app_id, "test", tables=("counts",), store="memory"
    )
    refusals: list[dict[int, int]] = []

    @batch_agent(app, names.source, tables=("counts",), admit=admit_all)
    async def sometimes(batch: Sequence[Admitted], tables: Tables) -> list[Output]:
        outputs = count_batch(batch, tables, names)
        if len(refusals) < 2:
            await app.consumer.commit()
            refusals.append(await committed(kafka.bootstrap, names))
            message = "the database is away"
            raise RetryLater(message)
        return outputs

    async with running(app):
        await eventually(lambda: all_committed(kafka.bootstrap, names))
    assert refusals[0] == {}
    assert await counted(kafka.bootstrap, names) == expected(10)


async def test_stop_finishes_the_batch_in_hand_commits_it_and_leaves_the_group(
    kafka: EmbeddedKafka, names: Names, tmp_path: Path
) -> None:
    await produce(kafka.bootstrap, names.source.name, [(b"key", b"1")])
    app = make_app(
        settings_for(kafka.bootstrap, tmp_path), names.app_id, "test", tables=("counts",), store="memory"
    )
    begun, finish, stop = asyncio.Event(), asyncio.Event(), asyncio.Event()

    @batch_agent(app, names.source, tables=("counts",), admit=admit_all)
    async def slowly(batch: Sequence[Admitted], tables: Tables) -> list[Output]:
        begun.set()
        await finish.wait()
        return count_batch(batch, tables, names)

    task = asyncio.create_task(run(app, stop))
    await asyncio.wait_for(begun.wait(), 30)
    stop.set()
    await eventually(app.driver.closing.is_set)
    assert not app.driver.ready.is_set()
    finish.set()
    await asyncio.wait_for(task, 30)
    assert await counted(kafka.bootstrap, names) == {b"key": 1}
    assert sum((await committed(kafka.bootstrap, names)).values()) == 1
    assert await members(kafka.bootstrap, names) == []


async def test_stop_during_the_start_ends_without_an_error(
    kafka: EmbeddedKafka, names: Names, tmp_path: Path
) -> None:
    stop = asyncio.Event()
    stop.set()
    await asyncio.wait_for(run(counting_app(settings_for(kafka.bootstrap, tmp_path), names), stop), 40)
    assert await members(kafka.bootstrap, names) == []


async def test_readiness_and_lag_tell_how_far_a_worker_is(
    kafka: EmbeddedKafka, names: Names, tmp_path: Path
) -> None:
    app = make_app(settings_for(kafka.bootstrap, tmp_path), names.app_id, "test", store="memory")
    go_on = asyncio.Event()

    @batch_agent(app, names.source, admit=admit_all)
    async def wait(_: Sequence[Admitted], __: Tables) -> list[Output]:
        await go_on.wait()
        return []

    assert not app.driver.ready.is_set()
    await produce(kafka.bootstrap, names.source.name, some_records(90))
    async with running(app):
        assert app.driver.ready.is_set()
        await eventually(lambda: sum(app.driver.lag().values()) == 90)
        go_on.set()
        await eventually(lambda: sum(app.driver.lag().values()) == 0)
        assert {part for _, part in app.driver.lag()} == {0, 1, 2}


@pytest.mark.parametrize("codec", ["lz4", "snappy", "zstd", "gzip", None])
async def test_every_codec_is_read(kafka: EmbeddedKafka, names: Names, tmp_path: Path, codec: Any) -> None:  # noqa: ANN401  aiokafka's own type
    await produce(kafka.bootstrap, names.source.name, some_records(100), compression_type=codec)
    async with running(counting_app(settings_for(kafka.bootstrap, tmp_path), names)):
        await eventually(lambda: all_committed(kafka.bootstrap, names))
    assert await counted(kafka.bootstrap, names) == expected(100)
