"""Recorded decisions made once more on their recorded inputs. They must come out the same."""

from collections import Counter, defaultdict, deque
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal
from typing import NamedTuple
from uuid import UUID

from services.scheduler.backtest.history import History, Source, event_of
from services.scheduler.backtest.records import FOLLOWED, Item
from services.scheduler.backtest.world import World
from services.scheduler.domain import (
    Context,
    CustomerState,
    Due,
    Published,
    apply,
    decide,
    due,
    page_due,
    record,
)
from services.scheduler.domain.erasure import erase
from services.scheduler.domain.folding import fold
from services.scheduler.domain.terms import IncentiveTerms
from services.scheduler.intake import KEPT
from shared.errors import BacktestError
from shared.events import Decision, DecisionRecorded, Reason
from shared.ids import split_key

_EXAMPLES = 50
_NOT_DUE = "not due"


class Difference(NamedTuple):
    """A decision that came out differently: recorded and now in words, `skip: capped`, `send: mat, strap`."""

    journey: str
    step: str
    recorded: str
    now: str


class Example(NamedTuple):
    """One of them, to look it up by."""

    decision_id: str
    decided_at: datetime
    order_id: str
    difference: Difference


@dataclass
class Replay:
    """What came of it; adds up over customers. `versions`: journeys recorded with a version other than the given one."""

    decisions: int = 0
    differ: Counter[Difference] = field(default_factory=Counter)
    examples: list[Example] = field(default_factory=list)
    versions: Counter[tuple[str, str]] = field(default_factory=Counter)

    def add(self, other: "Replay") -> None:
        """Add what came of other customers' decisions."""
        self.decisions += other.decisions
        self.differ.update(other.differ)
        self.versions.update(other.versions)
        self.examples = sorted([*self.examples, *other.examples], key=lambda each: each[1::-1])[:_EXAMPLES]


class _RecordedCode:
    """Gives the code that the customer was given."""

    def __init__(self, decision: Decision) -> None:
        self._code = decision.offer.incentive.code if decision.offer else None

    def code(self, message_id: UUID, terms: IncentiveTerms) -> str | None:
        """Return it; None if there was none."""
        del message_id, terms
        return self._code


class _Person:
    """A customer's state, and the records that it does not stand on yet."""

    def __init__(self, key: bytes) -> None:
        shop, customer = split_key(key)
        self.state = CustomerState(shop=shop, customer_id=customer)
        self._ahead: dict[str, deque[Item]] = defaultdict(deque)

    def expect(self, item: Item) -> None:
        """Keep a record for when a decision stands on it. Records of one place come in its order."""
        self._ahead[f"{item.topic}-{item.partition}"].append(item)

    def reach(self, decision: Decision, source: Source) -> None:
        """Apply what the decision stood on: by its positions, or by its time where a record has none."""
        before = self.state
        for place, items in self._ahead.items():
            position = decision.positions.get(place)
            while items and _stood_on(items[0], position, decision.decided_at):
                event = event_of(items.popleft(), source)
                self.state = erase(self.state) if event is None else apply(self.state, event)
        if self.state is not before:
            self.state = fold(self.state, decision.decided_at - KEPT)


def _stood_on(item: Item, position: int | None, decided_at: datetime) -> bool:
    if item.offset < 0 or position is None:
        return item.at <= decided_at
    return item.offset < position


def replay(history: History, source: Source, published: Published, world: World) -> Replay:
    """Make every recorded decision again, and compare. Raises BacktestError for a record that cannot be read."""
    people: dict[bytes, _Person] = {}
    followed = deque(item for item in history.items if item.topic in FOLLOWED)
    # Offsets tell the order of a partition, whatever its records say of their times.
    for item in sorted(history.items, key=lambda each: (each.topic, each.partition, each.offset, each.at)):
        if item.topic not in FOLLOWED:
            people.setdefault(item.key, _Person(item.key)).expect(item)
    found = Replay()
    for item in sorted(history.decisions, key=_recorded):
        event = event_of(item, source)
        if not isinstance(event, DecisionRecorded):
            message = f"{source.name(item)}: a tombstone among decisions; leave it out"
            raise BacktestError(message)
        while followed and followed[0].at <= event.data.decided_at:
            world.take(followed[0], event_of(followed[0], source))
            followed.popleft()
        person = people.setdefault(item.key, _Person(item.key))
        person.reach(event.data, source)
        _compare(found, event.data, _again(person.state, event.data, published, world), published)
        # The recorded verdict counts for what comes after: one difference must not bring about more.
        person.state = record(person.state, event.data)
    return found


def _recorded(item: Item) -> tuple[datetime, int, int, int, int]:
    return item.at, item.partition, item.offset, item.part, item.place


def _again(state: CustomerState, recorded: Decision, published: Published, world: World) -> Decision | None:
    each = _due(state, recorded, published, world)
    if each is None:
        return None
    journey = published.journey(each.journey, each.journey_version)
    context = _context(state, recorded, published, world)
    return decide(state, each, journey, recorded.candidates, context, recorded.decided_at)


def _due(state: CustomerState, recorded: Decision, published: Published, world: World) -> Due | None:
    found = due(state, published, recorded.decided_at, world.views).get(recorded.message_id)
    if found is None:
        on_page = page_due(state, published, recorded.order_id)
        found = next((each for each in on_page if each.message_id == recorded.message_id), None)
    said = {rule.rule: rule.inputs for rule in recorded.rules}
    drained = said.get(Reason.JOURNEY_STOPPED, {}).get("drained", False)
    return replace(found, drained=drained) if found else None


def _context(state: CustomerState, recorded: Decision, published: Published, world: World) -> Context:
    said = {rule.rule: rule.inputs for rule in recorded.rules}
    spent, code = said.get(Reason.BUDGET_SPENT, {}), said.get(Reason.NO_CODE, {})
    base = world.context(state, published, recorded.attempt, recorded.complements_version)
    return replace(
        base,
        positions=recorded.positions,
        stopped=said.get(Reason.JOURNEY_STOPPED, {}).get("stopped"),
        fresh=said.get(Reason.STALE_STATE, {}).get("fresh", True),
        budgets={spent["currency"]: Decimal(spent["left"])} if spent.get("left") is not None else None,
        codes=_RecordedCode(recorded) if code.get("asked") else None,
    )


def _compare(found: Replay, recorded: Decision, now: Decision | None, published: Published) -> None:
    found.decisions += 1
    given = {
        edition.journey.version for edition in published.editions if edition.journey.id == recorded.journey
    }
    if recorded.journey_version not in given:
        found.versions[recorded.journey, recorded.journey_version] += 1
    words = _words(recorded), _words(now)
    if words[0] == words[1] and now is not None and now.decision_id == recorded.decision_id:
        return
    difference = Difference(recorded.journey, recorded.step, *words)
    found.differ[difference] += 1
    if len(found.examples) < _EXAMPLES:
        example = Example(str(recorded.decision_id), recorded.decided_at, recorded.order_id, difference)
        found.examples.append(example)


def _words(decision: Decision | None) -> str:
    if decision is None:
        return _NOT_DUE
    if decision.reason is not None:
        return f"{decision.verdict}: {decision.reason}"
    products = ", ".join(each.product_id for each in decision.offer.products) if decision.offer else ""
    return f"{decision.verdict}: {products}" if products else decision.verdict.value
