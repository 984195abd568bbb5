"""A whole backtest: shares of the customers over worker processes, their counts added up.

Customers are independent of each other, but for budgets and pools of codes, which here never run out.
"""

import gc
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from services.scheduler.backtest.compare import Difference, Fates
from services.scheduler.backtest.files import Files, Given, Made
from services.scheduler.backtest.history import START, History, Shard, Source, event_of, load
from services.scheduler.backtest.life import Life, Observer
from services.scheduler.backtest.records import FOLLOWED, Known
from services.scheduler.backtest.replay import Replay, replay
from services.scheduler.backtest.tally import Tally
from services.scheduler.backtest.world import World
from services.scheduler.domain import Due
from services.scheduler.journeys import load_folder
from shared.errors import BacktestError
from shared.events import ComplementsUpdated, Decision, Event, OrderRecorded
from shared.law import ContactHours
from shared.topics import CATALOG, COMPLEMENTS, ORDERS, RETURNS

if TYPE_CHECKING:
    from multiprocessing.sharedctypes import Synchronized

STEPS = 1000
"""Progress is told in thousandths of each shard."""
_SHARD_BYTES = 150_000_000
_LOOK_SECONDS = 0.2
_TELL_EVERY = 256

Rebuilder = Callable[[Iterable[Event]], Iterable[ComplementsUpdated]]
"""Makes complements anew from orders, returns and products, each from what had happened before it."""

Complements = Literal["recorded"] | Path | Rebuilder


@dataclass(frozen=True)
class Plan:
    """What to live again. `journeys` and `against` are folders, as `orderwake journeys check` takes them.

    `complements`: as recorded in the source, from a file of events of their topic, or made anew. `as_live`: orders of imported
    history begin journeys too. `replay`: instead of living, make the recorded decisions once more.
    """

    source: Source
    journeys: Path
    against: Path | None = None
    since: datetime | None = None
    until: datetime | None = None
    known: Known = "time"
    complements: Complements = "recorded"
    as_live: bool = False
    replay: bool = False


@dataclass
class Outcome:
    """What came of it; adds up over shards."""

    tally: Tally = field(default_factory=Tally)
    against: Tally | None = None
    difference: Difference | None = None
    replay: Replay | None = None
    customers: int = 0
    events: int = 0
    recorded: int = 0
    ahead: Counter[str] = field(default_factory=Counter)
    begins: datetime | None = None
    ends: datetime | None = None

    def add(self, other: "Outcome") -> None:
        """Add what came of other customers."""
        self.tally.add(other.tally)
        for name in ("against", "difference", "replay"):
            mine, theirs = getattr(self, name), getattr(other, name)
            if mine is None:
                setattr(self, name, theirs)
            elif theirs is not None:
                mine.add(theirs)
        self.customers += other.customers
        self.events += other.events
        self.recorded += other.recorded
        self.ahead.update(other.ahead)
        self.begins = min((each for each in (self.begins, other.begins) if each), default=None)
        self.ends = max((each for each in (self.ends, other.ends) if each), default=None)


def run(plan: Plan, workers: int = 1, progress: Callable[[float], None] = lambda _share: None) -> Outcome:
    """Live the past again. `progress` is told the share done so far, from 0 to 1.

    The outcome is the same for any number of workers. Raises JourneyError and BacktestError.
    """
    for folder in (plan.journeys, plan.against):
        if folder is not None:
            load_folder(folder)
    plan = _with_complements(plan)
    shards = shards_of(plan.source.size(), workers)
    outcome = Outcome()
    for each in _outcomes(plan, shards, workers, progress):
        outcome.add(each)
    if not outcome.events:
        message = "there are no events of customers; name the canonical topics, or files of their events"
        raise BacktestError(message)
    return outcome


def _with_complements(plan: Plan) -> Plan:
    """Return the plan with its source holding the complements that it asks for."""
    if isinstance(plan.complements, Path):
        return replace(plan, source=Given(plan.source, Files.of(plan.complements), COMPLEMENTS.name))
    if callable(plan.complements):
        learned = {topic.name for topic in (ORDERS, RETURNS, CATALOG)}
        told = (event_of(item, plan.source) for item in plan.source.items("time") if item.topic in learned)
        made = Made.of(plan.complements(each for each in told if each is not None))
        return replace(plan, source=Given(plan.source, made, COMPLEMENTS.name), complements="recorded")
    return plan


