"""The past as records in order of time, a share of the customers at a time, so that memory stays bounded."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal, NamedTuple, Protocol
from zlib import crc32

import orjson

from services.scheduler import intake, views
from shared.errors import BacktestError, EventError
from shared.events import Event, decode
from shared.ids import partition_key
from shared.topics import BY_NAME, COMPLEMENTS, CUSTOMERS, DECISIONS, Key, Topic

FOLLOWED = {topic.name: topic for topic in views.TOPICS}
READ = {topic.name: topic for topic in (*views.TOPICS, *intake.TOPICS, DECISIONS)}
RANKS = {name: rank for rank, name in enumerate(READ)}
"""What happened at one moment counts in this order: first what everyone needs, then customers, then decisions."""
TOPIC_OF = {kind.type_name(): topic.name for topic in READ.values() for kind in topic.types}
START = datetime.min.replace(tzinfo=UTC)

Known = Literal["time", "recorded"]
"""When an event counts as known: when it happened, or when it was recorded."""


class Item(NamedTuple):
    """One record. Sorted as tuples: by when it is known, kind, and place in its source.

    `part` and `place` are a file's number and line, or a partition and offset. `partition` and `offset` are -1 where a file
    does not tell them. `value` is None for a tombstone.
    """

    at: datetime
    rank: int
    part: int
    place: int
    topic: str
    partition: int
    offset: int
    key: bytes
    value: bytes | None


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
    """What one shard needs, in order of time. `ahead` counts, by topic, keys first told of after the shard begins."""

    items: list[Item]
    decisions: list[Item]
    ahead: dict[str, int]


def load(source: Source, shard: Shard, known: Known, wanted: frozenset[str] = frozenset(READ)) -> History:
    """Read one shard's past: its customers' records, and those that everyone needs.

    A compacted topic may have lost what it said first, so the first that is left of a key counts from the beginning on.
    """
    mine = [
        item
        for item in source.items(known)
        if item.topic in wanted and (item.topic in FOLLOWED or shard.holds(item.key))
    ]
    mine.sort()
    begins = min((item.at for item in mine if item.topic not in FOLLOWED), default=START)
    firsts: set[tuple[str, bytes]] = set()
    ahead: dict[str, int] = {}
    for number, item in enumerate(mine):
        if item.topic not in _BROUGHT_FORWARD or (item.topic, item.key) in firsts:
            continue
        firsts.add((item.topic, item.key))
        if item.value is not None:
            if item.at > begins:
                ahead[item.topic] = ahead.get(item.topic, 0) + 1
            mine[number] = item._replace(at=START)
    mine.sort()
    decisions = [item for item in mine if item.topic == DECISIONS.name]
    return History([item for item in mine if item.topic != DECISIONS.name], decisions, ahead)


_BROUGHT_FORWARD = {name for name, topic in FOLLOWED.items() if topic.key is Key.PRODUCT} | {CUSTOMERS.name}


def event_of(item: Item, source: Source) -> Event | None:
    """The record's event; None for a tombstone. Raises BacktestError saying where it stands."""
    if item.value is None:
        return None
    try:
        return decode(item.value, BY_NAME[item.topic].types)
    except EventError as error:
        message = f"{source.name(item)}: {error}; mend the record, or leave it out"
        raise BacktestError(message) from None


def item_of(  # noqa: PLR0913  a record's own parts
    line: bytes, part: int, place: int, known: Known, fail: Callable[[str], BacktestError]
) -> Item | None:
    """Read one line: a CloudEvent, or a whole record {topic, partition, offset, key, timestamp, value}.

    None for what a backtest has no use for. Raises what `fail` makes of a sentence.
    """
    try:
        found = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        raise fail(f"no JSON ({error}); write one event a line") from None
    if not isinstance(found, dict):
        raise fail("no JSON object; write one event a line")
    if "topic" not in found:
        return _from_event(found, line, part, place, known, fail)
    topic, value = str(found["topic"]), found.get("value")
    if topic not in READ:
        return None
    where = _number(found, "partition", fail), _number(found, "offset", fail)
    if value is None:
        at = datetime.fromtimestamp(_number(found, "timestamp", fail) / 1000, UTC)
        return Item(at, RANKS[topic], part, place, topic, *where, str(found.get("key", "")).encode(), None)
    raw = orjson.dumps(value)
    item = _from_event(value, raw, part, place, known, fail) if isinstance(value, dict) else None
    if item is None:
        raise fail(f"value is not an event of the topic {topic}")
    return item._replace(topic=topic, rank=RANKS[topic], partition=where[0], offset=where[1])


def _number(found: dict[str, Any], name: str, fail: Callable[[str], BacktestError]) -> int:
    value = found.get(name)
    if not isinstance(value, int) or isinstance(value, bool):
        raise fail(f"{name} is {value!r}; a record with a topic needs it as a whole number")
    return value


def _from_event(  # noqa: PLR0913, PLR0917  a record's own parts
    found: dict[str, Any],
    raw: bytes,
    part: int,
    place: int,
    known: Known,
    fail: Callable[[str], BacktestError],
) -> Item | None:
    kind = found.get("type")
    if not isinstance(kind, str):
        raise fail("no type; an event names one, such as orderwake.order.recorded.v1")
    topic = TOPIC_OF.get(kind)
    if topic is None:
        return None
    at = moment_of(found, known, fail)
    return Item(at, RANKS[topic], part, place, topic, -1, -1, _key(found, BY_NAME[topic], fail), raw)


def moment_of(found: dict[str, Any], known: Known, fail: Callable[[str], BacktestError]) -> datetime:
    """When an event counts as known, in UTC."""
    text = found.get("recordedat") if known == "recorded" else None
    text = text or found.get("time")
    try:
        moment = datetime.fromisoformat(str(text))
    except ValueError:
        raise fail(f"time is {text!r}; write it as 2026-03-02T08:30:00Z") from None
    if moment.tzinfo is None:
        raise fail(f"time is {text!r}, without a zone; write it as 2026-03-02T08:30:00Z")
    return moment.astimezone(UTC)


def _key(found: dict[str, Any], topic: Topic, fail: Callable[[str], BacktestError]) -> bytes:
    shop, data = found.get("shopid"), found.get("data")
    if not isinstance(shop, str):
        raise fail("no shopid; every event names its shop")
    if topic.key is Key.CUSTOMER:
        subject = found.get("customerid")
        if subject is None:
            raise fail("no customerid; take events from the canonical topics, where each names its customer")
    elif topic.key is Key.PRODUCT:
        subject = data.get("product_id") if isinstance(data, dict) else None
    else:
        parts = (data.get("journey"), data.get("channel")) if isinstance(data, dict) else ()
        subject = "/".join(str(part or "") for part in parts)
    return partition_key(shop, str(subject))


def complements_times(items: Iterable[Item]) -> int:
    """Count the records of complements, to tell whether there are any."""
    return sum(item.topic == COMPLEMENTS.name for item in items)
