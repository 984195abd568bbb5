"""Which steps a customer's facts make due, and when: the present matters only for what is long over."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Protocol
from uuid import UUID
from zoneinfo import ZoneInfo

import cel

from services.scheduler.domain import facts
from services.scheduler.domain.conditions import facts_of, holds
from services.scheduler.domain.customer import CustomerState, VerdictFacts
from services.scheduler.domain.enrolling import SLACK, Enrolment, enrolments, matches, reorder_at
from services.scheduler.domain.experiment import Assignment, assign
from services.scheduler.domain.journey import Journey
from services.scheduler.domain.published import Published
from services.scheduler.domain.step import AfterAnswer, AfterStep, Condition, Step
from services.scheduler.domain.tree import Experiment, Leaf
from shared.events import Channel
from shared.ids import enrolment_id, message_id


class Outlook(Protocol):
    """What is foretold of products beside the customer's own facts."""

    def gap(self, shop: str, product: str) -> timedelta | None:
        """Return how long after a product people usually buy what goes with it, where that is known."""


class _Nothing:
    def gap(self, shop: str, product: str) -> timedelta | None:
        """Know nothing of any product."""
        del shop, product
        return None


NO_OUTLOOK: Outlook = _Nothing()


@dataclass(frozen=True, slots=True)
class Due:
    """One occurrence of a step (0, 1, ... for repeats); `message_id` is its id, `due_at` is in UTC.

    `leaf` is the place of the step in the journey's leaves, `exposures` the variants on the way to it. `drained`: the
    enrolment's version was taken out of force, and its people leave.
    `strayed`: it was deferred, and facts have led elsewhere since; `due_at` is then when it was deferred.
    """

    message_id: UUID
    enrolment_id: UUID
    journey: str
    journey_version: str
    step: str
    occurrence: int
    channel: Channel
    order_id: str
    due_at: datetime
    priority: int
    leaf: int = 0
    exposures: tuple[tuple[str, str], ...] = ()
    drained: bool = False
    strayed: bool = False


def due(
    state: CustomerState, published: Published, since: datetime | None = None, outlook: Outlook = NO_OUTLOOK
) -> dict[UUID, Due]:
    """Every occurrence that the facts call for, by message id, whether it was decided already or not.

    Cancellations, returns and opt-outs remove nothing: such steps stay due and are decided to be skipped. Enrolments whose
    last step had expired a month before `since` are left out. Offers on the thank-you page are not in it: see `page_due`.
    """
    return {
        each.message_id: each
        for enrolment in enrolments(state, published, since)
        for each in _Way(state, published, enrolment, outlook).occurrences(since, frozenset())
    }


def open_due(
    state: CustomerState,
    published: Published,
    since: datetime | None = None,
    outlook: Outlook = NO_OUTLOOK,
    only: Collection[str] | None = None,
) -> list[Due]:
    """The same without those that have a final verdict, which are not even looked at; `only` of these orders, if given."""
    found = [each for each in enrolments(state, published, since) if only is None or each.order_id in only]
    if not found:
        return []
    begun = {enrolment.order_id for enrolment in found}
    settled = frozenset(
        (fact.journey, fact.order_id, fact.step, fact.occurrence)
        for fact in state.verdicts.values()
        if fact.order_id in begun and fact.final
    )
    return [
        each
        for enrolment in found
        for each in _Way(state, published, enrolment, outlook).occurrences(since, settled)
    ]


def page_due(state: CustomerState, published: Published, order_id: str) -> list[Due]:
    """Offers on the thank-you page of an order: they come due when the page asks, and until they expire."""
    return [
        each
        for enrolment in enrolments(state, published, None)
        if enrolment.order_id == order_id
        for each in _Way(state, published, enrolment, NO_OUTLOOK).occurrences(None, frozenset(), page=True)
    ]


