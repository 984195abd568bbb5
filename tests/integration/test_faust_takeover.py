"""Workers that come, go, die and stall: each record is counted once, whoever counted it."""

import asyncio
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

import pytest

from shared.embedded import EmbeddedKafka
from shared.kafka.faust import Output, Tables, batch_agent, make_app
from shared.kafka.records import Admitted
from tests.support import eventually
from tests.support.driver import (
    KEYS,
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
    produce,
    read_all,
    running,
    settings_for,
    some_records,
)


class Workers:
    """Counting services as processes of their own, with a folder each."""

    def __init__(self, bootstrap: str, names: Names, folder: Path) -> None:
        self._arguments = (bootstrap, names.prefix)
        self._folder = folder
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self._started: Counter[str] = Counter()

    def start(self, name: str) -> None:
        """Start one; a name used before has that one's files. Only "b" keeps its tables in memory."""
        folder = self._folder / name
        folder.mkdir(exist_ok=True)
        command = [
            sys.executable,
            "-m",
            "tests.support.driver_worker",
            *self._arguments,
            str(folder),
            "memory" if name == "b" else "rocksdb",
        ]
        with (folder / "log").open("ab") as log:
            self._started[name] += 1
            self._running[name] = subprocess.Popen(command, stdout=log, stderr=log)  # noqa: S603  ours

    def ready(self, name: str) -> bool:
        """Whether the one started last has got partitions and restored their tables."""
        said = (self._folder / name / "log").read_text()
        assert self._running[name].poll() is None, said
        return (
            said.count("settings_read") == self._started[name]
            and "assigned" in said.split("settings_read")[-1]
        )

    def end(self, name: str, number: signal.Signals) -> int:
        """Signal one and return its exit code."""
        process = self._running.pop(name)
        os.kill(process.pid, number)
        return process.wait(60)

    def end_all(self) -> None:
        """Kill what still runs."""
        for name in list(self._running):
            self.end(name, signal.SIGKILL)


@contextmanager
def workers(bootstrap: str, names: Names, folder: Path) -> Iterator[Workers]:
    """Give workers that do not outlive the test."""
    found = Workers(bootstrap, names, folder)
    try:
        yield found
    finally:
        found.end_all()


class Feed:
    """Produces rounds of one record a key, all the while that the block runs. `rounds` is how many."""

    def __init__(self, bootstrap: str, names: Names) -> None:
        self._bootstrap = bootstrap
        self._names = names
        self._enough = False
        self.rounds = 0

    async def _run(self) -> None:
        while not self._enough:
            await produce(self._bootstrap, self._names.source.name, some_records(KEYS))
            self.rounds += 1

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._run())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._enough = True
        await asyncio.wait_for(self._task, 60)


async def some_committed(bootstrap: str, names: Names, count: int) -> bool:
    return sum((await committed(bootstrap, names)).values()) >= count


async def test_counts_are_exact_when_workers_join_leave_and_are_killed(
    kafka: EmbeddedKafka, unique: str, tmp_path: Path
) -> None:
    names = Names(unique)
    await create_for(kafka.bootstrap, names)
    with workers(kafka.bootstrap, names, tmp_path) as all_workers:
        async with Feed(kafka.bootstrap, names) as feed:
            for name in ("a", "b"):
                all_workers.start(name)
                await eventually(lambda: all_workers.ready(name), 60)  # noqa: B023  awaited within the loop
            all_workers.end("a", signal.SIGKILL)
            all_workers.start("a")
            await eventually(lambda: all_workers.ready("a"), 60)
            assert all_workers.end("b", signal.SIGTERM) == 0
        await eventually(lambda: all_committed(kafka.bootstrap, names), 60)
        assert all_workers.end("a", signal.SIGTERM) == 0
    assert await counted(kafka.bootstrap, names) == dict.fromkeys(expected(KEYS), feed.rounds)
    assert len(await delta_origins(kafka.bootstrap, names)) == feed.rounds * KEYS


async def test_counts_are_exact_when_the_broker_is_killed_in_the_middle(unique: str, tmp_path: Path) -> None:
    names, total = Names(unique), 2000
    with EmbeddedKafka(tmp_path / "kafka") as broker:
        await create_for(broker.bootstrap, names)
        await produce(broker.bootstrap, names.source.name, some_records(total))
        settings = settings_for(broker.bootstrap, tmp_path / "data", batch_records=20)
        async with running(counting_app(settings, names)) as task:
            await eventually(lambda: some_committed(broker.bootstrap, names, 20), 60)
            broker.kill()
            await asyncio.to_thread(broker.start)
            await produce(broker.bootstrap, names.source.name, some_records(total))
            await eventually(lambda: all_committed(broker.bootstrap, names), 60)
            assert not task.done()
        assert await counted(broker.bootstrap, names) == expected(total) + expected(total)
        assert len(await delta_origins(broker.bootstrap, names)) == 2 * total


async def test_a_worker_that_was_thrown_out_in_the_middle_of_a_batch_writes_nothing_of_it(
    kafka: EmbeddedKafka, unique: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = Names(unique)
    await create_for(kafka.bootstrap, names)
    await produce(kafka.bootstrap, names.source.name, [(b"key", b"1")])
    stalled = make_app(
        settings_for(kafka.bootstrap, tmp_path / "a"),
        names.app_id,
        "stalled",
        tables=("counts",),
        store="memory",
    )
    begun, wake = asyncio.Event(), asyncio.Event()

    @batch_agent(stalled, names.source, tables=("counts",), admit=admit_all)
    async def stall(batch: Sequence[Admitted], tables: Tables) -> list[Output]:
        begun.set()
        await wake.wait()
        for one in batch:
            tables["counts"].set(one.record.key or b"", b'{"count": 99, "offset": 0}')
        return [Output(names.deltas, b"key", b"from the stalled worker"), *count_batch(batch, tables, names)]

    async with running(stalled):
        await asyncio.wait_for(begun.wait(), 30)
        beating = asyncio.Event()
        thread: Any = stalled.consumer._thread  # type: ignore[attr-defined]  # noqa: SLF001  only there can beats be lost
        coordinator = thread._ensure_consumer()._coordinator  # noqa: SLF001  as above
        beat = coordinator._do_heartbeat  # noqa: SLF001  as above

        async def no_beat() -> bool:
            return bool(await beat()) if beating.is_set() else False

        monkeypatch.setattr(coordinator, "_do_heartbeat", no_beat)
        async with running(counting_app(settings_for(kafka.bootstrap, tmp_path / "b"), names)):
            await eventually(lambda: all_committed(kafka.bootstrap, names), 60)
            wake.set()
            beating.set()
            await eventually(lambda: stalled.driver.ownership.tenure > 1, 60)
            await eventually(stalled.driver.ready.is_set, 60)
    assert await counted(kafka.bootstrap, names) == {b"key": 1}
    assert [record.value.split(b"/")[-1] for record in await read_all(kafka.bootstrap, names.deltas)] == [
        b"0"
    ]
