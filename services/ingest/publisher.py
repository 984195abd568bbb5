"""The one writer to Kafka: everything it is given is with the broker when it returns."""

import asyncio
from collections.abc import Sequence

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from shared.errors import InfrastructureError, OrderwakeError
from shared.kafka.outbox import Outgoing
from shared.kafka.producer import is_fatal


class Busy(OrderwakeError):  # noqa: N818  it names the state found
    """More events await Kafka than the limit allows."""


class KafkaAway(OrderwakeError):  # noqa: N818  it names the state found
    """Kafka did not acknowledge in time. The events may still arrive; sending them again is safe."""


class Publisher:
    """Publishes in order and waits for every acknowledgement.

    `broken` is set when the producer can never publish again; the process has to be started anew.
    """

    def __init__(self, producer: AIOKafkaProducer) -> None:
        self._producer = producer
        self.broken: InfrastructureError | None = None

    async def publish(self, outgoing: Sequence[Outgoing]) -> None:
        """Return when the broker has all. Raises KafkaError; InfrastructureError if only a restart helps."""
        try:
            sent = [await self._producer.send(one.topic, one.value, one.key) for one in outgoing]
            if sent:
                await asyncio.gather(*sent)
        except KafkaError as error:
            if not is_fatal(error):
                raise
            message = f"the Kafka producer cannot go on ({type(error).__name__}); start the process anew"
            self.broken = InfrastructureError(message)
            raise self.broken from error


class Gate:
    """Lets events of requests through to Kafka: at most `limit` at a time, each for at most `ack_seconds`."""

    def __init__(self, publisher: Publisher, limit: int, ack_seconds: float) -> None:
        self._publisher = publisher
        self._limit = limit
        self._ack_seconds = ack_seconds
        self._tasks: set[asyncio.Task[None]] = set()
        self.in_flight = 0

    async def take(self, outgoing: Sequence[Outgoing]) -> None:
        """Return when Kafka has acknowledged all. Raises Busy (nothing was sent) or KafkaAway."""
        if self.in_flight and self.in_flight + len(outgoing) > self._limit:
            raise Busy
        self.in_flight += len(outgoing)
        task = asyncio.ensure_future(self._publisher.publish(outgoing))
        self._tasks.add(task)
        task.add_done_callback(lambda done: self._settle(done, len(outgoing)))
        await asyncio.wait({task}, timeout=self._ack_seconds)
        if not task.done() or task.exception():
            raise KafkaAway

    def _settle(self, task: asyncio.Task[None], count: int) -> None:
        """A publish that outlived its request still counts, until Kafka has answered."""
        self._tasks.discard(task)
        self.in_flight -= count
        if not task.cancelled():
            task.exception()
