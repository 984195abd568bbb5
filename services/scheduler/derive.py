"""From stored text to facts, and from facts to the due steps that should be stored."""

from collections.abc import Iterable
from datetime import datetime

from services.scheduler.domain import CustomerState, Due, Published, VerdictFacts, open_due
from services.scheduler.domain.timing import NO_OUTLOOK, Outlook
from services.scheduler.store import Locked, Waiting


def state_of(customer: Locked) -> CustomerState:
    """Return the facts that were last saved; a new customer has none."""
    if customer.state:
        return CustomerState.load(customer.state)
    return CustomerState(shop=customer.shop_id, customer_id=customer.customer_id)


def undecided(
    state: CustomerState, published: Published, since: datetime, outlook: Outlook = NO_OUTLOOK
) -> list[Due]:
    """List the occurrences without a final verdict, in the order of priority and time; `since` is business now."""
    open_ones = open_due(state, published, since, outlook)
    return sorted(open_ones, key=lambda each: (each.priority, each.due_at, each.message_id))


def waiting(customer: Locked, state: CustomerState, open_ones: Iterable[Due]) -> list[Waiting]:
    """List the rows that should be stored; a deferred occurrence waits for as long as its verdict says."""
    return [_waiting(customer, state.verdicts.get(each.message_id), each) for each in open_ones]


def settled(state: CustomerState, each: Due) -> bool:
    """Whether an occurrence has its final verdict."""
    verdict = state.verdicts.get(each.message_id)
    return verdict is not None and verdict.final


def _waiting(customer: Locked, deferred: VerdictFacts | None, each: Due) -> Waiting:
    return Waiting(
        message_id=each.message_id,
        shop_id=customer.shop_id,
        customer_id=customer.customer_id,
        partition=customer.partition,
        enrolment_id=each.enrolment_id,
        journey=each.journey,
        step=each.step,
        occurrence=each.occurrence,
        channel=each.channel,
        due_at=each.due_at,
        next_at=max((deferred.next_at if deferred else None) or each.due_at, each.due_at),
        attempt=deferred.attempt if deferred else 0,
    )
