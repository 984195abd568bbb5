"""Counts what should have happened, from the log alone, and holds it against what did.

`due` is counted by running the pure core over the canonical topics from their beginning. Nothing of the scheduler's own
tables goes into it, and of its decisions only their times, for steps that wait for another one. `received` is what the
receiving ends wrote down.
"""

from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from demo.observe import Observer
from demo.receivers import Received
from services.scheduler.domain import CustomerState, Published, apply, due, record
from shared import topics
from shared.events import (
    MESSAGE_CHANNELS,
    DecisionRecorded,
    EngagementKind,
    EngagementRecorded,
    Event,
    MessageRequested,
    Verdict,
)
from shared.events.decisions import Decision
from shared.kafka.records import Record


@dataclass
class Log:
    """Everything that the topics hold, folded."""

    states: dict[tuple[str, str], CustomerState] = field(default_factory=dict)
    decisions: dict[UUID, Decision] = field(default_factory=dict)
    customers: dict[UUID, tuple[str, str]] = field(default_factory=dict)
    messages: Counter[UUID] = field(default_factory=Counter)
    channels: dict[UUID, str] = field(default_factory=dict)
    outcomes: dict[str, set[str]] = field(default_factory=dict)
    events: int = 0

    def take(self, source: Record, event: Event | None) -> None:
        """One record of any topic."""
        if event is None:
            return
        self.events += 1
        if isinstance(event, DecisionRecorded):
            self.decisions[event.data.decision_id] = event.data
            self.customers[event.data.message_id] = (event.shopid, event.customerid or "")
        elif isinstance(event, MessageRequested):
            self.messages[event.data.message_id] += 1
            self.channels[event.data.message_id] = event.data.channel
        else:
            self._fold(event)
        del source

    def _fold(self, event: Event) -> None:
        if isinstance(event, EngagementRecorded) and event.data.message_id:
            self.outcomes.setdefault(event.data.message_id, set()).add(event.data.kind)
        key = (event.shopid, event.customerid or "")
        self.states[key] = apply(self._state(key), event)

    def _state(self, key: tuple[str, str]) -> CustomerState:
        return self.states.get(key) or CustomerState(shop=key[0], customer_id=key[1])

    def decided(self) -> list[CustomerState]:
        """Return everyone's facts with the verdicts on them."""
        states = dict(self.states)
        for decision in sorted(self.decisions.values(), key=lambda one: one.attempt):
            key = self.customers[decision.message_id]
            states[key] = record(states.get(key) or self._state(key), decision)
        return list(states.values())


READ = [
    topics.ORDERS, topics.SHIPMENTS, topics.RETURNS, topics.CUSTOMERS, topics.ENGAGEMENT, topics.CARTS,
    topics.CUSTOMER_PRODUCTS, topics.DECISIONS, topics.MESSAGES,
]  # fmt: skip


@dataclass(frozen=True)
class Sums:
    """The two sums, and what they are made of."""

    summary: dict[str, object]
    problems: tuple[str, ...]


async def read_log(observer: Observer) -> Log:
    """The topics as they are now."""
    log = Log()
    await observer.read(READ, log.take)
    return log


def sums(log: Log, published: Published, now: datetime, received: Received, held: int) -> Sums:
    """The summary, with a problem for each sum that does not hold. `held` is what the scheduler says it holds back."""
    occurrences = [one for state in log.decided() for one in due(state, published).values()]
    past = sum(one.due_at <= now for one in occurrences)
    latest = _latest(log)
    verdicts = Counter(decision.verdict for decision in latest.values())
    sent, skipped, ghost, deferred = (
        verdicts[v] for v in (Verdict.SEND, Verdict.SKIP, Verdict.GHOST, Verdict.DEFER)
    )
    handed_over = sum(
        d.verdict is Verdict.SEND and d.channel not in MESSAGE_CHANNELS for d in latest.values()
    )
    ended = {kind: {m for m, kinds in log.outcomes.items() if kind in kinds} for kind in EngagementKind}
    counted = {
        "due": past,
        "handed_over": handed_over,
        "sent": dict(
            Counter(
                d.channel.value
                for d in latest.values()
                if d.verdict is Verdict.SEND and d.channel in MESSAGE_CHANNELS
            )
        ),
        "received": received.by_channel(),
        "skipped": dict(
            Counter(
                d.reason.value for d in latest.values() if d.verdict is Verdict.SKIP and d.reason
            ).most_common()
        ),
        "deferred": deferred,
        "held": held,
        "ghost": ghost,
        "waiting": len(occurrences) - past,
        "withheld": len(ended[EngagementKind.WITHHELD]),
        "rejected": len(ended[EngagementKind.REJECTED]),
        "unknown": len(ended[EngagementKind.UNKNOWN]),
        "duplicates": received.duplicates() + _twice_final(log),
    }
    withheld, rejected = len(ended[EngagementKind.WITHHELD]), len(ended[EngagementKind.REJECTED])
    problems = [
        *_unequal(
            "due = sent + skipped + ghost + deferred + held", past, sent + skipped + ghost + deferred + held
        ),
        *_unequal(
            "sent = received + withheld + rejected + unknown",
            sent - handed_over,
            len(received.ids()) + withheld + rejected + len(ended[EngagementKind.UNKNOWN] - received.ids()),
        ),
        *([f"{counted['duplicates']} duplicates"] if counted["duplicates"] else []),
    ]
    return Sums(counted, tuple(problems))


def _latest(log: Log) -> dict[UUID, Decision]:
    latest: dict[UUID, Decision] = {}
    for decision in sorted(log.decisions.values(), key=lambda one: one.attempt):
        latest[decision.message_id] = decision
    return latest


def _twice_final(log: Log) -> int:
    final = Counter(d.message_id for d in log.decisions.values() if d.verdict is not Verdict.DEFER)
    return sum(count > 1 for count in final.values())


def _unequal(what: str, left: int, right: int) -> list[str]:
    return [] if left == right else [f"{what}: {left} is not {right}"]
