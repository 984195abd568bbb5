"""Events into customers' states, and states into due steps: one batch is one transaction."""

from collections.abc import Collection, Sequence
from datetime import timedelta
from functools import reduce

from services.scheduler import derive, in_force, store
from services.scheduler.domain import CustomerState, Journey, apply
from services.scheduler.domain.erasure import erase
from services.scheduler.domain.folding import fold
from shared import metrics
from shared.clock import Clock
from shared.ids import split_key
from shared.kafka.records import Admitted
from shared.topics import CUSTOMERS, ENGAGEMENT, ORDERS, RETURNS, SHIPMENTS

KEPT = timedelta(days=400)
"""How long an order is kept whole: longer than any journey reaches."""

TOPICS = (ORDERS, SHIPMENTS, RETURNS, CUSTOMERS, ENGAGEMENT)


class Intake:
    """Applies batches. A duplicate changes no fact, so it writes nothing."""

    def __init__(self, journeys: Collection[Journey], clock: Clock) -> None:
        self._journeys = journeys
        self._mine = in_force.fingerprint(journeys)
        self._clock = clock

    async def handle(self, connection: store.Connection, batch: Sequence[Admitted]) -> None:
        """Apply a batch in the caller's transaction, which also holds the batch's positions.

        Raises JourneysReplaced if other journeys than ours are in force.
        """
        await in_force.hold(connection, self._mine)
        events: dict[store.CustomerKey, list[Admitted]] = {}
        for admitted in batch:
            events.setdefault(split_key(admitted.record.key or b""), []).append(admitted)
        wanted = {key: news[0].record.partition for key, news in events.items()}
        folded = self._clock.business() - KEPT
        changed: list[tuple[store.Locked, CustomerState]] = []
        for customer in await store.lock(connection, wanted):
            known = derive.state_of(customer)
            state = fold(reduce(_applied, events[customer.key], known), folded)
            if state != known:
                changed.append((customer, state))
        await store.save(connection, {customer.key: state.dump() for customer, state in changed})
        await rewrite_steps(connection, changed, self._journeys)


async def rewrite_steps(
    connection: store.Connection,
    customers: Sequence[tuple[store.Locked, CustomerState]],
    journeys: Collection[Journey],
) -> None:
    """Make the stored due steps of customers those that their facts call for."""
    if not customers:
        return
    present = await store.timings(connection, [customer.key for customer, _ in customers])
    wanted = [
        row
        for customer, state in customers
        for row in derive.waiting(customer, state, derive.undecided(state, journeys))
    ]
    await store.write_steps(connection, store.difference(present, wanted))


def _applied(state: CustomerState, admitted: Admitted) -> CustomerState:
    after = erase(state) if admitted.event is None else apply(state, admitted.event)
    if after == state:
        metrics.EVENTS_DUPLICATE.labels(admitted.record.topic).inc()
    return after
