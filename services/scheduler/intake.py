"""Events into customers' states, and states into due steps: one batch is one transaction."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import reduce

from services.scheduler import derive, in_force, store
from services.scheduler.domain import CustomerState, Published, apply
from services.scheduler.domain.erasure import erase
from services.scheduler.domain.folding import fold
from services.scheduler.domain.timing import NO_OUTLOOK, Outlook
from services.scheduler.guarding.guards import Counting
from shared import metrics
from shared.clock import Clock
from shared.ids import split_key
from shared.kafka.records import Admitted
from shared.switches import Switchboard
from shared.topics import CARTS, CUSTOMER_PRODUCTS, CUSTOMERS, ENGAGEMENT, ORDERS, RETURNS, SHIPMENTS

KEPT = timedelta(days=400)
"""How long an order is kept whole: longer than any journey reaches."""

TOPICS = (ORDERS, SHIPMENTS, RETURNS, CUSTOMERS, ENGAGEMENT, CARTS, CUSTOMER_PRODUCTS)


class Intake:
    """Applies batches. A duplicate changes no fact, so it writes nothing."""

    def __init__(
        self,
        clock: Clock,
        known: Published | None = None,
        outlook: Outlook = NO_OUTLOOK,
        counting: Counting | None = None,
    ) -> None:
        self._known = known or Published()
        self._clock = clock
        self._outlook = outlook
        self._counting = counting or Counting(Switchboard())

    async def handle(self, connection: store.Connection, batch: Sequence[Admitted]) -> None:
        """Apply a batch in the caller's transaction, which also holds the batch's positions.

        Raises JourneysReplaced if other software has derived the due steps.
        """
        self._known = await in_force.hold(connection, self._known)
        events: dict[store.CustomerKey, list[Admitted]] = {}
        for admitted in batch:
            events.setdefault(split_key(admitted.record.key or b""), []).append(admitted)
        wanted = {key: news[0].record.partition for key, news in events.items()}
        now = self._clock.business()
        changed: list[tuple[store.Locked, CustomerState]] = []
        before: list[CustomerState] = []
        for customer in await store.lock(connection, wanted):
            known = derive.state_of(customer)
            state = fold(reduce(_applied, events[customer.key], known), now - KEPT)
            if state != known:
                changed.append((customer, state))
                before.append(known)
        await store.save(connection, {customer.key: state.dump() for customer, state in changed})
        await rewrite_steps(connection, changed, self._known, now, self._outlook)
        after = [state for _, state in changed]
        await self._counting.count_responses(connection, zip(before, after, strict=True))


async def rewrite_steps(
    connection: store.Connection,
    customers: Sequence[tuple[store.Locked, CustomerState]],
    published: Published,
    now: datetime,
    outlook: Outlook = NO_OUTLOOK,
) -> store.Difference:
    """Make the stored due steps of customers those that their facts call for; returns what was changed."""
    if not customers:
        return store.difference({}, ())
    keys = [customer.key for customer, _ in customers]
    present = await store.timings(connection, keys)
    wanted = [
        row
        for customer, state in customers
        for row in derive.waiting(customer, state, derive.undecided(state, published, now, outlook))
    ]
    change = store.difference(present, wanted)
    await store.write_steps(connection, change, keys)
    return change


def _applied(state: CustomerState, admitted: Admitted) -> CustomerState:
    after = erase(state) if admitted.event is None else apply(state, admitted.event)
    if after == state:
        metrics.EVENTS_DUPLICATE.labels(admitted.record.topic).inc()
    return after
