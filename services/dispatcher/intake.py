"""What the dispatcher reads, written to its tables in the transaction that moves the positions."""

from collections.abc import Callable, Sequence
from uuid import UUID

from services.dispatcher import links
from services.dispatcher.domain.consent import SUPPRESSING
from services.dispatcher.domain.policy import priority_of
from services.dispatcher.domain.states import Cause, State
from services.dispatcher.ledger import Ledger, Move, queries
from services.dispatcher.people import Connection, Customer
from services.dispatcher.people import queries as of_people
from shared.clock import Clock
from shared.events import CustomerRecorded, EngagementKind, EngagementRecorded, MessageRequested
from shared.ids import split_key
from shared.kafka.records import Admitted
from shared.topics import CUSTOMERS

_PROOF = frozenset(
    {
        EngagementKind.DELIVERED,
        EngagementKind.OPENED,
        EngagementKind.CLICKED,
        EngagementKind.ANSWERED,
        EngagementKind.COMPLAINED,
    }
)


class Intake:
    """Handles batches of the three topics; `wake` is called when there may be work."""

    def __init__(self, ledger: Ledger, clock: Clock, wake: Callable[[], None]) -> None:
        self._ledger = ledger
        self._clock = clock
        self._wake = wake

    async def handle(self, connection: Connection, batch: Sequence[Admitted]) -> None:
        """Write a batch. A message that the ledger has already changes nothing."""
        await self._customers(connection, batch)
        await self._engagements(
            connection, [one.event for one in batch if isinstance(one.event, EngagementRecorded)]
        )
        await self._messages(connection, [one for one in batch if isinstance(one.event, MessageRequested)])
        self._wake()

    async def _customers(self, connection: Connection, batch: Sequence[Admitted]) -> None:
        erased: set[Customer] = set()
        newest: dict[Customer, CustomerRecorded] = {}
        for one in batch:
            if one.event is None and one.record.topic == CUSTOMERS.name:
                gone = split_key(one.record.key or b"")
                erased.add(gone)
                newest.pop(gone, None)
            elif isinstance(one.event, CustomerRecorded):
                customer = (one.event.shopid, str(one.event.customerid))
                known = newest.get(customer)
                if known is None or known.data.version < one.event.data.version:
                    newest[customer] = one.event
        await connection.executemany(of_people.erase_consent, sorted(erased))
        await connection.executemany(of_people.forget_addresses, sorted(erased))
        await links.forget(connection, erased)
        await connection.executemany(of_people.put_consent, [_consent_row(*item) for item in newest.items()])

    async def _engagements(self, connection: Connection, events: Sequence[EngagementRecorded]) -> None:
        stops = [
            (
                event.shopid,
                event.customerid,
                event.data.channel,
                event.data.occurred_at,
                event.data.kind,
                None,
            )
            for event in events
            if event.data.kind in SUPPRESSING
        ]
        await connection.executemany(of_people.suppress, sorted(stops))
        proven = [_uuid(event.data.message_id) for event in events if event.data.kind in _PROOF]
        arrived = [Move(message) for message in proven if message]
        await self._ledger.learn(connection, Cause.EVIDENCE, arrived)

    async def _messages(self, connection: Connection, batch: Sequence[Admitted]) -> None:
        now = self._clock.machine()
        rows = [
            (
                event.data.message_id,
                event.shopid,
                event.customerid,
                event.data.channel,
                event.data.journey,
                State.INTENDED,
                one.record.value,
                now,
                event.data.valid_until,
                event.data.created_at,
                priority_of(event.data),
            )
            for one in batch
            if isinstance(event := one.event, MessageRequested)
        ]
        await connection.executemany(queries.intend, rows)


def _consent_row(
    customer: Customer, event: CustomerRecorded
) -> tuple[str, str, int, dict[str, dict[str, object]], str | None, str | None, str | None]:
    data = event.data
    consent = {str(channel): given.model_dump(mode="json") for channel, given in data.consent.items()}
    return *customer, data.version, consent, data.country, data.region, data.time_zone


def _uuid(text: str | None) -> UUID | None:
    try:
        return UUID(text) if text else None
    except ValueError:
        return None
