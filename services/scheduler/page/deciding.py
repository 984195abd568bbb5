"""The offers on one order's page, decided by the same core as messages: one is made, and the others make way for it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import orjson
from msgspec.structs import replace

from services.scheduler.deciding import Decider
from services.scheduler.domain import Context, CustomerState, Due, page_due, page_offer, record
from services.scheduler.domain.merging import order_facts
from services.scheduler.page.store import Kept
from services.scheduler.spending.till import Till
from services.scheduler.views import Views
from shared.events import Decision, Order, Outcome, Reason, RuleOutcome, Verdict

_TAKES_THE_PAGE = (Verdict.SEND, Verdict.GHOST)


@dataclass(frozen=True, slots=True)
class Settled:
    """A customer after their page: the state with its verdicts, the decisions, and what is answered."""

    state: CustomerState
    decisions: Sequence[Decision]
    kept: Kept


@dataclass(frozen=True, slots=True)
class Standing:
    """What the decisions of one request stand on. `till` is None where no offer needs one."""

    decider: Decider
    positions: dict[str, int]
    now: datetime
    till: Till | None


def seen(state: CustomerState, order: Order, views: Views) -> CustomerState:
    """Return the state with the order in it: as its event told, or else, for this one look, as the page says."""
    if order.order_id in state.orders:
        return state
    catalogue = views.catalogue(state.shop)
    categories = {
        each.product_id: product.category
        for each in order.lines
        if (product := catalogue.get(each.product_id)) is not None
    }
    lines = tuple(
        line.model_copy(update={"category": line.category or categories.get(line.product_id)})
        for line in order.lines
    )
    facts = order_facts(order.model_copy(update={"lines": lines}))
    return replace(state, orders={**state.orders, order.order_id: facts})


def bids(looked: CustomerState, decider: Decider, order_id: str) -> list[Due]:
    """List the page's offers for an order, decided or not."""
    return page_due(looked, decider.published, order_id)


def sweetened(due: Due, decider: Decider) -> bool:
    """Whether an offer may come with an incentive, so that budgets and codes must be held."""
    journey = decider.published.journey(due.journey, due.journey_version)
    offer = journey.leaves[due.leaf].step.offer
    return offer is not None and offer.incentive is not None


def settle(state: CustomerState, looked: CustomerState, wanted: Sequence[Due], standing: Standing) -> Settled:
    """Decide on every offer. `looked` is the state with the order in it, which is not written to `state`.

    Raises RetryLater if it cannot be told now whether there is a code for one.
    """
    decisions: list[Decision] = []
    kept = Kept(None, None, None, None)
    made: Decision | None = None
    for due in standing.decider.ordered(looked, wanted, standing.now):
        known = looked.verdicts.get(due.message_id)
        attempt = known.attempt + 1 if known else 1
        decision, context = standing.decider.judge(
            looked, due, attempt, standing.positions, standing.now, standing.till
        )
        decision = _for_the_page(decision, made)
        if decision.verdict in _TAKES_THE_PAGE:
            made = decision
            if standing.till is not None:
                standing.till.take(looked.shop, decision)
        looked, state = record(looked, decision), record(state, decision)
        decisions.append(decision)
        if made is None or decision is made:
            kept = _kept(kept, looked, due, decision, standing.decider, context)
    return Settled(state, decisions, kept)


def _for_the_page(decision: Decision, made: Decision | None) -> Decision:
    """Nobody comes back to a page later, and it has room for one: what would wait, or is not the first, is not made."""
    if decision.verdict is Verdict.DEFER:
        return decision.model_copy(update={"verdict": Verdict.SKIP, "next_at": None})
    if decision.verdict is Verdict.SKIP or made is None:
        return decision
    lost = RuleOutcome(
        rule=Reason.OUTBID,
        outcome=Outcome.DROP,
        inputs={"page": str(made.message_id), "journey": made.journey, "step": made.step},
    )
    rules = tuple(lost if each.rule is Reason.OUTBID else each for each in decision.rules)
    changed = {"verdict": Verdict.SKIP, "reason": Reason.OUTBID, "rules": rules, "offer": None}
    return decision.model_copy(update=changed)


def _kept(  # noqa: PLR0913, PLR0917  what an offer is made of
    before: Kept, looked: CustomerState, due: Due, decision: Decision, decider: Decider, context: Context
) -> Kept:
    """Return what is answered after one more decision: an offer, or the reason that came first."""
    if decision.verdict is not Verdict.SEND:
        held_out = decision.verdict is Verdict.GHOST
        reason = decision.reason.value if decision.reason else ""
        return Kept(reason if held_out else before.reason or reason, None, None, None)
    journey = decider.published.journey(due.journey, due.journey_version)
    shown, until = page_offer(looked, due, decision, journey, context)
    text = orjson.dumps({"id": str(decision.message_id), "expires_at": until, **shown}).decode()
    return Kept(None, decision.message_id, text, until)
