"""When a journey stops itself: which messages are counted together, and what their rates prove.

Guards look once a second, at messages that may yet be answered. So a bound must hold at whatever moment it is read: each is
a test martingale's (a mixture of likelihood ratios against odds multiplied by `_ODDS`), of which Ville's inequality says that
it exceeds 1 / (1 - confidence) at any time at all with at most that probability. A response that comes late only lowers a
rate until it is there, so looking early is on the safe side. See Ramdas et al., "Game-theoretic statistics and safe
anytime-valid inference", 2023.
"""

import math
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, fields
from datetime import UTC, date, datetime, timedelta
from uuid import UUID

from services.scheduler.domain.customer import NO_RESPONSE, CustomerState, Response, VerdictFacts
from services.scheduler.domain.programme import Guards
from shared.events import MESSAGE_CHANNELS, Channel, Verdict

CONFIDENCE = 0.99
_ODDS = (1.25, 1.5, 2.0, 3.0, 5.0, 10.0)
_STEPS = 40

OPENED_WITHIN = timedelta(hours=48)
"""Opens count up to so long after the message was sent: then a day's share is final, and days can be compared."""
_SETTLES = OPENED_WITHIN + timedelta(days=1)

NEVER = datetime(1970, 1, 1, tzinfo=UTC)
"""`since` of what was counted before any resume."""

Armed = Callable[[str, str], datetime | None]
"""When a shop's journey was last resumed, if ever (business time)."""


@dataclass(frozen=True, slots=True)
class Cohort:
    """Messages that are counted together: a step's, as the `place`-th of their enrolments on the channel, of one UTC day."""

    shop: str
    journey: str
    step: str
    channel: Channel
    place: int
    day: date
    since: datetime


@dataclass(frozen=True, slots=True)
class Tally:
    """Messages sent and how many of them drew what."""

    sends: int = 0
    opens: int = 0
    unsubscribes: int = 0
    complaints: int = 0
    bounces: int = 0

    def __add__(self, other: "Tally") -> "Tally":
        return Tally(
            self.sends + other.sends,
            self.opens + other.opens,
            self.unsubscribes + other.unsubscribes,
            self.complaints + other.complaints,
            self.bounces + other.bounces,
        )


SENT = Tally(sends=1)
Counts = Mapping[Cohort, Tally]


@dataclass(frozen=True, slots=True)
class Breach:
    """A limit that a journey is over, and the figures that prove it."""

    limit: str
    why: str


def sent(state: CustomerState, message_id: UUID, armed: Armed) -> Cohort | None:
    """Return the cohort of a message, by the state that holds its verdict; None if it is not counted."""
    fact = state.verdicts.get(message_id)
    if fact is None or fact.verdict is not Verdict.SEND or fact.channel not in MESSAGE_CHANNELS:
        return None
    since = armed(state.shop, fact.journey) or NEVER
    if fact.decided_at < since:
        return None
    place = 1 + sum(
        each.order_id == fact.order_id
        and each.enrolment_id == fact.enrolment_id
        and each.channel is fact.channel
        and each.verdict is Verdict.SEND
        and (each.decided_at, key) < (fact.decided_at, message_id)
        for key, each in state.verdicts.items()
    )
    day = fact.decided_at.astimezone(UTC).date()
    return Cohort(state.shop, fact.journey, fact.step, fact.channel, place, day, since)


def responded(before: CustomerState, after: CustomerState, armed: Armed) -> dict[Cohort, Tally]:
    """Count what became known between two states of one customer: each kind of response once for each message."""
    found: defaultdict[Cohort, Tally] = defaultdict(Tally)
    for key, response in after.responses.items():
        known = before.responses.get(key, NO_RESPONSE)
        if response is known or (message_id := _uuid(key)) not in after.verdicts:
            continue
        fact = after.verdicts[message_id]
        news = _less(_drawn(response, fact), _drawn(known, fact))
        cohort = sent(after, message_id, armed) if news != Tally() else None
        if cohort is not None:
            found[cohort] += news
    return dict(found)


def _drawn(response: Response, fact: VerdictFacts) -> Tally:
    opened = response.opened_at is not None and response.opened_at - fact.decided_at <= OPENED_WITHIN
    return Tally(
        opens=int(opened),
        unsubscribes=int(response.unsubscribed_at is not None),
        complaints=int(response.complained_at is not None),
        bounces=int(response.bounced_at is not None),
    )


