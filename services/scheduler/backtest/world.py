"""What decisions stand on besides customers, as of a moment of the past: products, complements, the law."""

from uuid import UUID

from services.scheduler.backtest.records import Item
from services.scheduler.domain import ContactHours, Context, CustomerState, Due, Published
from services.scheduler.domain.enrolling import order_of
from services.scheduler.domain.terms import IncentiveTerms
from services.scheduler.views import Proposals, Views
from shared.events import Event
from shared.kafka.records import Record


class _SomeCode:
    """A code for whoever needs one: pools are of the present."""

    def code(self, message_id: UUID, terms: IncentiveTerms) -> str:
        """Return a code that nobody can redeem."""
        del message_id, terms
        return "BACKTEST"


SOME_CODE = _SomeCode()


class World:
    """What the scheduler would have had in memory at a moment that only moves on."""

    def __init__(self, law: ContactHours) -> None:
        self.views = Views()
        self.law = law

    def take(self, item: Item, event: Event | None) -> None:
        """Keep what a record says."""
        self.views.take(Record(item.topic, item.partition, item.offset, item.key, item.value), event)

    def proposals(self, state: CustomerState, due: Due, published: Published) -> Proposals:
        """What goes with the order of a step, by now."""
        order = order_of(state, due.order_id, published.programme(state.shop))
        if order is None:
            return Proposals((), None)
        return self.views.proposals(state.shop, order.products)

    def context(
        self, state: CustomerState, published: Published, attempt: int, version: int | None
    ) -> Context:
        """What a decision needs. Pools of codes and budgets are of the present: neither runs out here."""
        return Context(
            self.views.catalogue(state.shop),
            self.law,
            attempt,
            {},
            version,
            published.programme(state.shop),
            codes=SOME_CODE,
        )
