"""The guard between bytes and rules: decode, or dead letter, or stop.

A record that cannot be accepted becomes a dead letter, and its offset may be committed only after the broker has that
dead letter. When too much is refused, the fault is likelier ours (a bad deploy) than a producer's: TooManyDeadLetters
stops the service before the topic has drained into dead letters.

Too much is more than `limit` of the last `window` records (settings `dead_letter_limit`, 500, and `dead_letter_window`,
1000). A guard that has seen fewer since its start allows the same share of what it has seen, yet always `FORGIVEN` (19)
and never more than `limit`: some poison in a quiet topic passes, but a service that is started again and again does not
get a new window each time. It is decided for a whole call before any of its dead letters is written, so a call that
stops the service leaves no trace and comes again after the start, to be judged again. Where calls hold over `FORGIVEN`
records, a topic of bad ones only therefore gives no dead letter after a start; smaller calls give `FORGIVEN` at most.

If the records are bad and the service is not, raise the limit for as long as they last; limit = window never stops.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from itertools import accumulate, islice

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
Place = tuple[str, int, int]

FORGIVEN = 19


class Guard:
    """Admits records of declared topics. `check` may raise EventError for what a schema cannot say.

    `types` take the place of a topic's own event types for a reader that needs less of them, by topic name.
    """

    def __init__(  # noqa: PLR0913  what to admit, and when to stop
        self,
        service: str,
        producer: Producer,
        limit: int,
        window: int,
        check: Check | None = None,
        *,
        types: Mapping[str, Sequence[type[Event]]] | None = None,
    ) -> None:
        self._service = service
        self._producer = producer
        self._limit = limit
        self._window = window
        self._recent: dict[Place, bool] = {}
        self._check = check
        self._types = types or {}

    async def admit(self, records: Sequence[Record]) -> list[Admitted]:
        """The records that are good, in order. Dead letters of the others are with the broker on return.

        Raises TooManyDeadLetters over the limit: the records of this call were then neither admitted nor refused.
        Records that come again, because their batch failed, count once.
        """
        admitted: list[Admitted] = []
        refused: list[tuple[Record, EventError]] = []
        for record in records:
            try:
                whole = structured(record)
                admitted.append(Admitted(whole, self._decode(whole)))
            except EventError as error:
                refused.append((record, error))
        verdicts = dict.fromkeys(map(_place, records), False)
        verdicts |= {_place(record): True for record, _ in refused}
        self._stop_if_too_many(verdicts)
        for topic, number in Counter(record.topic for record in records).items():
            metrics.EVENTS_CONSUMED.labels(topic).inc(number)
        await dead_letters.write(self._producer, refused, self._service)
        self._note(verdicts)
        return admitted

    async def refuse(self, record: Record, error: EventError) -> None:
        """As `refuse_all`, for one record."""
        await self.refuse_all([(record, error)])

    async def refuse_all(self, refused: Sequence[tuple[Record, EventError]]) -> None:
        """Make dead letters of records that were admitted but that a rule refused.

        Raises TooManyDeadLetters over the limit: none of them has become a dead letter then.
        """
        verdicts = {_place(record): True for record, _ in refused}
        self._stop_if_too_many(verdicts)
        await dead_letters.write(self._producer, refused, self._service)
        self._note(verdicts)

    def _stop_if_too_many(self, verdicts: dict[Place, bool]) -> None:
        if not any(verdicts.values()):
            return
        sums = [0, *accumulate((self._recent | verdicts).values())]
        seen = min(len(sums) - 1, self._window)
        refused = max(total - sums[max(0, end - seen)] for end, total in enumerate(sums))
        if refused > min(self._limit, max(FORGIVEN, self._limit * seen // self._window)):
            message = (
                f"{refused} of {seen} records in a row were refused (limit {self._limit} of {self._window}); "
                "none of this batch is a dead letter: mend the fault, then start again, and nothing is skipped"
            )
            raise TooManyDeadLetters(message)

    def _note(self, verdicts: dict[Place, bool]) -> None:
        self._recent |= verdicts
        if len(self._recent) > self._window:
            self._recent = dict(islice(self._recent.items(), len(self._recent) - self._window, None))

    def _decode(self, record: Record) -> Event | None:
        if record.unreadable:
            raise EventError(Refusal.UNSUPPORTED_CODEC, record.unreadable)
        topic = BY_NAME[record.topic]
        if record.value is None and topic.compacted:
            if topic.key in (Key.CUSTOMER, Key.PRODUCT):
                _split(record)
            return None
        event = decode(record.value, self._types.get(topic.name, topic.types))
        if topic.key in (Key.CUSTOMER, Key.PRODUCT):
            _check_key(record, topic, event)
        if self._check:
            self._check(record, event)
        return event


def _place(record: Record) -> Place:
    return record.topic, record.partition, record.offset


def _split(record: Record) -> tuple[str, str]:
    try:
        return split_key(record.key or b"")
    except ValueError as error:
        raise EventError(Refusal.WRONG_KEY, str(error)) from None


def _check_key(record: Record, topic: Topic, event: Event) -> None:
    expected = event.customerid if topic.key is Key.CUSTOMER else event.data.product_id
    if _split(record) != (event.shopid, expected):
        raise EventError(Refusal.WRONG_KEY, "the key is not that of the event's shop and subject")
