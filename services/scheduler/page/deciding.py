"""The offers on one order's page, decided one after the other by the same core until one is made."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import orjson
from msgspec.structs import replace

from services.scheduler.deciding import SOURCE
from services.scheduler.domain import (
    ContactHours,
    Context,
    CustomerState,
    Due,
    Published,
    decide,
    page_due,
    page_offer,
    record,
)
from services.scheduler.domain.merging import order_facts
from services.scheduler.domain.timing import NO_OUTLOOK, Outlook
from services.scheduler.page.store import Kept
from services.scheduler.views import Views
from shared.events import Decision, DecisionRecorded, Order, Verdict
from shared.ids import partition_key
from shared.kafka.outbox import Outgoing
from shared.topics import DECISIONS


@dataclass(frozen=True, slots=True)
class Settled:
    """A customer after their page: the state with its verdicts, the decisions, and what is answered."""

    state: CustomerState
    decisions: Sequence[Decision]
    kept: Kept


@dataclass(frozen=True)
class PageDecider:
    """What all decisions of the process stand on besides the customer."""

    views: Views
    law: ContactHours
    outlook: Outlook = NO_OUTLOOK

    def seen(self, state: CustomerState, order: Order) -> CustomerState:
        """Return the state with the order in it: as its event told, or else, for this one look, as the page says."""
        if order.order_id in state.orders:
            return state
        catalogue = self.views.catalogue(state.shop)
        lines = tuple(
            line
            if line.category
            else line.model_copy(update={"category": product.category if product else None})
            for line, product in ((each, catalogue.get(each.product_id)) for each in order.lines)
        )
        facts = order_facts(order.model_copy(update={"lines": lines}))
        return replace(state, orders={**state.orders, order.order_id: facts})

    def bids(self, seen: CustomerState, published: Published, order_id: str) -> list[Due]:
        """List the page's offers for an order in the order in which they are tried."""
        found = page_due(seen, published, order_id)
        return sorted(found, key=lambda each: (each.priority, each.due_at, each.message_id))

    def settle(
        self, state: CustomerState, seen: CustomerState, bids: Sequence[Due], standing: "Standing"
    ) -> Settled:
        """Decide until an offer is made, or would be to someone held out. The order itself is not written to `state`."""
        decisions: list[Decision] = []
        kept = Kept(None, None, None, None)
        for due in bids:
            decision, context = self._decide(seen, due, standing)
            seen, state = record(seen, decision), record(state, decision)
            decisions.append(decision)
            kept = _kept(kept, seen, due, decision, standing, context)
            if decision.verdict in (Verdict.SEND, Verdict.GHOST):
                break
        return Settled(state, decisions, kept)

    def _decide(self, seen: CustomerState, due: Due, standing: "Standing") -> tuple[Decision, Context]:
        shop, published = seen.shop, standing.published
        known = seen.verdicts.get(due.message_id)
        proposals = self.views.proposals(shop, seen.orders[due.order_id].products)
        context = Context(
            self.views.catalogue(shop),
            self.law,
            known.attempt + 1 if known else 1,
            standing.positions,
            proposals.version,
            programme=published.programme(shop),
            stopped=self.views.switches.stopped(shop, due.journey, due.channel),
        )
        journey = published.journey(due.journey, due.journey_version)
        decision = decide(seen, due, journey, proposals.candidates, context, standing.now)
        return _at_once(decision), context


@dataclass(frozen=True, slots=True)
class Standing:
    """What the decisions of one request stand on: what is in force, where the state stands, business time."""

    published: Published
    positions: Mapping[str, int]
    now: datetime


def _at_once(decision: Decision) -> Decision:
    """Nobody comes back to a page later: what would have to wait is not made at all."""
    if decision.verdict is not Verdict.DEFER:
        return decision
    return decision.model_copy(update={"verdict": Verdict.SKIP, "next_at": None})


def _kept(  # noqa: PLR0913, PLR0917  what an offer is made of
    before: Kept, seen: CustomerState, due: Due, decision: Decision, standing: Standing, context: Context
) -> Kept:
    """Return what is answered after one more decision: an offer, or the reason that came first."""
    if decision.verdict is not Verdict.SEND:
        held_out = decision.verdict is Verdict.GHOST
        reason = decision.reason.value if decision.reason else ""
        return Kept(reason if held_out else before.reason or reason, None, None, None)
    journey = standing.published.journey(due.journey, due.journey_version)
    shown, until = page_offer(seen, due, decision, journey, context)
    text = orjson.dumps({"id": str(decision.message_id), "expires_at": until, **shown}).decode()
    return Kept(None, decision.message_id, text, until)


def told(shop: str, customer: str, decisions: Sequence[Decision]) -> list[Outgoing]:
    """Return the decisions' records, under ids that are the same however often they are published."""
    key = partition_key(shop, customer)
    return [
        Outgoing(
            DECISIONS.name,
            key,
            DecisionRecorded(
                id=str(decision.decision_id),
                source=SOURCE,
                time=decision.decided_at,
                shopid=shop,
                customerid=customer,
                correlationid=decision.order_id,
                data=decision,
            ).encode(),
        )
        for decision in decisions
    ]
