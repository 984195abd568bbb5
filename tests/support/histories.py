"""Random histories of one customer, and a run through them in business time. No clock and no I/O."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, cast
from uuid import UUID

from hypothesis import strategies as st

from services.scheduler.domain import CustomerState, Due, Journey, Published, apply, decide, due, record
from shared.events import (
    Candidate,
    Channel,
    Decision,
    EngagementKind,
    Event,
    Order,
    OrderRecorded,
    OrderStatus,
    Verdict,
)
from tests.support.deciding import (
    CUSTOMER,
    MONDAY_NOON,
    SHELF,
    SHOP,
    candidates,
    context,
    delivered,
    engagement,
    journey,
    order,
    profile,
    sent_back,
    step,
)

PRODUCTS = sorted(SHELF)
DAYS = 40
PROPOSED: tuple[Candidate, ...] = candidates("toner", "spf", "serum", "mask", "candle", "cleanser")
ZONES = ["America/New_York", "America/Los_Angeles", "Pacific/Honolulu", "Asia/Kolkata", None]
REGIONS = ["NY", "CA", "TX", "RI", "LA", None]


@dataclass(frozen=True)
class Arrival:
    """An event and when it reaches us."""

    at: datetime
    event: Event


@dataclass
class Lived:
    """What a run made of a history: `known` holds, for each decision, the state it was made on."""

    state: CustomerState
    decisions: list[Decision] = field(default_factory=list)
    known: list[CustomerState] = field(default_factory=list)
    occurrences: list[Due] = field(default_factory=list)

    @property
    def finals(self) -> Counter[UUID]:
        """How many final verdicts each occurrence got."""
        return Counter(each.message_id for each in self.decisions if each.verdict is not Verdict.DEFER)

    @property
    def sends(self) -> list[tuple[Decision, CustomerState]]:
        """Decisions that send or ghost, each with the state it was made on."""
        pairs = zip(self.decisions, self.known, strict=True)
        return [pair for pair in pairs if pair[0].verdict in (Verdict.SEND, Verdict.GHOST)]


def moments(days: int = DAYS) -> st.SearchStrategy[datetime]:
    """Draw a moment of the story, to the minute."""
    return st.integers(0, days * 24 * 60).map(lambda minutes: MONDAY_NOON + timedelta(minutes=minutes))


def _consents() -> st.SearchStrategy[dict[str, Any]]:
    given = st.fixed_dictionaries({"granted": st.sampled_from([True] * 4 + [False]), "changed_at": moments()})
    return st.fixed_dictionaries({"email": given}, optional={"sms": given})


def profiles() -> st.SearchStrategy[Event]:
    """Draw versions of a profile; most may be written to."""
    loose = st.fixed_dictionaries(
        {"version": st.integers(2, 6), "consent": _consents()},
        optional={
            "email": st.sampled_from(["ada@example.com"] * 5 + [None]),
            "staff": st.sampled_from([False] * 7 + [True]),
            "first_name": st.sampled_from(["Ada", "Bo"]),
        },
    )
    fields = {"time_zone": st.sampled_from(ZONES), "region": st.sampled_from(REGIONS)}
    both = st.tuples(loose, st.fixed_dictionaries(fields))
    return both.map(lambda drawn: profile(**cast("dict[str, Any]", drawn[0] | drawn[1])))


_baskets = st.lists(st.sampled_from(PRODUCTS), min_size=1, max_size=4, unique=True)
_order_ids = st.sampled_from([f"o-{number}" for number in range(8)])


@st.composite
def orders(draw: st.DrawFn) -> list[Event]:
    """Draw an order with what follows: perhaps a cancellation, deliveries, a return of a part or of all."""
    order_id, basket, at = draw(_order_ids), draw(_baskets), draw(moments())
    kind = draw(st.sampled_from(["live"] * 6 + ["history", "test"]))
    fields: dict[str, Any] = {"at": at, "history": kind == "history", "test": kind == "test"}
    story: list[Event] = [order(order_id, basket, **fields)]
    if draw(st.integers(0, 5)) == 0:
        story.append(order(order_id, basket, version=2, status=OrderStatus.CANCELLED, **fields))
    story += [
        delivered(order_id, at + timedelta(hours=hours), f"s-{order_id}-{hours}")
        for hours in draw(st.lists(st.integers(10, 200), max_size=2))
    ]
    back = draw(st.lists(st.sampled_from(basket), max_size=len(basket), unique=True))
    if back and draw(st.integers(0, 3)) == 0:
        story.append(sent_back(order_id, back, at + timedelta(hours=draw(st.integers(20, 300)))))
    return story


def reactions() -> st.SearchStrategy[Event]:
    """Draw what people do with messages; what silences a customer for good is rare."""
    mild, lasting = (
        [EngagementKind.CLICKED, EngagementKind.ANSWERED],
        [
            EngagementKind.UNSUBSCRIBED,
            EngagementKind.COMPLAINED,
            EngagementKind.BOUNCED,
        ],
    )
    return st.builds(
        engagement,
        st.sampled_from(mild * 6 + lasting),
        moments(),
        st.sampled_from(list(Channel)),
        st.sampled_from(["happy", "happy", "unhappy"]),
    )


@st.composite
def events_of_a_customer(draw: st.DrawFn) -> list[Event]:
    """Draw up to some dozens of events, orders with one id but different facts among them."""
    stories = draw(st.lists(orders(), min_size=2, max_size=10))
    others = draw(st.lists(st.one_of(profiles(), reactions()), max_size=5))
    first = profile(time_zone=draw(st.sampled_from(ZONES)), region=draw(st.sampled_from(REGIONS)))
    return [first, *(event for story in stories for event in story), *others]


@st.composite
def histories(draw: st.DrawFn) -> list[Arrival]:
    """Draw a history in which each order has one set of facts, and some events come late or twice."""
    drawn = {event.id: event for event in draw(events_of_a_customer())}.values()
    facts: dict[str, Order] = {}
    arrivals: list[Arrival] = []
    for event in drawn:
        if isinstance(event, OrderRecorded):
            first = facts.setdefault(event.data.order_id, event.data)
            if _facts(event.data) != _facts(first):
                continue
        lag = draw(st.sampled_from([0, 0, 0, 5, 90, 3000]))
        arrivals.append(Arrival(event.time + timedelta(minutes=lag), event))
        if draw(st.integers(0, 9)) == 0:
            arrivals.append(Arrival(event.time + timedelta(minutes=lag + 7), event))
    return sorted(arrivals, key=lambda each: each.at)


def _facts(order: Order) -> object:
    return order.placed_at, order.lines, order.test, order.history


OFFER = {"from": ["complements", "replenish"], "count": 2, "max_price_share": None}


@st.composite
def journeys(draw: st.DrawFn) -> Journey:
    """Draw a journey with steps of every kind, and limits that drop or defer."""
    action = st.sampled_from(["drop", "defer"])
    spans = st.sampled_from(["12h", "2d", "7d"])
    caps = [
        {"count": draw(st.integers(1, 3)), "per": draw(spans), "action": draw(action)},
        {"count": 2, "per": "7d", "channels": ["sms"], "action": draw(action)},
    ]
    quiet = {"email": {"starts": "21:00", "ends": "07:30", "action": draw(action)}}
    return journey(
        step("soon", offer=OFFER, priority=10),
        step("text", channel="sms", delay="4h", offer=OFFER, skip_after="12h", expires="36h"),
        step("check", after="delivery", delay="1d", at="10:00", offer=None, asks=["happy", "unhappy"]),
        step("weekly", after="delivery", delay="7d", repeat={"every": "7d", "times": 3}, expires="6d"),
        caps=draw(st.lists(st.sampled_from(caps), min_size=1, max_size=2)),
        cool_down=draw(
            st.one_of(st.none(), st.builds(lambda span, do: {"span": span, "action": do}, spans, action))
        ),
        after_return={"span": draw(spans), "action": draw(action)},
        quiet_hours=draw(st.sampled_from([{}, quiet])),
        holdout={"share": draw(st.sampled_from([0, 1]))},
    )


def live(arrivals: Sequence[Arrival], plan: Journey) -> Lived:
    """Let time pass: take each event as it arrives, decide each step when it is due or its wait is over."""
    lived = Lived(CustomerState(shop=SHOP, customer_id=CUSTOMER))
    now = MONDAY_NOON
    for arrival in arrivals:
        _decide_between(lived, plan, now, arrival.at)
        lived.state, now = apply(lived.state, arrival.event), arrival.at
    _decide_between(lived, plan, now, MONDAY_NOON + timedelta(days=5 * DAYS))
    return lived


def _decide_between(lived: Lived, plan: Journey, now: datetime, end: datetime) -> None:
    while waiting := _waiting(lived.state, plan):
        at, _, _, occurrence = min(waiting)
        now = max(at, now)
        if now >= end:
            return
        _decide(lived, plan, occurrence, now)


def _waiting(state: CustomerState, plan: Journey) -> list[tuple[datetime, int, UUID, Due]]:
    """List the undecided occurrences with the time at which each is to be decided."""
    found = []
    for key, each in due(state, Published.of([plan])).items():
        verdict = state.verdicts.get(key)
        if verdict is None or not verdict.final:
            found.append(((verdict and verdict.next_at) or each.due_at, each.priority, key, each))
    return found


def _decide(lived: Lived, plan: Journey, occurrence: Due, now: datetime) -> None:
    verdict = lived.state.verdicts.get(occurrence.message_id)
    attempt = verdict.attempt + 1 if verdict else 1
    decision = decide(lived.state, occurrence, plan, PROPOSED, context(attempt), now)
    lived.known.append(lived.state)
    lived.decisions.append(decision)
    lived.occurrences.append(occurrence)
    lived.state = record(lived.state, decision)
