"""How far a fact reaches: of a customer's enrolments, which can have other due steps because of it.

To derive all of them after each event is right, and most of what a year would cost. A test compares the two.
"""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from services.scheduler.backtest.history import END, START
from services.scheduler.domain import CustomerState, Published
from services.scheduler.domain.journey import Journey
from shared.events import Event, OrderRecorded, ShipmentRecorded

if TYPE_CHECKING:
    from datetime import datetime

_LOOKS_AHEAD = "ordered_again"
"""The one fact that conditions may name of an enrolment and that a later order changes."""


class Reach:
    """What journeys look at decides how far facts reach. `of_event` and `of_verdicts` return order ids, None for all."""

    def __init__(self, published: Published) -> None:
        journeys = {shop: [each.journey for each in editions] for shop, editions in published.by_shop.items()}
        self._ahead = {shop for shop, found in journeys.items() if any(map(_looks_ahead, found))}
        self._reorders = {shop for shop, found in journeys.items() if any(map(_reorders, found))}

    def of_event(self, event: Event | None, state: CustomerState) -> frozenset[str] | None:
        """Return whose due steps an event can have changed, given the state with it."""
        match event:
            case ShipmentRecorded(data=shipment):
                return frozenset({shipment.order_id})
            case OrderRecorded(data=order):
                return self._of_order(state, order.order_id)
        return None

    @staticmethod
    def of_verdicts(order_ids: Iterable[str]) -> frozenset[str]:
        """Return whose due steps verdicts on these orders' steps can have changed: conditions look at their own."""
        return frozenset(order_ids)

    def _of_order(self, state: CustomerState, order_id: str) -> frozenset[str] | None:
        """The latest order matters to its own enrolment, and to those that wait for whether there is a further order."""
        order = state.orders.get(order_id)
        if order is None or (state.predictions is not None and state.shop in self._reorders):
            return None
        others = [(each.placed_at, key) for key, each in state.orders.items() if key != order_id]
        if any(mark > (order.placed_at, order_id) for mark in others):
            return None
        if state.shop not in self._ahead:
            return frozenset({order_id})
        latest = max((at for at, key in others if state.orders[key].stands), default=START)
        touched: dict[str, datetime] = {}
        for fact in state.verdicts.values():
            if fact.counts and fact.decided_at < touched.get(fact.order_id, END):
                touched[fact.order_id] = fact.decided_at
        waiting = {key for key, first in touched.items() if latest <= first < order.placed_at}
        return frozenset({order_id, *waiting})


def _looks_ahead(journey: Journey) -> bool:
    conditions = [journey.entry]
    for leaf in journey.leaves:
        conditions += [leaf.step.when, *(gate.condition for gate in leaf.gates)]
    return any(isinstance(each, str) and _LOOKS_AHEAD in each for each in conditions)


def _reorders(journey: Journey) -> bool:
    return any(leaf.step.after == "reorder" for leaf in journey.leaves)
