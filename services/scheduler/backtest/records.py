"""One line or record of the past, and when it counts as known."""

from datetime import UTC, datetime
from typing import Any, Literal, NamedTuple, NoReturn

import orjson

from services.scheduler import intake, views
from shared.errors import BacktestError
from shared.ids import partition_key
from shared.topics import BY_NAME, DECISIONS, Key, Topic

FOLLOWED = frozenset(topic.name for topic in views.TOPICS)
"""Topics that everyone needs whole: the catalogue, complements, controls."""
READ = tuple(topic.name for topic in (*views.TOPICS, *intake.TOPICS, DECISIONS))
RANKS = {name: rank for rank, name in enumerate(READ)}
"""What happened at one moment counts in this order: first what everyone needs, then customers, then decisions."""
_TOPIC_OF = {kind.type_name(): name for name in READ for kind in BY_NAME[name].types}

MADE = -1
"""Part of records that were made for the occasion: nothing is missing before the first of them."""

Known = Literal["time", "recorded"]
"""When an event counts as known: when it happened, or when ingest recorded it."""


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


def item_of(line: bytes, part: int, place: int, known: Known) -> Item | None:
    """Read one line: a CloudEvent, or a whole record {topic, partition, offset, key, timestamp, value}.

    None for what a backtest has no use for. Raises BacktestError with a sentence, without the place.
    """
    try:
        found = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        _refuse(f"no JSON ({error}); write one event a line")
    if not isinstance(found, dict):
        _refuse("no JSON object; write one event a line")
    if "topic" in found:
        return _from_record(found, part, place, known)
    return _from_event(found, line, part, place, known)


def _refuse(sentence: str) -> NoReturn:
    raise BacktestError(sentence) from None


def _from_record(found: dict[str, Any], part: int, place: int, known: Known) -> Item | None:
    topic, value = str(found["topic"]), found.get("value")
    if topic not in RANKS:
        return None
    where = topic, _number(found, "partition"), _number(found, "offset")
    if value is None:
        at = datetime.fromtimestamp(_number(found, "timestamp") / 1000, UTC)
        return Item(at, RANKS[topic], part, place, *where, str(found.get("key", "")).encode(), None)
    item = _from_event(value, orjson.dumps(value), part, place, known) if isinstance(value, dict) else None
    if item is None or item.topic != topic:
        _refuse(f"value is not an event of the topic {topic}")
    return item._replace(partition=where[1], offset=where[2])


def _number(found: dict[str, Any], name: str) -> int:
    value = found.get(name)
    if not isinstance(value, int) or isinstance(value, bool):
        _refuse(f"{name} is {value!r}; a record that names its topic needs it as a whole number")
    return value


def _from_event(found: dict[str, Any], raw: bytes, part: int, place: int, known: Known) -> Item | None:
    kind = found.get("type")
    if not isinstance(kind, str):
        _refuse("no type; an event names one, such as orderwake.order.recorded.v1")
    topic = _TOPIC_OF.get(kind)
    if topic is None:
        return None
    at = moment_of(found, known)
    return Item(at, RANKS[topic], part, place, topic, -1, -1, _key(found, BY_NAME[topic]), raw)


def moment_of(found: dict[str, Any], known: Known) -> datetime:
    """When an event counts as known, in UTC. Raises BacktestError with a sentence."""
    text = (found.get("recordedat") if known == "recorded" else None) or found.get("time")
    try:
        moment = datetime.fromisoformat(str(text))
    except ValueError:
        _refuse(f"time is {text!r}; write it as 2026-03-02T08:30:00Z")
    if moment.tzinfo is None:
        _refuse(f"time is {text!r}, without a zone; write it as 2026-03-02T08:30:00Z")
    return moment.astimezone(UTC)


def _key(found: dict[str, Any], topic: Topic) -> bytes:
    shop, data, subject = found.get("shopid"), found.get("data"), found.get("customerid")
    if not isinstance(shop, str):
        _refuse("no shopid; every event names its shop")
    if not isinstance(data, dict):
        _refuse("no data; an event carries an object")
    if topic.key is Key.CUSTOMER and subject is None:
        _refuse("no customerid; take events from the canonical topics, where each names its customer")
    if topic.key is Key.PRODUCT:
        subject = data.get("product_id")
    elif topic.key is Key.SCOPE:
        subject = f"{data.get('journey') or ''}/{data.get('channel') or ''}"
    return partition_key(shop, str(subject))
