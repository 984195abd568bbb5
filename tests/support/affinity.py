"""Orders and returns by their products, and the recommender's two stages with a crash after any write."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from zlib import crc32

from services.recommender.deltas import parse
from services.recommender.learning import Learner
from services.recommender.recount import Counts, counts_in
from services.recommender.tables import count_batch
from shared.events import (
    Customer,
    CustomerRecorded,
    Line,
    Order,
    OrderRecorded,
    OrderStatus,
    Return,
    ReturnLine,
    ReturnRecorded,
    ReturnStatus,
    decode,
)
from shared.ids import partition_key
from shared.kafka.faust import Output, PartitionTable
from shared.kafka.faust.stores import MemoryStore
from shared.kafka.records import Admitted, Record
from shared.topics import BASKET_DELTAS, BY_NAME, CUSTOMERS, ORDERS, RETURNS

SHOP = "grocer"
TOPIC_OF = {OrderRecorded: ORDERS.name, ReturnRecorded: RETURNS.name, CustomerRecorded: CUSTOMERS.name}
FIRST_DAY = datetime(2026, 1, 1, 12, 0, tzinfo=UTC)
Fact = OrderRecorded | ReturnRecorded
News = Fact | CustomerRecorded


def bought(  # noqa: PLR0913  tests name only what they are about
    customer: str,
    order_id: str,
    products: Mapping[str, int] | str,
    *,
    day: int = 0,
    version: int = 1,
    status: OrderStatus = OrderStatus.PLACED,
    test: bool = False,
    history: bool = False,
) -> OrderRecorded:
    """Order these products ("abc": one of each letter) on a day."""
    placed_at = FIRST_DAY + timedelta(days=day)
    quantities = products if isinstance(products, Mapping) else dict.fromkeys(products, 1)
    return OrderRecorded(
        id=f"{order_id}/{version}/{status}",
        source="/tests",
        time=placed_at,
        shopid=SHOP,
        customerid=customer,
        data=Order(
            order_id=order_id,
            version=version,
            placed_at=placed_at,
            status=status,
            test=test,
            history=history,
            currency="USD",
            total=Decimal(10),
            lines=tuple(
                Line(product_id=name, quantity=number, unit_price=Decimal(1))
                for name, number in quantities.items()
            ),
        ),
    )


def sent_back(  # noqa: PLR0913  as above
    customer: str,
    order_id: str,
    products: Mapping[str, int] | str,
    *,
    return_id: str = "r1",
    version: int = 1,
    status: ReturnStatus = ReturnStatus.REFUNDED,
) -> ReturnRecorded:
    """Send these products of an order back."""
    quantities = products if isinstance(products, Mapping) else dict.fromkeys(products, 1)
    return ReturnRecorded(
        id=f"{order_id}/{return_id}/{version}/{status}",
        source="/tests",
        time=FIRST_DAY + timedelta(days=3),
        shopid=SHOP,
        customerid=customer,
        data=Return(
            return_id=return_id,
            order_id=order_id,
            version=version,
            status=status,
            occurred_at=FIRST_DAY + timedelta(days=3),
            lines=tuple(ReturnLine(product_id=name, quantity=number) for name, number in quantities.items()),
        ),
    )


def known_as(customer: str, *formerly: str) -> CustomerRecorded:
    """Say under which ids this customer ordered before."""
    return CustomerRecorded(
        id=f"{customer}/{formerly}",
        source="/tests",
        time=FIRST_DAY,
        shopid=SHOP,
        customerid=customer,
        data=Customer(version=1, formerly=formerly),
    )


class Crashed(Exception):  # noqa: N818  it names what happened
    """The process died after a write."""


@dataclass
class Stages:
    """Both stages over logs in memory, as the driver runs them; `crashes` are the numbers of the writes after which they die.

    Tables and logs outlive a crash, write by write; a batch's changes of the first table are one write. What a worker keeps
    in memory does not: it starts again at the committed positions, of which every `commit_every`th batch writes one.
    """

    partitions: int
    crashes: frozenset[int] = frozenset()
    logs: dict[tuple[str, int], list[tuple[bytes, bytes | None]]] = field(default_factory=dict)
    committed: dict[tuple[str, int], int] = field(default_factory=dict)
    done: dict[tuple[str, int], int] = field(default_factory=dict)
    baskets: dict[int, MemoryStore] = field(default_factory=dict)
    pairs: dict[int, MemoryStore] = field(default_factory=dict)
    writes: int = 0
    commit_every: int = 1
    taken: int = 0

    def put(self, fact: News) -> None:
        """Append a fact to its topic, in its customer's partition."""
        topic = TOPIC_OF[type(fact)]
        self._append(topic, partition_key(fact.shopid, fact.customerid or ""), fact.encode())

    def erase(self, customer: str) -> None:
        """Append a customer's tombstone."""
        self._append(CUSTOMERS.name, partition_key(SHOP, customer), None)

    def step(self, topic: str, partition: int, size: int) -> None:
        """Take the next batch of a partition; a crash in it puts the worker back to what was committed."""
        place = topic, partition
        start = self.done.get(place, self.committed.get(place, 0))
        rows = self.logs.get(place, [])[start : start + size]
        batch = [self._admitted(place, start + number, *row) for number, row in enumerate(rows)]
        if not batch:
            return
        try:
            self._run(place, batch)
            self.done[place] = start + len(batch)
            self._wrote()
            self.taken += 1
            if self.taken % self.commit_every == 0:
                self.committed.update(self.done)
                self._wrote()
        except Crashed:
            self.done = {}

    def finish(self, order: Sequence[str]) -> Counts:
        """Run all to the end, topic by topic, without any more crashes; the counts then."""
        self.crashes = frozenset()
        self.done = {}
        for _ in range(8):
            for topic in order:
                for partition in range(self.partitions):
                    self.step(topic, partition, 1_000_000)
        return counts_in(
            (key, value)
            for store in self.pairs.values()
            for key, value in store._data.items()  # noqa: SLF001  a look into the table
        )

    def _run(self, place: tuple[str, int], batch: list[Admitted]) -> None:
        topic, partition = place
        if topic == BASKET_DELTAS.name:
            table = PartitionTable(self.pairs.setdefault(partition, MemoryStore()))
            count_batch(table, batch)
            for key, value in table.changes.items():
                self.pairs[partition].apply({key: value}, 0)
                self._wrote()
            return
        table = PartitionTable(self.baskets.setdefault(partition, MemoryStore()))
        outputs = Learner(table, lambda key: crc32(key) % self.partitions).learn(batch).outputs
        self.baskets[partition].apply(table.changes, 0)
        self._wrote()
        for output in outputs:
            self._send(output)

    def _send(self, output: Output) -> None:
        key = output.key or b""
        partition = crc32(key) % self.partitions if output.partition is None else output.partition
        self.logs.setdefault((output.topic, partition), []).append((key, output.value))
        self._wrote()

    def _append(self, topic: str, key: bytes, value: bytes | None) -> None:
        self.logs.setdefault((topic, crc32(key) % self.partitions), []).append((key, value))

    def _wrote(self) -> None:
        self.writes += 1
        if self.writes in self.crashes:
            raise Crashed

    @staticmethod
    def _admitted(place: tuple[str, int], offset: int, key: bytes, value: bytes | None) -> Admitted:
        record = Record(*place, offset, key, value)
        if place[0] == BASKET_DELTAS.name:
            return Admitted(record, parse(value))
        return Admitted(record, None if value is None else decode(value, BY_NAME[place[0]].types))
