"""Record batches that cannot be unpacked: an unknown or absent codec, or a broken batch.

aiokafka raises from the middle of a fetch and fetches the same batch again, for ever. After
`tolerate_unreadable_batches()` every consumer of the process gets one `UnreadableBatch` in the batch's place,
with the raw bytes as its value; `to_record` makes it a `Record` that the guard refuses as `unsupported_codec`.
"""

from collections.abc import Iterator
from typing import Any

from aiokafka.consumer import fetcher
from aiokafka.record.memory_records import MemoryRecords
from aiokafka.structs import ConsumerRecord, TopicPartition

from shared.kafka.records import Record

_LOG_OVERHEAD = 12
LAST_OFFSET_HEADER = "orderwake-origin-last-offset"


class UnreadableBatch(ConsumerRecord[bytes, bytes]):  # type: ignore[misc]  # aiokafka ships no types
    """Stands for all records of a batch: `offset` is the last one's, `value` the raw batch, `key` None."""

    first_offset: int
    problem: str


class _Batches:
    """aiokafka's MemoryRecords that still has the bytes of the batch it gave out last."""

    def __init__(self, raw: bytes) -> None:
        self._raw = raw
        self._inner = MemoryRecords(raw)
        self._start = self._end = 0

    def has_next(self) -> bool:
        return bool(self._inner.has_next())

    def size_in_bytes(self) -> int:
        return len(self._raw)

    def next_batch(self) -> Any:  # noqa: ANN401  aiokafka's batch classes have no common public base
        length = int.from_bytes(self._raw[self._end + 8 : self._end + _LOG_OVERHEAD], "big")
        self._start, self._end = self._end, self._end + _LOG_OVERHEAD + length
        return self._inner.next_batch()

    def current(self) -> bytes:
        return bytes(self._raw[self._start : self._end])


class _PartitionRecords(fetcher.PartitionRecords):  # type: ignore[misc]  # as above
    """Yields an UnreadableBatch where a batch raises, and goes on behind it."""

    _records: Any
    next_fetch_offset: int

    def _unpack_records(self) -> Iterator[ConsumerRecord[bytes, bytes]]:
        while self._records.has_next():
            one = _OneBatch(self._records.next_batch())
            inner, self._records = self._records, one
            try:
                yield from super()._unpack_records()
            except GeneratorExit:
                raise
            except Exception as error:  # noqa: BLE001  each codec library raises errors of its own
                if one.batch.next_offset > self.next_fetch_offset:
                    yield self._unreadable(one.batch, inner.current(), error)
            finally:
                self._records = inner

    def _unreadable(self, batch: Any, raw: bytes, error: Exception) -> UnreadableBatch:  # noqa: ANN401  as above
        first, self.next_fetch_offset = self.next_fetch_offset, batch.next_offset
        return unreadable(self._tp, (first, batch.next_offset - 1), raw, error)


class _OneBatch:
    def __init__(self, batch: Any) -> None:  # noqa: ANN401  as above
        self.batch = batch
        self._given = False

    def has_next(self) -> bool:
        return not self._given

    def next_batch(self) -> Any:  # noqa: ANN401  as above
        self._given = True
        return self.batch


def unreadable(
    partition: TopicPartition, offsets: tuple[int, int], raw: bytes, error: Exception
) -> UnreadableBatch:
    """Give the stand-in for the offsets from first to last, whose batch `raw` raised `error`."""
    first, last = offsets
    stand_in = UnreadableBatch(
        partition.topic, partition.partition, last, -1, 0, None, raw, None, -1, len(raw), ()
    )
    stand_in.first_offset = first
    stand_in.problem = f"{type(error).__name__}: {error}"
    return stand_in


def tolerate_unreadable_batches() -> None:
    """Make every aiokafka consumer of this process step over batches that it cannot unpack.

    Safe to call again; no effect on what was fetched before.
    """
    fetcher.PartitionRecords = _PartitionRecords
    fetcher.MemoryRecords = _Batches


def to_record(source: ConsumerRecord[bytes, bytes]) -> Record:
    """Give our record of aiokafka's. An UnreadableBatch has its first offset as `offset`, its last in a header."""
    if isinstance(source, UnreadableBatch):
        last = (LAST_OFFSET_HEADER, str(source.offset).encode())
        place = source.topic, source.partition, source.first_offset
        return Record(*place, None, source.value, (last,), unreadable=source.problem)
    place = source.topic, source.partition, source.offset
    return Record(*place, source.key, source.value, source.headers, source.timestamp)
