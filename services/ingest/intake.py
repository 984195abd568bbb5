"""The pipeline: what comes on `inbound.*` leaves on the canonical topics, once, under its customer."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import structlog

from services.ingest import store
from services.ingest.domain.dedupe import identity, rising, version_of
from services.ingest.domain.identity import (
    OrderKey,
    customer_of,
    must_wait,
    named_customer,
    order_of,
    profile_in,
    with_guest_id,
)
from services.ingest.domain.normalize import canonical, key_of
from services.ingest.publisher import Publisher
from services.ingest.store import Connection, Parked
from shared import metrics
from shared.clock import Clock
from shared.errors import EventError, Refusal
from shared.events import MAX_RECORD_BYTES, Event, InboundOrderRecorded, decode
from shared.ids import CustomerId
from shared.kafka.guard import Guard
from shared.kafka.outbox import Outgoing
from shared.kafka.records import Admitted, Record
from shared.topics import BY_NAME, CANONICAL_OF, CUSTOMERS

log = structlog.get_logger()

Arrival = tuple[Record, Event]
_Refused = tuple[Record, EventError, UUID]


@dataclass(frozen=True, slots=True)
class _Onward:
    """A canonical record, the inbound one it comes from, and its version if its topic is compacted."""

    source: Record
    outgoing: Outgoing
    version: int | None


class Intake:
    """Handles batches of `inbound.*` in the consumer's transaction.

    Everything is acknowledged by Kafka before `handle` returns, so before the positions are committed: after
    a crash in between the batch comes again, and what was published may be so twice, never not at all.
    """

    def __init__(self, publisher: Publisher, guard: Guard, clock: Clock, guest_salt: bytes) -> None:
        self._publisher = publisher
        self._guard = guard
        self._clock = clock
        self._salt = guest_salt

    async def handle(self, connection: Connection, batch: Sequence[Admitted]) -> None:
        """Publish what is new and can be resolved, release what waited for it, park the rest."""
        fresh = await self._fresh(connection, batch)
        if not fresh:
            return
        owners = await self._learn_owners(connection, fresh)
        ready: list[Arrival] = []
        waiting: list[Arrival] = []
        for record, event in fresh:
            late = must_wait(event, customer_of(event, owners, self._salt))
            (waiting if late else ready).append((record, event))
        await self._park(connection, waiting)
        ready += await self._released(connection, fresh)
        await self._publish(connection, ready, owners)

    async def release(self, connection: Connection, parked: Sequence[Parked]) -> None:
        """Publish records that were taken out of the store because their order is known."""
        owners = await store.owners_of(connection, {item.order for item in parked})
        await self._publish(connection, await self._decoded(connection, parked), owners)

    async def _fresh(self, connection: Connection, batch: Sequence[Admitted]) -> list[Arrival]:
        """The events not seen before, each once, in order."""
        given = [(identity(item.event), item.record, item.event) for item in batch if item.event is not None]
        if not given:
            return []
        unknown = await store.note_seen(connection, {key for key, _, _ in given}, self._clock.machine())
        fresh = []
        for key, record, event in given:
            if key in unknown:
                unknown.remove(key)
                fresh.append((record, event))
            else:
                metrics.EVENTS_DUPLICATE.labels(record.topic).inc()
        return fresh

    async def _learn_owners(
        self, connection: Connection, fresh: Sequence[Arrival]
    ) -> Mapping[OrderKey, CustomerId]:
        """Note whose the batch's new orders are; returns the owners of all orders that it speaks of."""
        new: dict[OrderKey, CustomerId] = {}
        spoken: set[OrderKey] = set()
        for _, event in fresh:
            order = order_of(event)
            if order is None:
                continue
            spoken.add(order)
            customer = named_customer(event, self._salt)
            if isinstance(event, InboundOrderRecorded) and customer:
                new.setdefault(order, customer)
        if new:
            await store.note_owners(connection, new)
        return await store.owners_of(connection, spoken) if spoken else {}

    async def _park(self, connection: Connection, waiting: Sequence[Arrival]) -> None:
        parked = [
            Parked(order, record, identity(event)) for record, event in waiting if (order := order_of(event))
        ]
        if parked:
            await store.park(connection, parked, self._clock.business())
            for _, event in waiting:
                log.debug("parked", shop=event.shopid, correlation=event.correlationid or event.id)

    async def _released(self, connection: Connection, fresh: Sequence[Arrival]) -> list[Arrival]:
        arrived = {order_of(event) for _, event in fresh if isinstance(event, InboundOrderRecorded)}
        orders: Collection[OrderKey] = {order for order in arrived if order}
        if not orders:
            return []
        return await self._decoded(connection, await store.take_parked_of(connection, orders))

    async def _decoded(self, connection: Connection, parked: Sequence[Parked]) -> list[Arrival]:
        decoded: list[Arrival] = []
        refused: list[_Refused] = []
        for item in parked:
            try:
                decoded.append((item.record, decode(item.record.value, BY_NAME[item.record.topic].types)))
            except EventError as error:
                refused.append((item.record, error, item.identity))
        await self._refuse(connection, refused)
        return decoded

    async def _refuse(self, connection: Connection, refused: Sequence[_Refused]) -> None:
        """Make dead letters of events that were noted as seen, and take them as new when they are sent again."""
        if refused:
            await self._guard.refuse_all([(record, error) for record, error, _ in refused])
            await store.unsee(connection, [key for _, _, key in refused])

    async def _publish(
        self, connection: Connection, ready: Sequence[Arrival], owners: Mapping[OrderKey, CustomerId]
    ) -> None:
        now = self._clock.business()
        onward: list[_Onward] = []
        refused: list[_Refused] = []
        for record, event in ready:
            customer = customer_of(event, owners, self._salt)
            try:
                onward += _onward(record, event, customer, self._salt, now)
            except EventError as error:
                refused.append((record, error, identity(event)))
        await self._refuse(connection, refused)
        published = await _without_superseded(connection, onward)
        await self._publisher.publish(published)
        for one in published:
            metrics.EVENTS_ACCEPTED.labels(one.topic).inc()


