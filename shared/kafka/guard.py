"""The guard between bytes and rules: decode, or dead letter, or stop.

A record that cannot be accepted becomes a dead letter, and its offset may be committed only after the broker has that
dead letter. When more than `limit` of the last `window` records are refused, the fault is likelier ours (a bad deploy)
than a producer's: TooManyDeadLetters stops the service before the topic has drained into dead letters.
"""

from collections import Counter, deque
from collections.abc import Callable, Sequence

from shared import metrics
from shared.errors import EventError, Refusal, TooManyDeadLetters
from shared.events import Event, decode
from shared.ids import split_key
from shared.kafka import dead_letters
from shared.kafka.binary import structured
from shared.kafka.dead_letters import Producer
from shared.kafka.records import Admitted, Record
from shared.topics import BY_NAME, Key, Topic

Check = Callable[[Record, Event], None]


class Guard:
    """Admits records of declared topics. `check` may raise EventError for what a schema cannot say."""

    def __init__(
        self, service: str, producer: Producer, limit: int, window: int, check: Check | None = None
    ) -> None:
        self._service = service
        self._producer = producer
        self._limit = limit
        self._recent: deque[bool] = deque(maxlen=window)
        self._check = check

    async def admit(self, records: Sequence[Record]) -> list[Admitted]:
        """The records that are good, in order. Dead letters of the others are with the broker on return.

        Raises TooManyDeadLetters over the limit: the records of this call were then neither admitted nor refused.
        """
        admitted: list[Admitted] = []
        refused: list[tuple[Record, EventError]] = []
        for record in records:
            try:
                whole = structured(record)
                admitted.append(Admitted(whole, self._decode(whole)))
                self._recent.append(False)
            except EventError as error:
                refused.append((record, error))
                self._recent.append(True)
                self._stop_if_too_many()
        for topic, number in Counter(record.topic for record in records).items():
            metrics.EVENTS_CONSUMED.labels(topic).inc(number)
        await dead_letters.write(self._producer, refused, self._service)
        return admitted

    async def refuse(self, record: Record, error: EventError) -> None:
        """Make a dead letter of a record that was admitted but that a rule refused."""
        self._recent.append(True)
        self._stop_if_too_many()
        await dead_letters.write(self._producer, [(record, error)], self._service)

    def _stop_if_too_many(self) -> None:
        if sum(self._recent) > self._limit:
            message = (
                f"{sum(self._recent)} of the last {len(self._recent)} records were refused (limit {self._limit}); "
                "look at the dead letters, mend the fault, then start again: nothing was skipped"
            )
            raise TooManyDeadLetters(message)

    def _decode(self, record: Record) -> Event | None:
        if record.unreadable:
            raise EventError(Refusal.UNSUPPORTED_CODEC, record.unreadable)
        topic = BY_NAME[record.topic]
        if record.value is None and topic.compacted:
            if topic.key in (Key.CUSTOMER, Key.PRODUCT):
                _split(record)
            return None
        event = decode(record.value, topic.types)
        if topic.key in (Key.CUSTOMER, Key.PRODUCT):
            _check_key(record, topic, event)
        if self._check:
            self._check(record, event)
        return event


def _split(record: Record) -> tuple[str, str]:
    try:
        return split_key(record.key or b"")
    except ValueError as error:
        raise EventError(Refusal.WRONG_KEY, str(error)) from None


def _check_key(record: Record, topic: Topic, event: Event) -> None:
    expected = event.customerid if topic.key is Key.CUSTOMER else event.data.product_id
    if _split(record) != (event.shopid, expected):
        raise EventError(Refusal.WRONG_KEY, "the key is not that of the event's shop and subject")