class _Way:
    """One enrolment's way through its journey. Conditions and assignments are looked at once each."""

    def __init__(
        self, state: CustomerState, published: Published, enrolment: Enrolment, outlook: Outlook
    ) -> None:
        self._state = state
        self._programme = published.programme(state.shop)
        self._enrolment = enrolment
        self._journey = enrolment.edition.journey
        self._outlook = outlook
        self._held: dict[int, bool] = {}
        self._assigned: dict[str, Assignment] = {}
        self._facts: cel.Context | None = None

    def occurrences(
        self, since: datetime | None, settled: frozenset[tuple[str, str, str, int]], *, page: bool = False
    ) -> Iterator[Due]:
        """Yield what is due, in the order of the file, without what is settled and what expired long ago."""
        journey, order_id, enrolment = self._journey, self._enrolment.order_id, None
        found: set[tuple[str, int]] = set()
        for place, leaf in enumerate(journey.leaves):
            step = leaf.step
            if (step.channel is Channel.PAGE) is not page:
                continue
            times = step.repeat.times if step.repeat else 1
            wanted = [one for one in range(times) if (journey.id, order_id, step.id, one) not in settled]
            if not wanted or (anchor := self._anchor(step)) is None:
                continue
            if since is not None and anchor + journey.lasting[place] + SLACK < since:
                continue
            if not self._leads_to(leaf):
                continue
            enrolment = enrolment or enrolment_id(
                self._state.shop, journey.id, self._state.customer_id, order_id
            )
            due_times = list(moments(step, anchor, local_zone(self._state, journey)))
            for occurrence in wanted:
                if since is None or due_times[occurrence] + step.expires + SLACK >= since:
                    found.add((step.id, occurrence))
                    yield self._due(enrolment, place, leaf, occurrence, due_times[occurrence])
        if not page:
            yield from self._strayed(found)

    def _strayed(self, found: set[tuple[str, int]]) -> Iterator[Due]:
        """Yield what was deferred and is no longer on the way: it came due, so it must come to an end."""
        journey, order_id = self._journey, self._enrolment.order_id
        for fact in self._state.verdicts.values():
            if fact.final or (fact.journey, fact.order_id) != (journey.id, order_id):
                continue
            place = next(
                (number for number, leaf in enumerate(journey.leaves) if leaf.step.id == fact.step), None
            )
            if place is not None and (fact.step, fact.occurrence) not in found:
                leaf = journey.leaves[place]
                stray = self._due(fact.enrolment_id, place, leaf, fact.occurrence, fact.decided_at)
                yield replace(stray, strayed=True)

    def _due(self, enrolment: UUID, place: int, leaf: Leaf, occurrence: int, due_at: datetime) -> Due:
        journey, step = self._journey, leaf.step
        return Due(
            message_id(self._state.shop, journey.id, enrolment, step.id, occurrence),
            enrolment,
            journey.id,
            journey.version,
            step.id,
            occurrence,
            step.channel,
            self._enrolment.order_id,
            due_at,
            step.priority,
            place,
            self._exposures(leaf),
            self._enrolment.edition.drained,
        )

    def _leads_to(self, leaf: Leaf) -> bool:
        return (
            self._met(leaf.step.when)
            and all(self._assignment(each.experiment).variant == each.variant for each in leaf.choices)
            and all(self._met(gate.condition) is gate.wanted for gate in leaf.gates)
        )

    def _met(self, condition: Condition) -> bool:
        known = self._held.get(id(condition))
        if known is None:
            known = (
                holds(condition, self._looked_at())
                if isinstance(condition, str)
                else matches(condition, self._enrolment.order)
            )
            self._held[id(condition)] = known
        return known

    def _looked_at(self) -> cel.Context:
        if self._facts is None:
            _, order_id, order = self._enrolment
            asked, words = self._journey.asked, self._journey.words
            self._facts = facts_of(facts.values(self._state, order_id, order, asked, self._programme, words))
        return self._facts

    def _assignment(self, experiment: Experiment) -> Assignment:
        known = self._assigned.get(experiment.experiment)
        if known is None:
            known = assign(self._state.shop, self._state.customer_id, experiment)
            self._assigned[experiment.experiment] = known
        return known

    def _exposures(self, leaf: Leaf) -> tuple[tuple[str, str], ...]:
        return tuple(
            (each.experiment.experiment, each.variant)
            for each in leaf.choices
            if self._assignment(each.experiment).exposed
        )

    def _anchor(self, step: Step) -> datetime | None:
        state, (_, order_id, order) = self._state, self._enrolment
        match step.after:
            case "order" | "cart":
                return order.placed_at
            case "delivery":
                return state.deliveries.get(order_id)
            case "reorder":
                return reorder_at(state, order_id, order)
            case "gap":
                gaps = [self._outlook.gap(state.shop, product) for product in order.products]
                shortest = min((gap for gap in gaps if gap is not None), default=None)
                return order.placed_at + shortest if shortest is not None else None
            case AfterStep(step=name):
                sent = [fact.decided_at for _, fact in self._verdicts(name) if fact.counts]
                return min(sent, default=None)
            case AfterAnswer(answer=name):
                answers = [
                    response.answer.occurred_at
                    for key, _ in self._verdicts(name)
                    if (response := state.responses.get(str(key))) and response.answer
                ]
                return min(answers, default=None)

    def _verdicts(self, step: str) -> Sequence[tuple[UUID, VerdictFacts]]:
        mine = (self._journey.id, self._enrolment.order_id, step)
        return [
            (key, fact)
            for key, fact in self._state.verdicts.items()
            if (fact.journey, fact.order_id, fact.step) == mine
        ]


def moments(step: Step, anchor: datetime, zone: ZoneInfo) -> Iterator[datetime]:
    """When a step is due, each repeat in turn; `at` is the first such local time from the delay's end on."""
    every, times = (step.repeat.every, step.repeat.times) if step.repeat else (timedelta(0), 1)
    for occurrence in range(times):
        moment = anchor + step.delay + occurrence * every
        if step.at is not None:
            local = moment.astimezone(zone)
            wanted = local.replace(hour=step.at.hour, minute=step.at.minute, second=0, microsecond=0, fold=0)
            moment = wanted if wanted >= local else wanted + timedelta(days=1)
        yield moment.astimezone(UTC)


@lru_cache(maxsize=1024)
def _zone(name: str) -> ZoneInfo | None:
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        return None


def local_zone(state: CustomerState, journey: Journey) -> ZoneInfo:
    """The customer's zone if it is known and a real one, else the journey's."""
    name = state.profile.time_zone if state.profile else None
    return (_zone(name) if name else None) or journey.zone
