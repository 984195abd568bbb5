"""When the guard stops a service, and that starting it again and again drains no topic."""

import asyncio
from collections.abc import Sequence

import pytest

from shared.errors import EventError, Refusal, TooManyDeadLetters
from shared.kafka.guard import FORGIVEN, Guard
from shared.kafka.records import Record
from shared.topics import ORDERS
from tests.support import samples

LIMIT, WINDOW, BATCH = 500, 1000, 500
ORDER = samples.order("o-1")
WRONG = EventError(Refusal.TOO_LARGE, "too large in canonical form")


class Letters:
    """Stands for a producer of dead letters whose broker acknowledges at once, or is away."""

    def __init__(self) -> None:
        self.values: list[bytes | None] = []
        self.away = False

    async def send(
        self,
        _: str,
        value: bytes | None = None,
        key: bytes | None = None,
        *,
        headers: Sequence[tuple[str, bytes]] | None = None,
    ) -> asyncio.Future[object]:
        """Keep the value of a dead letter, with its key and headers as the guard gave them."""
        if self.away:
            raise ConnectionError
        assert key
        assert headers
        self.values.append(value)
        acknowledged: asyncio.Future[object] = asyncio.get_running_loop().create_future()
        acknowledged.set_result(None)
        return acknowledged


@pytest.fixture
def letters() -> Letters:
    return Letters()


def _topic(kinds: str) -> list[Record]:
    """Give a partition of good (`g`) and bad (`b`) records."""
    values = {"g": ORDER.encode(), "b": b"not json"}
    key = samples.key_of(ORDER)
    return [Record(ORDERS.name, 0, offset, key, values[kind]) for offset, kind in enumerate(kinds)]


def _guard(letters: Letters, limit: int = LIMIT, window: int = WINDOW) -> Guard:
    return Guard("tests", letters, limit, window)


async def _read(guard: Guard, topic: Sequence[Record], position: int, batch: int = BATCH) -> int:
    """Read on until the end, or until the guard stops the service; returns the position reached."""
    while position < len(topic):
        records = topic[position : position + batch]
        try:
            await guard.admit(records)
        except TooManyDeadLetters:
            return position
        position += len(records)
    return position


async def test_restarts_on_a_topic_of_only_bad_records_write_no_dead_letters(letters: Letters) -> None:
    topic = _topic("b" * 5000)
    for _ in range(10):
        assert await _read(_guard(letters), topic, 0) == 0
    assert letters.values == []


async def test_restarts_after_a_bad_deploy_write_no_dead_letters_after_the_first_stop(
    letters: Letters,
) -> None:
    topic = _topic("g" * 2000 + "b" * 5000)
    stopped_at = await _read(_guard(letters), topic, 0)
    written = len(letters.values)
    assert written <= LIMIT
    assert stopped_at == 2000 + written
    for _ in range(10):
        assert await _read(_guard(letters), topic, stopped_at) == stopped_at
    assert len(letters.values) == written


@pytest.mark.parametrize("batch", [1, 7])
async def test_where_calls_are_small_a_start_gives_no_more_dead_letters_than_are_forgiven(
    letters: Letters, batch: int
) -> None:
    assert await _read(_guard(letters), _topic("b" * 5000), 0, batch) == FORGIVEN - FORGIVEN % batch
    assert len(letters.values) == FORGIVEN - FORGIVEN % batch


@pytest.mark.parametrize("batch", [1, 7, BATCH])
async def test_some_poison_at_the_start_of_a_quiet_topic_passes(letters: Letters, batch: int) -> None:
    topic = _topic("b" * FORGIVEN)
    assert await _read(_guard(letters), topic, 0, batch) == FORGIVEN
    assert len(letters.values) == FORGIVEN


async def test_poison_among_as_many_good_records_passes(letters: Letters) -> None:
    assert await _read(_guard(letters), _topic("gb" * 2000), 0) == 4000


@pytest.mark.parametrize("batch", [1, BATCH, 5000])
async def test_more_than_the_limit_in_a_window_stops_whatever_the_batches(
    letters: Letters, batch: int
) -> None:
    topic = _topic("g" * 2000 + "b" * (LIMIT + 1) + "g" * 2000)
    assert await _read(_guard(letters), topic, 0, batch) < 2000 + LIMIT + 1
    assert len(letters.values) <= LIMIT


async def test_as_many_as_the_limit_in_a_window_pass(letters: Letters) -> None:
    topic = _topic("g" * 2000 + "b" * LIMIT + "g" * 2000)
    assert await _read(_guard(letters), topic, 0) == len(topic)


async def test_a_limit_under_what_is_forgiven_holds_from_the_start(letters: Letters) -> None:
    assert await _read(_guard(letters, 5, 100), _topic("bbbbbb"), 0) == 0
    assert await _read(_guard(letters, 5, 100), _topic("bbbbb"), 0) == 5


async def test_a_limit_as_large_as_the_window_never_stops(letters: Letters) -> None:
    assert await _read(_guard(letters, WINDOW, WINDOW), _topic("b" * 3000), 0) == 3000


async def test_a_batch_that_comes_again_and_again_counts_once(letters: Letters) -> None:
    guard, batch = _guard(letters), _topic("b" * FORGIVEN)
    for _ in range(10):
        await guard.admit(batch)


async def test_a_batch_whose_dead_letters_could_not_be_written_does_not_count(letters: Letters) -> None:
    guard, topic = _guard(letters), _topic("b" * 2 * FORGIVEN)
    letters.away = True
    with pytest.raises(ConnectionError):
        await guard.admit(topic[:FORGIVEN])
    letters.away = False
    await guard.admit(topic[FORGIVEN:])
    assert len(letters.values) == FORGIVEN


async def test_what_a_rule_refuses_counts_like_what_cannot_be_read_and_is_written_all_or_not(
    letters: Letters,
) -> None:
    topic = _topic("g" * BATCH)
    for _ in range(3):
        guard = _guard(letters)
        await guard.admit(topic)
        with pytest.raises(TooManyDeadLetters):
            await guard.refuse_all([(record, WRONG) for record in topic])
    assert letters.values == []
    await guard.refuse(topic[0], WRONG)
    assert letters.values == [topic[0].value]
