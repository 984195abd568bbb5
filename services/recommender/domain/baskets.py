"""First stage: what one customer's orders and returns teach, and how each new record changes it.

Everything is kept as the newest state of each order and return, so that merging is by id and version: a record read twice
changes nothing, and a return may come before its order. What an order teaches is a function of that state alone; a record
teaches the difference between what its order taught before and after it.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TypedDict
from zlib import crc32

import orjson

from shared.events import (
    Line,
    Order,
    OrderRecorded,
    OrderStatus,
    Origin,
    Return,
    ReturnLine,
    ReturnRecorded,
    ReturnStatus,
)

BUCKET_DAYS = 28
BASKET_LIMIT = 100
TAKES_BACK = frozenset({ReturnStatus.RECEIVED, ReturnStatus.REFUNDED})

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Bought(TypedDict):
    """An order as the customer's record keeps it. `teaches` is false for cancelled, voided and test orders."""

    version: int
    bucket: int
    teaches: bool
    products: dict[str, int]


class CameBack(TypedDict):
    """A return as the customer's record keeps it. `takes_back` is false until the goods are back."""

    version: int
    takes_back: bool
    products: dict[str, int]


class Change(TypedDict):
    """What an order taught in one bucket, before and after a record: distinct products, in order."""

    bucket: int
    before: list[str]
    after: list[str]


class Lesson(TypedDict):
    """What one source record changed: kept until its deltas are acknowledged, so that they can be sent again, the same."""

    topic: str
    partition: int
    offset: int
    time: str
    changes: list[Change]


class CustomerRecord(TypedDict):
    """All that the first stage knows of a customer.

    `returns` are by order and return id. `watermarks` hold the last offset counted of each source, "topic-partition".
    """

    orders: dict[str, Bought]
    returns: dict[str, dict[str, CameBack]]
    watermarks: dict[str, int]
    pending: list[Lesson]


def load(raw: bytes | None) -> CustomerRecord:
    """The record in a table's value, or an empty one."""
    if raw is None:
        return {"orders": {}, "returns": {}, "watermarks": {}, "pending": []}
    record: CustomerRecord = orjson.loads(raw)
    return record


def dump(record: CustomerRecord) -> bytes:
    """The table's value of a record."""
    return orjson.dumps(record)


def source_of(topic: str, partition: int) -> str:
    """Name of a source partition in watermarks."""
    return f"{topic}-{partition}"


def bucket_of(moment: datetime) -> int:
    """Number of whole 28-day spans between 1970-01-01 and the moment."""
    return (moment - _EPOCH).days // BUCKET_DAYS


def learn(record: CustomerRecord, origin: Origin, event: OrderRecorded | ReturnRecorded) -> Lesson | None:
    """Take one source record into `record` (changed in place) and say what it taught; None if nothing.

    A replay, at or below the watermark of its source, changes nothing: the lesson is the pending one, if it still waits.
    """
    if is_replay(record, origin):
        return _waiting(record, origin)
    record["watermarks"][source_of(origin.topic, origin.partition)] = origin.offset
    order_id = event.data.order_id
    before = _taught(record, order_id)
    if isinstance(event, OrderRecorded):
        _merge_order(record, event.data)
    else:
        _merge_return(record, event.data)
    changes = _changes(before, _taught(record, order_id))
    if not changes:
        return None
    lesson = Lesson(
        topic=origin.topic,
        partition=origin.partition,
        offset=origin.offset,
        time=event.time.isoformat(),
        changes=changes,
    )
    record["pending"].append(lesson)
    return lesson


def is_replay(record: CustomerRecord, origin: Origin) -> bool:
    """Whether a source record is at or below the watermark of its source."""
    return origin.offset <= record["watermarks"].get(source_of(origin.topic, origin.partition), -1)


