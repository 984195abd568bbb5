"""One customer's due steps, decided one after the other on the state that the one before left."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from services.scheduler import derive
from services.scheduler.domain import (
    ContactHours,
    Context,
    CustomerState,
    Due,
    Published,
    arbiter,
    decide,
    hand_over,
    message,
    record,
)
from services.scheduler.domain.enrolling import order_of
from services.scheduler.spending.till import Till
from services.scheduler.store import Locked, Waiting
from services.scheduler.views import Views
from shared.errors import RetryLater
from shared.events import (
    Candidate,
    Channel,
    Decision,
    DecisionRecorded,
    Event,
    HandOver,
    HandOverRequested,
    Message,
    MessageRequested,
    Verdict,
)
from shared.ids import partition_key
from shared.kafka.outbox import Outgoing
from shared.switches import Scope
from shared.topics import DECISIONS, HAND_OVERS, MESSAGES

SOURCE = "orderwake/scheduler"


@dataclass(frozen=True)
class Settled:
    """A customer after their due steps: new state, what is still open, decisions and what they ask for."""

    customer: Locked
    state: CustomerState
    waiting: Sequence[Waiting]
    decisions: Sequence[tuple[Decision, Waiting]]
    outgoing: Sequence[Outgoing]


@dataclass(frozen=True)
class Decider:
    """What all decisions of a process stand on besides the customer."""

    published: Published
    views: Views
    law: ContactHours

    def settle(
        self,
        customer: Locked,
        now: datetime,
        positions: Mapping[str, int],
        paused: Collection[Scope],
        till: Till | None = None,
    ) -> Settled:
        """Decide every step due by `now` and not paused; each counts towards the next one's caps.

        Incentives take from the `till`; without one nobody counts budgets, and codes of customers' own are left out. Raises
        RetryLater if it cannot be told now whether there is a code for one; the till is then as it was.
        """
        if till is None:
            return self._settled(customer, now, positions, paused, None)
        mark = till.mark
        try:
            return self._settled(customer, now, positions, paused, till)
        except RetryLater:
            till.undo(mark)
            raise

    def _settled(
        self,
        customer: Locked,
        now: datetime,
        positions: Mapping[str, int],
        paused: Collection[Scope],
        till: Till | None,
    ) -> Settled:
        before = state = derive.state_of(customer)
        decisions: list[tuple[Decision, Waiting]] = []
        outgoing: list[Outgoing] = []
        open_ones = derive.undecided(state, self.published, now, self.views)
        for due, row in self._turns(customer, state, open_ones, now, paused):
            decision, wanted = self._decide(state, due, row.attempt + 1, positions, now, till)
            if till is not None:
                till.take(customer.shop_id, decision)
            state = record(state, decision)
            decisions.append((decision, row))
            outgoing += outgoing_of(customer, decision, wanted)
        if customer.shop_id in self.published.looking_back and state is not before:
            # Again, since a verdict may be what another step waits for.
            open_ones = derive.undecided(state, self.published, now, self.views)
        else:
            open_ones = [due for due in open_ones if not derive.settled(state, due)]
        return Settled(customer, state, derive.waiting(customer, state, open_ones), decisions, outgoing)

    def _turns(
        self,
        customer: Locked,
        state: CustomerState,
        open_ones: Sequence[Due],
        now: datetime,
        paused: Collection[Scope],
    ) -> list[tuple[Due, Waiting]]:
        """List what is due by `now` and not held, in the order in which it is to be decided."""
        rows = {row.message_id: row for row in derive.waiting(customer, state, open_ones)}
        ready = [
            due
            for due in open_ones
            if rows[due.message_id].next_at <= now
            and not any(each.holds(customer.shop_id, due.journey, due.channel) for each in paused)
        ]
        order = self.ordered(state, ready, now)
        return [(due, rows[due.message_id]) for due in order]

    def ordered(self, state: CustomerState, ready: Sequence[Due], now: datetime) -> list[Due]:
        """Return steps that are due now in the order in which they are to be decided."""

        def inputs(due: Due) -> tuple[Sequence[Candidate], Context]:
            programme = self.published.programme(state.shop)
            order = order_of(state, due.order_id, programme)
            found = self.views.proposals(state.shop, order.products if order else ())
            return found.candidates, Context(self.views.catalogue(state.shop), self.law, programme=programme)

        return arbiter.order(state, ready, self.published, inputs, now)

    def _decide(  # noqa: PLR0913, PLR0917  what one decision stands on
        self,
        state: CustomerState,
        due: Due,
        attempt: int,
        positions: Mapping[str, int],
        now: datetime,
        till: Till | None,
    ) -> tuple[Decision, Message | HandOver | None]:
        decision, context = self.judge(state, due, attempt, positions, now, till)
        if decision.verdict is not Verdict.SEND:
            return decision, None
        wanted = hand_over if due.channel is Channel.EVENT else message
        journey = self.published.journey(due.journey, due.journey_version)
        return decision, wanted(state, due, decision, journey, context)

    def judge(  # noqa: PLR0913, PLR0917  as above
        self,
        state: CustomerState,
        due: Due,
        attempt: int,
        positions: Mapping[str, int],
        now: datetime,
        till: Till | None,
    ) -> tuple[Decision, Context]:
        """Decide one step, and return with it what it stands on. Raises RetryLater as `settle` does."""
        journey = self.published.journey(due.journey, due.journey_version)
        programme = self.published.programme(state.shop)
        order = order_of(state, due.order_id, programme)
        proposals = self.views.proposals(state.shop, order.products if order else ())
        context = Context(
            self.views.catalogue(state.shop),
            self.law,
            attempt,
            positions,
            proposals.version,
            programme,
            self.views.switches.stopped(state.shop, due.journey, due.channel),
            budgets=till.left(state.shop) if till else None,
            codes=till.codes(state.shop) if till else None,
        )
        return decide(state, due, journey, proposals.candidates, context, now), context


def outgoing_of(
    customer: Locked, decision: Decision, wanted: Message | HandOver | None = None
) -> list[Outgoing]:
    """Events of a decision, under ids that are the same however often they are published."""
    key = partition_key(*customer.key)
    envelope = {
        "source": SOURCE,
        "time": decision.decided_at,
        "shopid": customer.shop_id,
        "customerid": customer.customer_id,
        "correlationid": decision.order_id,
    }
    decided = DecisionRecorded(id=str(decision.decision_id), data=decision, **envelope)
    events: list[tuple[str, Event]] = [(DECISIONS.name, decided)]
    if isinstance(wanted, Message):
        events.append((MESSAGES.name, MessageRequested(id=str(wanted.message_id), data=wanted, **envelope)))
    elif wanted:
        handed = HandOverRequested(id=str(wanted.message_id), data=wanted, **envelope)
        events.append((HAND_OVERS.name, handed))
    return [Outgoing(topic, key, event.encode()) for topic, event in events]
