"""One set of journeys lived by one share of the customers, step after step, each decided at its due time."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from heapq import heappop, heappush

from services.scheduler.backtest.reach import Reach
from services.scheduler.backtest.world import World
from services.scheduler.domain import (
    Context,
    CustomerState,
    Due,
    Published,
    apply,
    arbiter,
    decide,
    open_due,
    page_due,
    record,
)
from services.scheduler.domain.erasure import erase
from services.scheduler.domain.folding import fold
from services.scheduler.intake import KEPT
from shared.events import Candidate, Decision, Event, OrderRecorded, Verdict
from shared.ids import split_key

Observer = Callable[[str, Due, Decision], None]
"""Told of each decision, with the shop: of one customer's in the order in which they are made."""

_TOUCHES = (Verdict.SEND, Verdict.GHOST)


@dataclass(slots=True)
class _Row:
    """An open occurrence: when it is to be decided next, and how often it was."""

    due: Due
    next_at: datetime
    attempt: int


@dataclass(slots=True)
class _Person:
    state: CustomerState
    rows: list[_Row] = field(default_factory=list)


class Life:
    """Customers' states in memory and a heap of when each is to be decided next.

    Call `take` and `reach` with moments that only move on. An event counts before what is due at its very moment.
    """

    def __init__(self, published: Published, world: World, observers: Sequence[Observer]) -> None:
        self._published = published
        self._world = world
        self._observers = observers
        self._people: dict[bytes, _Person] = {}
        self._agenda: list[tuple[datetime, bytes]] = []
        self._reach = Reach(published)

    @property
    def customers(self) -> int:
        """How many there are."""
        return len(self._people)

    def take(self, key: bytes, event: Event | None, at: datetime) -> None:
        """Apply what is known of a customer from a moment on; None erases the person."""
        person = self._people.get(key)
        if person is None:
            shop, customer = split_key(key)
            person = self._people[key] = _Person(CustomerState(shop=shop, customer_id=customer))
        before = person.state
        after = erase(before) if event is None else apply(before, event)
        if after == before:
            return
        person.state = fold(after, at - KEPT)
        reached = self._reach.of_event(event, after) if person.state is after else None
        if isinstance(event, OrderRecorded) and event.data.order_id not in before.orders:
            self._show_page(person, event.data.order_id, at)
        self._derive(key, person, at, reached)

    def reach(self, moment: datetime, *, inclusive: bool = False) -> None:
        """Decide all that is due before a moment, or up to it, in order of time."""
        agenda = self._agenda
        while agenda and (agenda[0][0] < moment or (inclusive and agenda[0][0] == moment)):
            at, key = heappop(agenda)
            person = self._people[key]
            wanted = [row for row in person.rows if row.next_at <= at]
            if wanted:
                self._settle(key, person, wanted, at)

    def _derive(self, key: bytes, person: _Person, at: datetime, reached: frozenset[str] | None) -> None:
        state = person.state
        found = open_due(state, self._published, at, self._world.views, reached)
        others = [] if reached is None else [row for row in person.rows if row.due.order_id not in reached]
        person.rows = [*others, *(_row(state, each) for each in found)]
        self._note(key, person)

    def _note(self, key: bytes, person: _Person) -> None:
        if person.rows:
            heappush(self._agenda, (min(row.next_at for row in person.rows), key))

    def _settle(self, key: bytes, person: _Person, wanted: list[_Row], at: datetime) -> None:
        touched: set[str] = set()
        for row in self._in_turn(person.state, wanted, at):
            row.attempt += 1
            decision = self._decide(person, row.due, row.attempt, at)
            if decision.verdict in _TOUCHES:
                touched.add(decision.order_id)
            if decision.next_at is None:
                person.rows.remove(row)
            else:
                row.next_at = max(decision.next_at, row.due.due_at)
        if touched and person.state.shop in self._published.looking_back:
            # What was sent, or would have been, may be what another step waits for.
            self._derive(key, person, at, self._reach.of_verdicts(touched))
        else:
            self._note(key, person)

    def _in_turn(self, state: CustomerState, wanted: Sequence[_Row], at: datetime) -> list[_Row]:
        def inputs(each: Due) -> tuple[Sequence[Candidate], Context]:
            proposals = self._world.proposals(state, each, self._published)
            return proposals.candidates, self._world.context(state, self._published, 1, proposals.version)

        rows = {row.due.message_id: row for row in wanted}
        order = arbiter.order(state, [row.due for row in wanted], self._published, inputs, at)
        return [rows[each.message_id] for each in order]

    def _decide(self, person: _Person, each: Due, attempt: int, at: datetime) -> Decision:
        state = person.state
        journey = self._published.journey(each.journey, each.journey_version)
        proposals = self._world.proposals(state, each, self._published)
        context = self._world.context(state, self._published, attempt, proposals.version)
        decision = decide(state, each, journey, proposals.candidates, context, at)
        person.state = record(state, decision)
        for observer in self._observers:
            observer(state.shop, each, decision)
        return decision

    def _show_page(self, person: _Person, order_id: str, at: datetime) -> None:
        """As if the thank-you page of each order were shown, and asked for its offer at once."""
        for each in page_due(person.state, self._published, order_id):
            self._decide(person, each, 1, at)


def _row(state: CustomerState, each: Due) -> _Row:
    known = state.verdicts.get(each.message_id)
    if known is None:
        return _Row(each, each.due_at, 0)
    return _Row(each, max(known.next_at or each.due_at, each.due_at), known.attempt)
