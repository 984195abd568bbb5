"""Who goes first when several steps of one customer are due at once, and with it who gets the slot for an offer."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from datetime import datetime
from uuid import UUID

from services.scheduler.domain.case import Case
from services.scheduler.domain.context import Context
from services.scheduler.domain.customer import CustomerState
from services.scheduler.domain.journey import Journey
from services.scheduler.domain.published import Published
from services.scheduler.domain.timing import Due
from shared.events import Candidate, Channel

Inputs = Callable[[Due], tuple[Sequence[Candidate], Context]]
"""Gives what a decision on a step would stand on: the candidates and the context."""


def turn(due: Due) -> tuple[int, datetime, UUID]:
    """Sort key of steps that do not compete: priority, due time, id."""
    return due.priority, due.due_at, due.message_id


def order(
    state: CustomerState, dues: Sequence[Due], published: Published, inputs: Inputs, now: datetime
) -> list[Due]:
    """Return steps that are all due now in the order in which they are to be decided; the same for any order given.

    That is by `turn`, unless the shop has one slot for offers and several journeys want it. Then the steps of the journey
    with the lowest priority number come before those of the others that make offers, of equals the one whose offer
    is expected to bring most, then the one that is due first. Within a journey `turn` holds in any case, and the steps of
    journeys that do not compete keep their place by it.
    """
    plain = sorted(dues, key=turn)
    if len(plain) < 2 or published.programme(state.shop).slot is None:  # noqa: PLR2004  two make a contest
        return plain
    bids: defaultdict[str, list[Due]] = defaultdict(list)
    for due in plain:
        if due.channel is not Channel.EVENT and _journey(published, due).leaves[due.leaf].step.sells:
            bids[due.journey].append(due)
    if len(bids) < 2:  # noqa: PLR2004  two make a contest
        return plain

    def rank(journey: str) -> tuple[int, float, tuple[datetime, UUID]]:
        wants = bids[journey]
        best = max(_worth(state, due, published, inputs, now) for due in wants)
        first = min((due.due_at, due.message_id) for due in wants)
        return _journey(published, wants[0]).priority, -best, first

    place = {journey: number for number, journey in enumerate(sorted(bids, key=rank))}
    contest = sorted((due for due in plain if due.journey in place), key=lambda due: place[due.journey])
    return _merged(contest, [due for due in plain if due.journey not in place])


def _merged(contest: Sequence[Due], rest: Sequence[Due]) -> list[Due]:
    """Put `rest` between the others by `turn`; both keep their own order."""
    found: list[Due] = []
    waiting = list(rest)
    for due in contest:
        while waiting and turn(waiting[0]) < turn(due):
            found.append(waiting.pop(0))
        found.append(due)
    return found + waiting


def _journey(published: Published, due: Due) -> Journey:
    return published.journey(due.journey, due.journey_version)


def _worth(state: CustomerState, due: Due, published: Published, inputs: Inputs, now: datetime) -> float:
    """Return what an offer is expected to bring: of the best product that it would hold, see `expected`."""
    candidates, context = inputs(due)
    case = Case(state, due, _journey(published, due), candidates, context, now)
    offered = case.selection.products if case.selection else ()
    currency = case.order.currency if case.order else ""
    return max((expected(each, context, currency) for each in offered), default=0.0)


def expected(candidate: Candidate, context: Context, currency: str) -> float:
    """Return score times margin, or times price where the shop tells no margin; 0 for a price that cannot be compared.

    A number to rank by, not an amount: scores are shares, and so it is a float and never written into an offer.
    """
    product = context.catalogue.get(candidate.product_id)
    if product is None or product.currency not in (None, currency):
        return 0.0
    value = product.margin if product.margin is not None else product.price
    return candidate.score * float(value) if value is not None else 0.0
