"""What keeps a worker whose partitions may be another's from writing, and a new owner from missing records."""

import asyncio
from collections.abc import Mapping, Sequence
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka.errors import KafkaError
from faust.types import TP

from shared.errors import StalePartition
from shared.kafka.faust import producer as module
from shared.kafka.faust.consumer import BatchConsumer, ConsumerThread
from shared.kafka.faust.producer import BatchProducer, Output, Permit
from tests.support import eventually


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


class Rebalanced:
    """A batch consumer whose partitions are reassigned while it fetches, or before it hands the second batch on."""

    should_stop = False
    flow_active = True
    getmany = BatchConsumer.getmany

    def __init__(self, *, active: set[str], generations: Sequence[int]) -> None:
        self.app = SimpleNamespace(consumer_generation_id=0)
        self._generations = iter(generations)
        self._active = active
        self.given_back: dict[str, list[str]] = {}
        self._thread = SimpleNamespace(give_back=self._take_back)

    async def _take_back(self, records: dict[str, list[str]]) -> None:
        self.given_back.update(records)

    async def _wait_next_records(self, _: float) -> tuple[dict[TP, list[str]], None]:
        self.app.consumer_generation_id = next(self._generations)
        return {ORDERS_0: ["a"], ORDERS_1: ["b", "c"], RETURNS_0: []}, None

    def _get_active_partitions(self) -> set[str]:
        return self._active

    def _batch_message(self, _: TP, batch: list[str]) -> list[str]:
        self.app.consumer_generation_id = next(self._generations)
        return batch


ORDERS_0, ORDERS_1, RETURNS_0 = TP("orders", 0), TP("orders", 1), TP("returns", 0)


@pytest.mark.parametrize(
    ("active", "generations", "handed_on", "given_back"),
    [
        ({ORDERS_0, ORDERS_1}, (0, 0, 0), [["a"], ["b", "c"]], {}),
        ({ORDERS_1}, (0, 0), [["b", "c"]], {ORDERS_0: ["a"]}),
        ({ORDERS_0, ORDERS_1}, (1,), [], {ORDERS_0: ["a"], ORDERS_1: ["b", "c"]}),
        ({ORDERS_0, ORDERS_1}, (0, 1), [["a"]], {ORDERS_1: ["b", "c"]}),
    ],
    ids=["nothing happens", "one is not active", "reassigned while fetching", "reassigned in between"],
)
async def test_what_is_fetched_is_handed_on_or_given_back(
    active: set[str], generations: Sequence[int], handed_on: list[list[str]], given_back: dict[TP, list[str]]
) -> None:
    consumer: Any = Rebalanced(active=active, generations=generations)
    assert [batch async for _, batch in consumer.getmany(1.0)] == handed_on
    assert consumer.given_back == given_back


@pytest.mark.parametrize(
    ("position", "assigned", "sought"),
    [(8, {"orders-0"}, [("orders-0", 5)]), (3, {"orders-0"}, []), (8, set(), [])],
    ids=["nobody sought since", "sought since", "not ours any more"],
)
async def test_what_is_given_back_is_fetched_again_unless_its_position_was_set_since(
    position: int, assigned: set[str], sought: list[tuple[str, int]]
) -> None:
    found: list[tuple[str, int]] = []

    class Consumer:
        def assignment(self) -> set[str]:
            return assigned

        async def position(self, _: str) -> int:
            return position

        def seek(self, place: str, offset: int) -> None:
            found.append((place, offset))

    thread: Any = ConsumerThread.__new__(ConsumerThread)
    thread._ensure_consumer = Consumer  # noqa: SLF001  # as above
    batch = [SimpleNamespace(offset=5), SimpleNamespace(offset=7)]
    await thread._give_back({"orders-0": batch})  # noqa: SLF001  # what runs in the thread
    assert found == sought


async def test_who_waits_for_a_producer_that_another_partitions_failure_closed_sends_again(
    producer: BatchProducer,
) -> None:
    publishing = asyncio.ensure_future(
        producer.publish([RECORD, Output("changelog", b"key", b"value", (), 1)])
    )
    first = SilentBroker.made[0]
    await eventually(lambda: len(first.sent) == 2)
    first.sent[0].set_exception(KafkaError())
    assert await asyncio.wait_for(publishing, 20) == {("changelog", 0): 7, ("changelog", 1): 7}
    assert len(SilentBroker.made[1].sent) == 2