def _less(after: Tally, before: Tally) -> Tally:
    return Tally(*(getattr(after, each.name) - getattr(before, each.name) for each in fields(Tally)))


def _uuid(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None


def at_least(hits: int, trials: int, confidence: float = CONFIDENCE) -> float:
    """Return what the true rate behind `hits` of `trials` is not below, at whatever moment one looks."""
    low, high = 0.0, hits / trials if trials else 0.0
    for _ in range(_STEPS):
        middle = (low + high) / 2
        low, high = (middle, high) if exceeds(hits, trials, middle, confidence) else (low, middle)
    return low


def at_most(hits: int, trials: int, confidence: float = CONFIDENCE) -> float:
    """Return what the true rate is not above, likewise."""
    return 1.0 - at_least(trials - hits, trials, confidence)


def exceeds(hits: int, trials: int, rate: float, confidence: float = CONFIDENCE) -> bool:
    """Whether the true rate is above `rate`: wrongly so at any time at most once in 1 / (1 - confidence) journeys."""
    if hits <= trials * rate:
        return False
    ratios = [hits * math.log(odds) - trials * math.log1p((odds - 1) * rate) for odds in _ODDS]
    peak = max(ratios)
    mean = math.fsum(math.exp(ratio - peak) for ratio in ratios) / len(_ODDS)
    return peak + math.log(mean) >= -math.log(1.0 - confidence)


def judge(counts: Counts, guards: Guards, now: datetime) -> Breach | None:
    """Return the first limit that a journey's counts (of one `since`) prove to be exceeded at business time `now`."""
    begins = (now - guards.window).date()
    recent = {cohort: tally for cohort, tally in counts.items() if cohort.day >= begins}
    for name, allowed in rates(guards).items():
        for what, tally in _sends(recent).items():
            hits = getattr(tally, name)
            if tally.sends >= guards.least and exceeds(hits, tally.sends, allowed):
                return Breach(name, _why(name, what, hits, tally.sends, allowed))
    return _decay(counts, guards, now)


def rates(guards: Guards) -> dict[str, float]:
    """Return the limits that are shares of messages sent, the gravest first."""
    return {
        "complaints": guards.complaints,
        "bounces": guards.bounces,
        "unsubscribes": guards.unsubscribes,
    }


def reach(guards: Guards) -> timedelta:
    """Return how far back a judgement looks."""
    return guards.window + _SETTLES


def _sends(counts: Counts) -> dict[str, Tally]:
    """What is judged for itself: each step on its channel, and then all of the journey."""
    steps: defaultdict[str, Tally] = defaultdict(Tally)
    everything = Tally()
    for cohort, tally in counts.items():
        steps[f"of step {cohort.step} ({cohort.channel})"] += tally
        everything += tally
    return {**dict(sorted(steps.items())), "of the whole journey": everything}


def _why(name: str, what: str, hits: int, sends: int, allowed: float) -> str:
    proven = at_least(hits, sends)
    return (
        f"{name}: {hits} of {sends} messages {what}, {hits / sends:.2%}, and at least {proven:.2%} "
        f"with {CONFIDENCE:.0%} confidence; the limit is {allowed:.2%}"
    )


def _decay(counts: Counts, guards: Guards, now: datetime) -> Breach | None:
    """Compare later e-mails of enrolments with the first ones, over days whose opens are all in."""
    for place, first, later in _places(counts, guards, now):
        floor = at_least(first.opens, first.sends) * (1 - guards.open_decay)
        if at_most(later.opens, later.sends) < floor:
            why = (
                f"open_decay: {later.opens} of {later.sends} e-mails that came as number {place} were opened, "
                f"{later.opens / later.sends:.1%}, of the first ones {first.opens} of {first.sends}, "
                f"{first.opens / first.sends:.1%}; the limit is a decay of {guards.open_decay:.0%}"
            )
            return Breach("open_decay", why)
    return None


def _places(counts: Counts, guards: Guards, now: datetime) -> Iterator[tuple[int, Tally, Tally]]:
    last = (now - _SETTLES).date()
    begins = last - guards.window
    by_place: defaultdict[int, Tally] = defaultdict(Tally)
    for cohort, tally in counts.items():
        if cohort.channel is Channel.EMAIL and begins <= cohort.day <= last:
            by_place[cohort.place] += tally
    first = by_place.pop(1, Tally())
    if first.sends >= guards.least:
        yield from (
            (place, first, later) for place, later in sorted(by_place.items()) if later.sends >= guards.least
        )
