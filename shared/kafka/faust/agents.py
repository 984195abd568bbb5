"""Agents that take a batch, and what surrounds them: guard, retries, durable writes, acknowledgement."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from itertools import count
from typing import Any, TypeVar, cast

import faust
import structlog
from faust.streams import Stream
from faust.types import AppT, EventT, Message

from shared import metrics
from shared.clock import SystemClock
from shared.errors import RetryLater, StalePartition, TooManyDeadLetters
from shared.kafka.faust.consumer import driver_of
from shared.kafka.faust.driver import Driver, Place
from shared.kafka.faust.producer import WHOLE_BYTES, Output, size_of
from shared.kafka.faust.tables import Tables
from shared.kafka.guard import Check, Guard
from shared.kafka.records import Admitted, Record
from shared.topics import Topic

log = structlog.get_logger()

Process = Callable[[Sequence[Admitted], Tables], Awaitable[Iterable[Output]]]
Admit = Callable[[Sequence[Record]], Awaitable[list[Admitted]]]
T = TypeVar("T")

_ATTEMPTS = 3
_BACKOFF_SECONDS = (0.1, 0.5, 2.0, 5.0)
_CLOCK = SystemClock()


class _RawSchema(faust.Schema[Any, Any]):
    """Hands keys and values on as they are."""

    def compile(self, app: AppT, **_: object) -> Callable[..., Awaitable[EventT[Any]]]:
        async def decode(message: Message, **_: object) -> EventT[Any]:
            return app.create_event(message.key, message.value, {}, message)

        return decode


def batch_agent(  # noqa: PLR0913  each part may be named at the agent
    app: AppT,
    topic: Topic,
    *,
    tables: Sequence[str] = (),
    check: Check | None = None,
    admit: Admit | None = None,
    tables_first: bool = False,
) -> Callable[[Process], Process]:
    """Decorate `async def process(batch, tables) -> outputs` as the agent of a topic.

    `batch` are a partition's next records that passed the guard, in order; `tables` the named tables' partitions.
    `process` may be called again for the same batch and must then say the same. It raises RetryLater to be called
    again until it works; any other exception is tried three times and then stops the service. `check` is the
    guard's; `admit` takes the guard's place altogether. `tables_first` makes the tables durable before the outputs, and
    each table's changes all or none; a batch that changes more than that allows is taken in halves.
    """

    def decorate(process: Process) -> Process:
        driver = driver_of(app)
        unknown = set(tables) - set(driver.tables)
        if unknown:
            message = f"{topic.name}: tables {sorted(unknown)} were not given to make_app"
            raise ValueError(message)
        driver.tables_of[topic.name] = tuple(tables)
        handler = _Handler(
            driver, topic.name, process, admit or _guard(driver, check), tables_first=tables_first
        )

        async def agent(stream: Stream[Any]) -> None:
            async for event in stream.noack().events():
                await handler.handle(event)

        app.agent(app.topic(topic.name, schema=_RawSchema()), name=topic.name, concurrency=1)(
            cast("Any", agent)
        )
        return process

    return decorate


def _fit(tables: Tables) -> bool:
    """Whether each table's changes may be written as one batch."""
    return all(
        sum(size_of(key, value) for key, value in table.changes.items()) <= WHOLE_BYTES
        for table in tables.values()
    )


def _guard(driver: Driver, check: Check | None) -> Admit:
    limits = driver.settings.dead_letter_limit, driver.settings.dead_letter_window
    return Guard(driver.service, driver.producer, *limits, check).admit


class _Handler:
    """Takes one topic's batches through guard, process and write. Nothing is acknowledged before all is durable."""

    def __init__(
        self, driver: Driver, topic: str, process: Process, admit: Admit, *, tables_first: bool
    ) -> None:
        self._driver = driver
        self._topic = topic
        self._process = process
        self._admit = admit
        self._tables_first = tables_first

    async def handle(self, event: EventT[Any]) -> None:
        message: Message = event.message
        place = message.topic, message.partition
        if message.generation_id != event.app.consumer_generation_id:
            return  # fetched for a former assignment; this one began with what was committed
        tenure = self._driver.take(place)
        if tenure is None:
            return
        started = _CLOCK.monotonic()
        try:
            await self._effect(place, cast("Sequence[Record]", message.value), tenure)
        except StalePartition as stale:
            log.info("batch_dropped", topic=place[0], partition=place[1], why=str(stale))
        except Exception as error:  # noqa: BLE001  whatever it is, the batch must not be acknowledged
            self._driver.fail(error)
        else:
            message.ack(event.app.consumer)
            self._driver.finished(place, message.offset)
            metrics.BATCH_SECONDS.labels(self._topic).observe(_CLOCK.monotonic() - started)
        finally:
            self._driver.put_down()

    async def _effect(self, place: Place, records: Sequence[Record], tenure: int) -> None:
        begun = self._driver.done.get(place, -1)
        fresh = [record for record in records if record.offset >= begun]
        admitted = await self._insist(lambda: self._admit(fresh), tenure)
        await self._insist(lambda: self._run(place, admitted, tenure), tenure)

    async def _run(self, place: Place, admitted: Sequence[Admitted], tenure: int) -> None:
        async with self._driver.tables_for(*place) as tables:
            outputs = list(await self._process(admitted, tables)) if admitted else []
            if not self._tables_first or len(admitted) < 2 or _fit(tables):  # noqa: PLR2004  one cannot be halved
                await self._driver.write(place[1], tables, outputs, tenure, tables_first=self._tables_first)
                return
        half = len(admitted) // 2
        await self._run(place, admitted[:half], tenure)
        await self._run(place, admitted[half:], tenure)

    async def _insist(self, step: Callable[[], Awaitable[T]], tenure: int) -> T:
        for attempt in count(1):
            self._driver.ownership.check(tenure)
            try:
                return await step()
            except (StalePartition, TooManyDeadLetters):
                raise
            except RetryLater as error:
                log.warning("batch_waits", topic=self._topic, why=str(error), attempt=attempt)
            except Exception:
                if attempt >= _ATTEMPTS:
                    raise
                log.exception("batch_failed", topic=self._topic, attempt=attempt)
            await self._pause(_BACKOFF_SECONDS[min(attempt, len(_BACKOFF_SECONDS)) - 1])
        raise AssertionError

    async def _pause(self, seconds: float) -> None:
        """Wait, or drop the batch at once when the partition is being given up."""
        try:
            await asyncio.wait_for(self._driver.closing.wait(), seconds)
        except TimeoutError:
            return
        message = "the partition is being given up while the batch waits to be tried again"
        raise StalePartition(message)