def forget_acknowledged(record: CustomerRecord, acknowledged: Mapping[str, int]) -> None:
    """Drop pending lessons of offsets below `acknowledged[source]`: their deltas are with the broker for good."""
    record["pending"] = [
        lesson
        for lesson in record["pending"]
        if lesson["offset"] >= acknowledged.get(source_of(lesson["topic"], lesson["partition"]), 0)
    ]


def taught_by(order: Bought | None, returns: Mapping[str, CameBack]) -> list[str]:
    """Distinct products, sorted, that an order with these returns teaches.

    A product counts while at least one unit of it was neither received back nor refunded; a return that is only requested
    takes nothing away, a rejected one never does. Beyond BASKET_LIMIT products, which would cost their square, those with
    the lowest CRC-32 of their id stay: a choice that depends on nothing but the basket.
    """
    if order is None or not order["teaches"]:
        return []
    kept = dict(order["products"])
    for came_back in returns.values():
        if came_back["takes_back"]:
            for product, quantity in came_back["products"].items():
                kept[product] = kept.get(product, 0) - quantity
    products = sorted(product for product, quantity in kept.items() if quantity > 0)
    if len(products) > BASKET_LIMIT:
        products = sorted(
            sorted(products, key=lambda product: (crc32(product.encode()), product))[:BASKET_LIMIT]
        )
    return products


def bought(order: Order) -> Bought:
    """An order as records keep it."""
    return Bought(
        version=order.version,
        bucket=bucket_of(order.placed_at),
        teaches=order.status is OrderStatus.PLACED and not order.test,
        products=_quantities(order.lines),
    )


def came_back(item: Return) -> CameBack:
    """A return as records keep it."""
    return CameBack(
        version=item.version, takes_back=item.status in TAKES_BACK, products=_quantities(item.lines)
    )


def _quantities(lines: tuple[Line, ...] | tuple[ReturnLine, ...]) -> dict[str, int]:
    quantities: dict[str, int] = {}
    for line in lines:
        quantities[line.product_id] = quantities.get(line.product_id, 0) + line.quantity
    return quantities


def _merge_order(record: CustomerRecord, order: Order) -> None:
    known = record["orders"].get(order.order_id)
    new = bought(order)
    if known is None or order_precedence(new) > order_precedence(known):
        record["orders"][order.order_id] = new


def _merge_return(record: CustomerRecord, item: Return) -> None:
    of_order = record["returns"].setdefault(item.order_id, {})
    known = of_order.get(item.return_id)
    new = came_back(item)
    if known is None or return_precedence(new) > return_precedence(known):
        of_order[item.return_id] = new


def order_precedence(order: Bought) -> tuple[int, bool, int, list[tuple[str, int]]]:
    """The higher version wins; of two with one version, the one that teaches less."""
    return order["version"], not order["teaches"], order["bucket"], sorted(order["products"].items())


def return_precedence(item: CameBack) -> tuple[int, bool, list[tuple[str, int]]]:
    """The higher version wins; of two with one version, the one that takes back."""
    return item["version"], item["takes_back"], sorted(item["products"].items())


def _taught(record: CustomerRecord, order_id: str) -> tuple[int, list[str]]:
    order = record["orders"].get(order_id)
    products = taught_by(order, record["returns"].get(order_id, {}))
    return (order["bucket"] if order else 0), products


def _changes(before: tuple[int, list[str]], after: tuple[int, list[str]]) -> list[Change]:
    (old, gone), (new, come) = before, after
    if before == after or not (gone or come):
        return []
    if old == new or not gone:
        return [Change(bucket=new, before=gone, after=come)]
    left = Change(bucket=old, before=gone, after=[])
    return [left, Change(bucket=new, before=[], after=come)] if come else [left]


def _waiting(record: CustomerRecord, origin: Origin) -> Lesson | None:
    place = (origin.topic, origin.partition, origin.offset)
    for lesson in record["pending"]:
        if (lesson["topic"], lesson["partition"], lesson["offset"]) == place:
            return lesson
    return None
