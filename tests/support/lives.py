"""Long lives of one customer: a hundred and more events of every kind, journeys with everything, and what was decided.

A life is drawn from a number, so it is the same in every run. What people do follows what they are sent.
"""

import heapq
import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cache
from uuid import UUID

from services.scheduler.domain import (
    Catalogue,
    CustomerState,
    Due,
    Edition,
    Journey,
    Programme,
    Published,
    apply,
    arbiter,
    decide,
    open_due,
    record,
)
from shared.events import Channel, Decision, EngagementKind, EngagementRecorded, Event, Verdict
from shared.events import Engagement as EngagementData
from tests.support import lives_events, lives_journeys
from tests.support.deciding import CUSTOMER, MONDAY_NOON, SHOP, candidates, context, envelope
from tests.support.histories import Arrival

DAYS, AFTERWARDS = 90, 150
PROPOSED = candidates("toner", "spf", "serum", "mask", "candle", "cleanser", "toner-rich", "serum-pro")


@dataclass(frozen=True)
class Made:
    """A decision, the occurrence that it is about, and the facts on which it was made."""

    decision: Decision
    due: Due
    known: CustomerState
    stopped: bool


@dataclass
class Life:
    """All that happened, what was in force, and what was decided."""

    seed: int
    before: Published
    after: Published
    changed_at: datetime
    programme: Programme
    shelf: Catalogue
    stops: tuple[tuple[str, datetime, datetime], ...]
    arrivals: list[Arrival] = field(default_factory=list)
    made: list[Made] = field(default_factory=list)
    came_due: set[UUID] = field(default_factory=set)
    state: CustomerState = field(default_factory=lambda: CustomerState(shop=SHOP, customer_id=CUSTOMER))

    def published(self, now: datetime) -> Published:
        """What is in force at a time."""
        return self.after if now >= self.changed_at else self.before

    def stopped(self, journey: str, now: datetime) -> bool:
        """Whether somebody has stopped a journey."""
        return any(name == journey and begins <= now < ends for name, begins, ends in self.stops)

    def journey(self, decision: Decision) -> Journey:
        """The version that a decision was made by."""
        for published in (self.before, self.after):
            for edition in published.editions:
                if (edition.journey.id, edition.journey.version) == (
                    decision.journey,
                    decision.journey_version,
                ):
                    return edition.journey
        raise KeyError(decision.journey)

    @property
    def events(self) -> list[Event]:
        """What happened, as it arrived."""
        return [each.event for each in self.arrivals]

    @property
    def sends(self) -> list[Made]:
        """Decisions to send, or that only a holdout withheld."""
        return [each for each in self.made if each.decision.verdict in (Verdict.SEND, Verdict.GHOST)]

    def seen(self, now: datetime) -> list[Event]:
        """What had arrived by a time."""
        return [each.event for each in self.arrivals if each.at <= now]


@cache
def life(seed: int) -> Life:
    """Draw a life and live it."""
    chance = random.Random(seed)  # noqa: S311  no secret
    changed_at = MONDAY_NOON + timedelta(days=chance.randint(20, 60))
    first, second = lives_journeys.two_versions(chance)
    others = lives_journeys.others(chance)
    programme = lives_journeys.programme(chance)
    drained = chance.random() < 0.4
    editions = (
        Edition(first, ends_at=changed_at, drained=drained),
        Edition(second, begins_at=changed_at),
        *map(Edition, others),
    )
    lived = Life(
        seed,
        Published.of([first, *others], [programme]),
        Published(editions, {SHOP: programme}),
        changed_at,
        programme,
        lives_journeys.shelf(chance),
        tuple(_stops(chance)),
    )
    _live(lived, chance)
    return lived


def _stops(chance: random.Random) -> Iterator[tuple[str, datetime, datetime]]:
    if chance.random() < 0.5:
        begins = MONDAY_NOON + timedelta(days=chance.randint(10, 70))
        yield chance.choice(["routine", "refill"]), begins, begins + timedelta(days=4)


def _live(lived: Life, chance: random.Random) -> None:
    """Let time pass as the scheduler does: take what arrives, and decide whatever has come due in between."""
    coming = [(each.at, number, each) for number, each in enumerate(lives_events.arrivals(chance, DAYS))]
    heapq.heapify(coming)
    end = MONDAY_NOON + timedelta(days=DAYS + AFTERWARDS)
    now = MONDAY_NOON - timedelta(days=1)
    while True:
        next_at = min((at for at, _ in _waiting(lived, now)), default=end)
        if coming and coming[0][0] <= max(next_at, now):
            now, _, arrival = heapq.heappop(coming)
            lived.arrivals.append(arrival)
            lived.state = apply(lived.state, arrival.event)
        elif now < lived.changed_at <= next_at:
            now = lived.changed_at
        elif next_at >= end:
            return
        else:
            now = max(now, next_at)
            for reaction in _decide_due(lived, now, chance):
                heapq.heappush(coming, (reaction.at, len(lived.arrivals) + len(coming) + 10_000, reaction))


def _waiting(lived: Life, now: datetime) -> list[tuple[datetime, Due]]:
    found = []
    for due in open_due(lived.state, lived.published(now), now):
        verdict = lived.state.verdicts.get(due.message_id)
        found.append((max((verdict and verdict.next_at) or due.due_at, due.due_at), due))
    return found


def _decide_due(lived: Life, now: datetime, chance: random.Random) -> list[Arrival]:
    published = lived.published(now)
    ready = [due for at, due in _waiting(lived, now) if at <= now]
    plain = context(1, lived.shelf, programme=lived.programme)
    reactions: list[Arrival] = []
    for due in arbiter.order(lived.state, ready, published, lambda _: (PROPOSED, plain), now):
        lived.came_due.add(due.message_id)
        verdict = lived.state.verdicts.get(due.message_id)
        stopped = lived.stopped(due.journey, now)
        given = context(
            verdict.attempt + 1 if verdict else 1,
            lived.shelf,
            programme=lived.programme,
            stopped="somebody" if stopped else None,
        )
        plan = published.journey(due.journey, due.journey_version)
        decision = decide(lived.state, due, plan, PROPOSED, given, now)
        lived.made.append(Made(decision, due, lived.state, stopped))
        lived.state = record(lived.state, decision)
        if decision.verdict is Verdict.SEND and decision.channel is not Channel.EVENT:
            asks = plan.leaves[due.leaf].step.asks
            reactions += _reactions(decision, bool(asks), chance)
    return reactions


def _reactions(decision: Decision, asks: bool, chance: random.Random) -> list[Arrival]:  # noqa: FBT001  read at one glance
    """Return what becomes of a message: mostly little, seldom something that silences for good."""
    kinds = [EngagementKind.ACCEPTED, EngagementKind.DELIVERED]
    kinds += [kind for kind, share in lives_events.SHARES.items() if chance.random() < share]
    if asks and chance.random() < 0.7:
        kinds.append(EngagementKind.ANSWERED)
    found = []
    for kind in kinds:
        at = decision.decided_at + timedelta(minutes=chance.randint(1, 4000))
        data = EngagementData(
            kind=kind,
            channel=decision.channel,
            occurred_at=at,
            message_id=str(decision.message_id),
            answer=chance.choice(["happy", "happy", "happy", "unhappy"])
            if kind is EngagementKind.ANSWERED
            else None,
        )
        event = EngagementRecorded(**envelope(at, "reaction", decision.message_id, kind), data=data)
        found.append(Arrival(at + timedelta(minutes=chance.choice([0, 0, 30])), event))
    return found
