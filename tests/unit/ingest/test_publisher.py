"""When publishing fails: what passes, what never will, and how much may be under way."""

import asyncio

import pytest
from aiokafka.errors import KafkaError, KafkaTimeoutError, OutOfOrderSequenceNumber

from services.ingest.publisher import Busy, Gate, KafkaAway, Publisher
from shared.errors import InfrastructureError
from shared.kafka.outbox import Outgoing
from tests.support import eventually

ONE = Outgoing("orders", b"key", b"value")
AT_ONCE, PATIENTLY = 0.0, 10.0


class Broker:
    """Stands for a producer whose acknowledgements the test gives."""

    def __init__(self) -> None:
        self.sent: list[asyncio.Future[None]] = []

    async def send(self, *_: object) -> asyncio.Future[None]:
        """Keep the record's future for the test to settle."""
        self.sent.append(asyncio.get_running_loop().create_future())
        return self.sent[-1]


@pytest.fixture
def broker() -> Broker:
    return Broker()


@pytest.mark.parametrize(
    "error", [OutOfOrderSequenceNumber(), KafkaError("Unexpected error during batch delivery")]
)
async def test_a_producer_that_can_never_publish_again_is_told(broker: Broker, error: KafkaError) -> None:
    publisher = Publisher(broker)
    publishing = asyncio.ensure_future(publisher.publish([ONE]))
    await eventually(lambda: broker.sent)
    broker.sent[0].set_exception(error)
    with pytest.raises(InfrastructureError):
        await publishing
    assert publisher.broken


async def test_a_fault_that_passes_breaks_nothing(broker: Broker) -> None:
    publisher = Publisher(broker)
    publishing = asyncio.ensure_future(publisher.publish([ONE]))
    await eventually(lambda: broker.sent)
    broker.sent[0].set_exception(KafkaTimeoutError())
    with pytest.raises(KafkaTimeoutError):
        await publishing
    assert publisher.broken is None


async def test_events_count_as_under_way_until_kafka_answers_even_when_their_request_is_over(
    broker: Broker,
) -> None:
    gate = Gate(Publisher(broker), limit=2, ack_seconds=AT_ONCE)
    with pytest.raises(KafkaAway):
        await gate.take([ONE, ONE])
    assert gate.in_flight == 2
    with pytest.raises(Busy):
        await gate.take([ONE])
    await eventually(lambda: len(broker.sent) == 2)
    for future in broker.sent:
        future.set_result(None)
    await eventually(lambda: gate.in_flight == 0)


async def test_a_batch_over_the_limit_passes_when_nothing_else_is_under_way(broker: Broker) -> None:
    gate = Gate(Publisher(broker), limit=1, ack_seconds=PATIENTLY)
    taking = asyncio.ensure_future(gate.take([ONE, ONE]))
    await eventually(lambda: len(broker.sent) == 2)
    for future in broker.sent:
        future.set_result(None)
    await taking
