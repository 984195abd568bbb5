"""A record as it came from a partition, whoever read it."""

from collections.abc import Sequence
from dataclasses import dataclass

from shared.events import Event


@dataclass(frozen=True, slots=True)
class Record:
    """One Kafka record: raw bytes with their origin. `timestamp` is the broker's, in milliseconds.

    `unreadable` says why a whole batch could not be unpacked (no such codec, broken); the record then stands for the
    batch, `offset` is its first and `value` its raw bytes.
    """

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes]] = ()
    timestamp: int = 0
    unreadable: str = ""


@dataclass(frozen=True, slots=True)
class Admitted:
    """A record that passed the guard, with its event; `event` is None for a tombstone on a compacted topic."""

    record: Record
    event: Event | None
