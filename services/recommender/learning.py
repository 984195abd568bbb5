"""First stage: what customers' orders and returns become, in a table, and the deltas that say so.

A batch's changes of the table are written as one, all or none. Among them is how far they reach in the batch's topic, and
everything that the batch has to send. So a batch that comes again has no effect and sends the same once more.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import orjson
from cramjam import snappy

from services.recommender import wire
from services.recommender.domain import baskets, kept
from services.recommender.domain.baskets import CustomerRecord, Outcome
from services.recommender.domain.lean import LeanOrderRecorded
from shared import metrics
from shared.events import (
    CustomerJoined,
    CustomerRecorded,
    Event,
    HistoryMoved,
    OrderRecorded,
    Origin,
    ReturnRecorded,
)
from shared.ids import split_key
from shared.kafka.faust import Output, PartitionTable
from shared.kafka.records import Admitted
from shared.topics import BASKET_DELTAS, CUSTOMER_MOVES

if TYPE_CHECKING:
    from services.recommender.domain.tally import Counted

MOST_MOVES = 4
"""An order that has been handed on this often stays where it is: whoever became each other would hand it on for ever."""
ORDERS_A_MOVE = 20
"""So many orders are handed on in one record, which must stay under what a topic takes, however long the history."""

_SEEN, _PENDING = b"\0seen ", b"\0pending "


@dataclass(frozen=True, slots=True)
class Learned:
    """What a batch sends, and keys (shop|customer) of those whose record changed."""

    outputs: list[Output]
    customers: frozenset[bytes]


class Learner:
    """Takes one batch. `partition_of` says where a product's key belongs."""

    def __init__(self, table: PartitionTable, partition_of: Callable[[bytes], int]) -> None:
        self._table = table
        self._partition_of = partition_of
        self._records: dict[bytes, CustomerRecord] = {}
        self._changed: set[bytes] = set()
        self._counted: dict[str, Counted] = defaultdict(dict)
        self._times: dict[str, str] = {}
        self._moves: list[Output] = []

    def learn(self, batch: Sequence[Admitted]) -> Learned:
        """Take a batch of one partition of one topic, in order (at least one record)."""
        topic = batch[0].record.topic.encode()
        seen = int(self._table.get(_SEEN + topic) or b"-1")
        again = _unpack(self._table.get(_PENDING + topic)) if batch[0].record.offset <= seen else []
        fresh = [one for one in batch if one.record.offset > seen]
        metrics.REPLAYS_IGNORED.labels("customers").inc(len(batch) - len(fresh))
        if not fresh:
            return Learned(again, frozenset())
        found = self._table.get_many({one.record.key or b"" for one in fresh})
        for one in fresh:
            self._take(one, found.get(one.record.key or b""))
        outputs = [*again, *self._deltas(fresh[-1]), *self._moves]
        self._table.set_many({key: _value(self._records[key]) for key in self._changed})
        self._table.set(_SEEN + topic, b"%d" % fresh[-1].record.offset)
        self._table.set(_PENDING + topic, _pack(outputs))
        return Learned(outputs, frozenset(self._changed))

    def _take(self, one: Admitted, stored: bytes | None) -> None:
        key, event = one.record.key or b"", one.event
        record = self._records.get(key)
        if record is None:
            record = self._records[key] = baskets.load(stored)
        shop, customer = split_key(key)
        if event is None:
            self._times.setdefault(shop, kept.moment_of(record["newest"]))
            baskets.withdraw(record, self._counted[shop])
            self._records[key] = baskets.load(None)
            self._changed.add(key)
            return
        self._times[shop] = event.time.isoformat()
        name = f"{one.record.topic}-{one.record.partition}-{one.record.offset}"
        match event:
            case OrderRecorded() | LeanOrderRecorded() | ReturnRecorded() | HistoryMoved():
                self._teach(key, record, event, name)
            case CustomerJoined() if not record["moved_to"] and event.data.customer_id != customer:
                history = baskets.withdraw(record, self._counted[shop])
                record["moved_to"] = event.data.customer_id
                self._hand_on(shop, record, history, 1, (name, event.time.isoformat()))
                self._changed.add(key)
            case CustomerRecorded():
                self._ask(key, record, event, name)
            case _:
                pass

    def _teach(self, key: bytes, record: CustomerRecord, event: Event, name: str) -> None:
        """Take orders and returns, or hand them on to whom the customer became."""
        orders, returns, moves = _told(event)
        shop = split_key(key)[0]
        if record["moved_to"] and moves < MOST_MOVES:
            self._hand_on(shop, record, (orders, returns), moves + 1, (name, event.time.isoformat()))
            return
        counted = self._counted[shop]
        outcomes = [
            baskets.take_order(record, order_id, order, counted) for order_id, order in orders.items()
        ]
        outcomes += [
            baskets.take_return(record, order_id, return_id, item, counted)
            for order_id, items in returns.items()
            for return_id, item in items.items()
        ]
        metrics.BEYOND_HORIZON.inc(outcomes.count(Outcome.BEYOND_HORIZON))
        self._changed.add(key)

    def _ask(self, key: bytes, record: CustomerRecord, event: CustomerRecorded, name: str) -> None:
        """Ask for the orders of who the customer was formerly, once."""
        shop, customer = split_key(key)
        for former in event.data.formerly:
            if former != customer and former not in record["joined"]:
                record["joined"].append(former)
                self._changed.add(key)
                asked = wire.joined(shop, former, customer, f"{name}-{former}", event.time.isoformat())
                self._moves.append(Output(CUSTOMER_MOVES.name, *asked))

    def _hand_on(
        self, shop: str, record: CustomerRecord, history: baskets.History, moves: int, origin: tuple[str, str]
    ) -> None:
        orders, returns = history
        name, occurred_at = origin
        named = sorted(orders.keys() | returns.keys())
        for place in range(0, len(named), ORDERS_A_MOVE):
            part = named[place : place + ORDERS_A_MOVE]
            data: dict[str, object] = {
                "orders": {one: orders[one] for one in part if one in orders},
                "returns": {one: returns[one] for one in part if one in returns},
                "moves": moves,
            }
            moved = wire.history(shop, record["moved_to"], data, f"{name}-moved-{place}", occurred_at)
            self._moves.append(Output(CUSTOMER_MOVES.name, *moved))

    def _deltas(self, last: Admitted) -> Iterable[Output]:
        record = last.record
        origin = Origin(topic=record.topic, partition=record.partition, offset=record.offset)
        for shop, counted in sorted(self._counted.items()):
            for partition, value in wire.deltas(shop, origin, self._times[shop], counted, self._partition_of):
                yield Output(BASKET_DELTAS.name, None, value, (), partition)