def _onward(
    record: Record, event: Event, customer: CustomerId | None, salt: bytes, now: datetime
) -> list[_Onward]:
    """What an inbound record becomes: its canonical form and, from a guest's order, the guest's profile."""
    whole = canonical(with_guest_id(event, salt), customer, now)
    onward = [_outgoing(record, CANONICAL_OF[BY_NAME[record.topic]].name, whole)]
    if profile := profile_in(event, customer, salt):
        onward.append(_outgoing(record, CUSTOMERS.name, canonical(profile, customer, now)))
    return onward


def _outgoing(record: Record, topic: str, event: Event) -> _Onward:
    value = event.encode()
    if len(value) > MAX_RECORD_BYTES:
        raise EventError(
            Refusal.TOO_LARGE, f"{len(value)} bytes in canonical form; the limit is {MAX_RECORD_BYTES}"
        )
    return _Onward(record, Outgoing(topic, key_of(event), value), version_of(event))


async def _without_superseded(connection: Connection, onward: Sequence[_Onward]) -> list[Outgoing]:
    """Leave out states of a compacted topic that are no newer than what it has: compaction keeps the last."""
    versions = [
        ((one.outgoing.topic, one.outgoing.key), one.version) for one in onward if one.version is not None
    ]
    if not versions:
        return [one.outgoing for one in onward]
    known = await store.lock_newest(connection, sorted({key for key, _ in versions}))
    newer = iter(rising(versions, known))
    kept = []
    for one in onward:
        if one.version is None or next(newer):
            kept.append(one.outgoing)
        else:
            metrics.EVENTS_SUPERSEDED.labels(one.source.topic).inc()
    await store.raise_newest(connection, {key: max(version, known[key]) for key, version in sorted(versions)})
    return kept
