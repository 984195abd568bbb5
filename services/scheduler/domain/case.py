"""One question, one case: everything that the rules look at for one occurrence of a step."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property

from services.scheduler.domain.context import Context
from services.scheduler.domain.customer import CustomerState, OrderFacts, VerdictFacts
from services.scheduler.domain.journey import Journey, Step
from services.scheduler.domain.offer import Selection, Shelf, select
from services.scheduler.domain.ownership import owned, sent_back
from services.scheduler.domain.timing import Due, local_zone
from shared.events import Candidate, Channel


@dataclass(frozen=True)
class Case:
    """The inputs of a decision, and what several rules derive from them."""

    state: CustomerState
    due: Due
    journey: Journey
    candidates: Sequence[Candidate]
    context: Context
    now: datetime

    @cached_property
    def step(self) -> Step:
        """The step that is due."""
        return self.journey.step(self.due.step)

    @cached_property
    def order(self) -> OrderFacts | None:
        """The order that began the enrolment."""
        return self.state.orders.get(self.due.order_id)

    @cached_property
    def expires_at(self) -> datetime:
        """When it is too late for the message, however often it was deferred."""
        return self.due.due_at + self.step.expires

    @cached_property
    def planned_at(self) -> datetime:
        """When this attempt was meant to be made: the due time, or the end of the last defer."""
        own = self.state.verdicts.get(self.due.message_id)
        waited = own.next_at if own and own.attempt < self.context.attempt else None
        return max(waited or self.due.due_at, self.due.due_at)

    @cached_property
    def others(self) -> list[VerdictFacts]:
        """Messages sent or ghosted to this customer, latest first, without this very one."""
        facts = [
            fact
            for message_id, fact in self.state.verdicts.items()
            if fact.counts and message_id != self.due.message_id
        ]
        return sorted(facts, key=lambda fact: fact.decided_at, reverse=True)

    @cached_property
    def recipient(self) -> str | None:
        """The address or number for the step's channel."""
        profile = self.state.profile
        if profile is None:
            return None
        return profile.email if self.due.channel is Channel.EMAIL else profile.phone

    @cached_property
    def selection(self) -> Selection | None:
        """The products to offer; None for a step that offers none, or whose order is unknown."""
        if self.step.offer is None or self.order is None:
            return None
        month = self.now.astimezone(local_zone(self.state, self.journey)).month
        return select(
            Shelf(
                self.step.offer,
                self.order,
                self.candidates,
                self.context.catalogue,
                owned(self.state),
                sent_back(self.state),
                month,
            )
        )
