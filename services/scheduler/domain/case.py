"""One question, one case: everything that the rules look at for one occurrence of a step."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID
from zoneinfo import ZoneInfo

import cel

from services.scheduler.domain.conditions import facts_of
from services.scheduler.domain.context import Context
from services.scheduler.domain.customer import CustomerState, OrderFacts, VerdictFacts
from services.scheduler.domain.enrolling import order_of
from services.scheduler.domain.facts import number_of, segment_of, values
from services.scheduler.domain.incentive import Bid, Sweetener, choose
from services.scheduler.domain.journey import Journey
from services.scheduler.domain.offer import Selection, Shelf, lowest_quotes, select
from services.scheduler.domain.once import once
from services.scheduler.domain.programme import Programme
from services.scheduler.domain.step import Step
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

    @once
    def step(self) -> Step:
        """The step that is due, as the customer's variants have it."""
        return self.journey.leaves[self.due.leaf].step

    @once
    def programme(self) -> Programme:
        """The shop's rules for all of its journeys."""
        return self.context.programme_of(self.state.shop)

    @once
    def order(self) -> OrderFacts | None:
        """The order, or the cart in the form of one, that began the enrolment."""
        return order_of(self.state, self.due.order_id, self.programme)

    @once
    def facts(self) -> cel.Context | None:
        """What conditions look at; None if the order is not known any more."""
        if self.order is None:
            return None
        asked, words = self.journey.asked, self.journey.words
        return facts_of(values(self.state, self.due.order_id, self.order, asked, self.programme, words))

    @once
    def segment(self) -> str | None:
        """The customer's segment at the order; None if that is not known any more."""
        if self.order is None:
            return None
        return segment_of(number_of(self.state, self.due.order_id, self.order))

    @once
    def expires_at(self) -> datetime:
        """When it is too late for the message, however often it was deferred."""
        return self.due.due_at + self.step.expires

    @once
    def planned_at(self) -> datetime:
        """When this attempt was meant to be made: the due time, or the end of the last defer."""
        own = self.state.verdicts.get(self.due.message_id)
        waited = own.next_at if own and own.attempt < self.context.attempt else None
        return max(waited or self.due.due_at, self.due.due_at)

    @once
    def touches(self) -> list[tuple[UUID, VerdictFacts]]:
        """What was sent or ghosted to this customer, with its ids, latest first, without this very one."""
        own = self.state.verdicts.get(self.due.message_id)
        found = [touch for touch in self.state.verdicts.items() if touch[1] is not own and touch[1].counts]
        found.sort(key=lambda touch: touch[1].decided_at, reverse=True)
        return found

    @once
    def others(self) -> list[VerdictFacts]:
        """The same without the ids."""
        return [fact for _, fact in self.touches]

    @once
    def ours(self) -> list[VerdictFacts]:
        """Those of this enrolment."""
        order_id, enrolment = self.due.order_id, self.due.enrolment_id
        return [fact for fact in self.others if fact.order_id == order_id and fact.enrolment_id == enrolment]

    @property
    def informs(self) -> bool:
        """Whether it only tells the shop's support: nothing is sold, so anger is no reason to keep it back."""
        return self.step.hand_over == "support"

    @once
    def places(self) -> tuple[tuple[str | None, str | None], ...]:
        """Where the customer may be, as country and region, by profile and by the order's address."""
        found = [(facts.country, facts.region) for facts in (self.state.profile, self.order) if facts]
        return tuple(dict.fromkeys(place for place in found if any(place)))

    @once
    def zones(self) -> tuple[ZoneInfo, ...]:
        """Every time zone in which the customer may be; the journey's where nothing is known."""
        return tuple(self.context.law.zones(self.places, self.named_zones)) or (self.journey.zone,)

    @once
    def named_zones(self) -> tuple[str, ...]:
        """The customer's own zone, if they gave one."""
        profile = self.state.profile
        return (profile.time_zone,) if profile and profile.time_zone else ()

    @once
    def recipient(self) -> str | None:
        """The address, number or browser for the step's channel; a webhook's receiver knows customers by their ids."""
        profile = self.state.profile
        if profile is None:
            return None
        known = {
            Channel.EMAIL: profile.email,
            Channel.SMS: profile.phone,
            Channel.PUSH: profile.push,
            Channel.WEBHOOK: self.state.customer_id,
        }
        return known.get(self.due.channel)

    @once
    def selection(self) -> Selection | None:
        """The products to offer; None for a step that offers none, or whose order is unknown."""
        if self.step.offer is None or self.order is None:
            return None
        return select(
            Shelf(
                terms=self.step.offer,
                order=self.order,
                candidates=self.candidates,
                catalogue=self.context.catalogue,
                state=self.state,
                programme=self.programme,
                quoted=lowest_quotes(self.ours),
                month=self.now.astimezone(local_zone(self.state, self.journey)).month,
            )
        )

    @once
    def incentive(self) -> Sweetener | None:
        """What sweetens the offer; None where nothing can be offered."""
        if self.selection is None or self.step.offer is None or self.order is None:
            return None
        bid = Bid(
            terms=self.step.offer.incentive,
            order=self.order,
            products=self.selection.products,
            catalogue=self.context.catalogue,
            programme=self.programme,
            budgets=self.context.budgets,
            now=self.now,
        )
        return choose(bid, self.state, self.others)

    @once
    def code(self) -> str | None:
        """The customer's own code, where the incentive gives one; None if there is none left, or nobody gives codes."""
        terms = self.incentive.given if self.incentive else None
        if terms is None or self.context.codes is None or not (terms.pool or terms.prefix):
            return None
        return self.context.codes.code(self.due.message_id, terms)