def shards_of(size: int, workers: int) -> list[Shard]:
    """Return shards of about 150 MB, as many for each worker."""
    rounds = max(1, -(-size // (_SHARD_BYTES * workers)))
    return [Shard(number, rounds * workers) for number in range(rounds * workers)]


def _outcomes(
    plan: Plan, shards: list[Shard], workers: int, progress: Callable[[float], None]
) -> Iterator[Outcome]:
    total = len(shards) * STEPS
    if workers == 1:
        for shard in shards:
            yield live(plan, shard, partial(_tell, progress, shard.number * STEPS, total))
        return
    context = get_context("spawn")
    done = context.Value("q", 0)
    with context.Pool(workers, _begin, (done,)) as pool:
        waiting = [pool.apply_async(_work, (plan, shard)) for shard in shards]
        for each in waiting:
            while not each.ready():
                each.wait(_LOOK_SECONDS)
                progress(done.value / total)
            yield each.get()
        pool.close()
        pool.join()


def _tell(progress: Callable[[float], None], before: int, total: int, steps: int) -> None:
    progress((before + steps) / total)


_shared: "list[Synchronized[int]]" = []
"""What the processes of a pool count together: it can be handed over only as they begin."""


def _begin(done: "Synchronized[int]") -> None:
    _shared.append(done)


def _work(plan: Plan, shard: Shard) -> Outcome:
    told = 0

    def tell(steps: int) -> None:
        nonlocal told
        for done in _shared:
            with done.get_lock():
                done.value += steps - told
        told = steps

    return live(plan, shard, tell)


def live(plan: Plan, shard: Shard, tell: Callable[[int], None]) -> Outcome:
    """Live one share of the customers again, in this process. `tell` is told the thousandths done."""
    history = load(plan.source, shard, plan.known)
    read = _read(history)
    # What was read stays for long: looking it over for cycles again and again takes a third of the time.
    gc.collect()
    gc.freeze()
    try:
        outcome = _replayed(plan, history) if plan.replay else _lived(plan, history, tell)
    finally:
        gc.unfreeze()
    tell(STEPS)
    return replace(
        read,
        tally=outcome.tally,
        against=outcome.against,
        difference=outcome.difference,
        replay=outcome.replay,
    )


def _read(history: History) -> Outcome:
    people = [item for item in history.items if item.topic not in FOLLOWED]
    times = [item.at for item in people if item.at > START]
    return Outcome(
        customers=len({item.key for item in people}),
        events=len(people),
        recorded=len(history.decisions),
        ahead=history.ahead,
        begins=min(times, default=None),
        ends=max(times, default=None),
    )


def _replayed(plan: Plan, history: History) -> Outcome:
    published = load_folder(plan.journeys)
    return Outcome(replay=replay(history, plan.source, published, World(ContactHours.load())))


def _lived(plan: Plan, history: History, tell: Callable[[int], None]) -> Outcome:
    world, one = World(ContactHours.load()), _Told(plan)
    told, folders = [one], [plan.journeys]
    if plan.against is not None:
        told, folders = [one, _Told(plan)], [plan.journeys, plan.against]
    lives = [
        Life(load_folder(folder), world, each.observers(compared=plan.against is not None))
        for folder, each in zip(folders, told, strict=True)
    ]
    _pass_by(plan, history, world, lives, tell)
    for each in told:
        each.tally.close()
    outcome = Outcome(one.tally)
    if plan.against is not None:
        outcome.against, outcome.difference = told[1].tally, Difference()
        outcome.difference.take(told[1].fates, one.fates)
    return outcome


class _Told:
    """What one life tells of itself."""

    def __init__(self, plan: Plan) -> None:
        self.tally = Tally(plan.since, plan.until)
        self.fates = Fates()

    def observers(self, *, compared: bool) -> list[Observer]:
        """Who is to be told: fates are kept to be compared only."""
        return [self.tally.take, self._keep] if compared else [self.tally.take]

    def _keep(self, shop: str, due: Due, decision: Decision) -> None:
        self.fates.take(shop, due, decision, counted=self.tally.counts(due.due_at))


def _pass_by(
    plan: Plan, history: History, world: World, lives: Sequence[Life], tell: Callable[[int], None]
) -> None:
    """Let the past go by, the same for each life, and then what waits up to its end."""
    total, items = len(history.items), history.items
    items.reverse()
    for number in range(total):
        # What has passed by is let go of: a year of events is larger than all that is kept of it.
        item = items.pop()
        event = _as_planned(plan, event_of(item, plan.source))
        for life in lives:
            life.reach(item.at)
        if item.topic in FOLLOWED:
            world.take(item, event)
        else:
            for life in lives:
                life.take(item.key, event, item.at)
        if number % _TELL_EVERY == 0:
            tell(number * STEPS // total)
    for life in lives:
        life.reach(history.ends, inclusive=True)


def _as_planned(plan: Plan, event: Event | None) -> Event | None:
    if plan.as_live and isinstance(event, OrderRecorded) and event.data.history:
        return event.model_copy(update={"data": event.data.model_copy(update={"history": False})})
    return event
