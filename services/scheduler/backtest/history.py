"""The past in order of time, a share of the customers at once, so that memory stays bounded."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol
from zlib import crc32

from services.scheduler.backtest.records import FOLLOWED, MADE, READ, Item, Known
from shared.errors import BacktestError, EventError
from shared.events import Event, decode
from shared.topics import BY_NAME, CUSTOMERS, DECISIONS, Key

START = datetime(1970, 1, 1, tzinfo=UTC)
END = datetime.max.replace(tzinfo=UTC)
_COMPACTED = {name for name in FOLLOWED if BY_NAME[name].key is Key.PRODUCT} | {CUSTOMERS.name}


@dataclass(frozen=True)
class Shard:
    """A share of the customers, the same ones for every source."""

    number: int = 0
    of: int = 1

    def holds(self, key: bytes) -> bool:
        """Whether a customer with this record key is one of them."""
        return crc32(key) % self.of == self.number


class Source(Protocol):
    """Where the past comes from. It is sent to worker processes, so it can be pickled."""

    def size(self) -> int:
        """About how many bytes it holds, to choose the number of shards by."""

    def items(self, known: Known) -> Iterator[Item]:
        """Every record of the topics in READ, in any order. Raises BacktestError for what cannot be read."""

    def name(self, item: Item) -> str:
        """Where a record stands, to find it by."""


@dataclass(frozen=True)
class History:
    """What one shard needs, in order of time, without decisions, which are apart.

    `ahead` counts, by topic, keys of compacted topics first told of after the past begins; of topics that everyone needs in
    the first shard only. The past `ends` for all shards at once.
    """

    items: list[Item]
    decisions: list[Item]
    ahead: Counter[str]
    ends: datetime


def load(source: Source, shard: Shard, known: Known, wanted: frozenset[str] = frozenset(READ)) -> History:
    """Read one shard's past: its customers' records, and those that everyone needs.

    A compacted topic may have lost what it said first, so the first that is left of a key counts from the beginning on.
    """
    begins, ends, mine = END, START, []
    for item in source.items(known):
        if item.topic not in wanted:
            continue
        ends = max(ends, item.at)
        if item.topic not in _COMPACTED:
            begins = min(begins, item.at)
        if item.topic in FOLLOWED or shard.holds(item.key):
            mine.append(item)
    mine.sort()
    firsts: set[tuple[str, bytes]] = set()
    ahead: Counter[str] = Counter()
    for number, item in enumerate(mine):
        if item.topic in _COMPACTED and (item.topic, item.key) not in firsts:
            firsts.add((item.topic, item.key))
            if item.value is not None and item.part != MADE:
                if item.at > begins and (item.topic not in FOLLOWED or not shard.number):
                    ahead[item.topic] += 1
                mine[number] = item._replace(at=START)
    mine.sort()
    decisions = [item for item in mine if item.topic == DECISIONS.name]
    return History([item for item in mine if item.topic != DECISIONS.name], decisions, ahead, ends)


def event_of(item: Item, source: Source) -> Event | None:
    """The record's event; None for a tombstone. Raises BacktestError saying where it stands."""
    if item.value is None:
        return None
    try:
        return decode(item.value, BY_NAME[item.topic].types)
    except EventError as error:
        message = f"{source.name(item)}: {error}; mend the record, or leave it out"
        raise BacktestError(message) from None