def _told(event: Event) -> tuple[dict[str, kept.Bought], dict[str, dict[str, kept.CameBack]], int]:
    """Orders and returns that an event tells of, and how often they were handed on."""
    if isinstance(event, LeanOrderRecorded | OrderRecorded):
        return {event.data.order_id: kept.bought(event.data)}, {}, 0
    if isinstance(event, ReturnRecorded):
        return {}, {event.data.order_id: {event.data.return_id: kept.came_back(event.data)}}, 0
    data = event.data.model_dump()
    return (
        {name: order | {"new": []} for name, order in data["orders"].items()},
        data["returns"],
        data["moves"],
    )


def _value(record: CustomerRecord) -> bytes | None:
    return None if record == baskets.load(None) else baskets.dump(record)


def _pack(outputs: Sequence[Output]) -> bytes:
    """Write outputs down: a line of JSON for each, then its value, as long as the line says."""
    parts: list[bytes] = []
    for one in outputs:
        value = one.value or b""
        head = (one.topic, one.key.decode() if one.key else None, one.partition, len(value))
        parts += (orjson.dumps(head), b"\n", value)
    return bytes(snappy.compress(b"".join(parts)))


def _unpack(raw: bytes | None) -> list[Output]:
    if raw is None:
        return []
    whole, place, outputs = bytes(snappy.decompress(raw)), 0, []
    while place < len(whole):
        start = whole.index(b"\n", place) + 1
        topic, key, partition, length = orjson.loads(whole[place : start - 1])
        place = start + length
        outputs.append(Output(topic, key.encode() if key else None, whole[start:place], (), partition))
    return outputs
