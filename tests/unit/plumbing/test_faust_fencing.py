"""What keeps a worker whose partitions may be another's from writing, and a new owner from missing records."""

import asyncio
from collections.abc import Mapping, Sequence
from types import SimpleNamespace
from typing import Any

import pytest

from shared.errors import StalePartition
from shared.kafka.faust import producer as module
from shared.kafka.faust.consumer import ConsumerThread
from shared.kafka.faust.producer import BatchProducer, Output, Permit


class SilentBroker:
    """An aiokafka producer whose broker never answers, until it does."""

    made: list["SilentBroker"] = []  # noqa: RUF012  # one list for a test, emptied by the fixture

    def __init__(self) -> None:
        self.sent: list[asyncio.Future[SimpleNamespace]] = []
        self.closed = False
        self.client = SimpleNamespace(close=self._close)
        self._sender = SimpleNamespace(sender_task=None)
        self.made.append(self)

    async def _close(self) -> None:
        self.closed = True

    async def start(self) -> None:
        """Connect."""

    async def stop(self) -> None:
        """Flush and close."""

    def create_batch(self) -> SimpleNamespace:
        return SimpleNamespace(append=lambda **_: True)

    async def send_batch(self, *_: object, **__: object) -> "asyncio.Future[SimpleNamespace]":
        self.sent.append(asyncio.get_running_loop().create_future())
        if len(self.made) > 1:
            self.sent[-1].set_result(SimpleNamespace(offset=7))
        return self.sent[-1]


@pytest.fixture
async def producer(monkeypatch: pytest.MonkeyPatch) -> BatchProducer:
    monkeypatch.setattr(SilentBroker, "made", [])
    monkeypatch.setattr(module, "make_producer", lambda *_, **__: SilentBroker())
    monkeypatch.setattr(module, "_LOOK_SECONDS", 0.001)
    monkeypatch.setattr(module, "_BACKOFF_SECONDS", (0.0,))
    made = BatchProducer("nowhere:9092")
    await made.start()
    return made


RECORD = Output("changelog", b"key", b"value", (), 0)


async def test_what_is_under_way_is_cut_off_when_the_lease_ends_and_not_sent_again_by_who_lost_it(
    producer: BatchProducer,
) -> None:
    lost = False

    async def hold() -> None:
        if lost:
            raise StalePartition

    def expiring() -> bool:
        nonlocal lost
        lost = bool(SilentBroker.made[0].sent)
        return lost

    with pytest.raises(StalePartition):
        await producer.publish([RECORD], permit=Permit(hold, expiring))
    first = SilentBroker.made[0]
    assert (first.closed, len(first.sent)) == (True, 1)
    assert sum(len(one.sent) for one in SilentBroker.made[1:]) == 0


async def test_who_keeps_the_lease_after_all_sends_it_again_by_another_producer(
    producer: BatchProducer,
) -> None:
    async def hold() -> None:
        return

    ends = await producer.publish([RECORD], permit=Permit(hold, lambda: len(SilentBroker.made) == 1))
    assert ends == {("changelog", 0): 7}
    assert SilentBroker.made[0].closed
    assert len(SilentBroker.made[1].sent) == 1


async def test_partitions_of_which_nothing_was_committed_are_read_from_their_beginning() -> None:
    rewound: list[str] = []

    class Consumer:
        async def seek_to_committed(self) -> Mapping[str, int | None]:
            return {"orders-0": 5, "orders-1": None, "returns-0": 0}

        async def seek_to_beginning(self, *places: str) -> None:
            rewound.extend(places)

    thread: Any = ConsumerThread.__new__(ConsumerThread)
    thread._ensure_consumer = Consumer  # noqa: SLF001  # aiokafka's consumer, made without a broker

    async def at_once(step: Any, *given: object) -> object:  # noqa: ANN401  # whatever is to run in the thread
        return await step(*given)

    thread.call_thread = at_once
    assert await thread.seek_to_committed() == {"orders-0": 5, "orders-1": None, "returns-0": 0}
    assert rewound == ["orders-1", "returns-0"]


def limits(records: Sequence[Output]) -> int:
    return sum(module.size_of(record.key, record.value) for record in records)


async def test_a_whole_batch_is_not_split_and_others_are(
    producer: BatchProducer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(SilentBroker, "made", [SilentBroker(), SilentBroker()])
    producer._producer = SilentBroker.made[0]  # noqa: SLF001  # one that answers
    monkeypatch.setattr(module, "_BATCH_BYTES", limits([RECORD]))
    await producer.publish([RECORD] * 3)
    assert len(SilentBroker.made[0].sent) == 3
    await producer.publish([RECORD] * 3, whole=True)
    assert len(SilentBroker.made[0].sent) == 4
