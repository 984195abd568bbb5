"""What a publication would do to the people who wait: their open steps derived twice, by all cores, without any write."""

import asyncio
import multiprocessing
from collections import Counter
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime
from itertools import pairwise

import asyncpg

from services.scheduler import derive, store
from services.scheduler.domain import Published
from services.scheduler.domain.timing import NO_OUTLOOK, Outlook
from services.scheduler.store import CustomerKey
from services.scheduler.versions import people
from services.scheduler.versions.shift import Comparison, Effect, Shift
from shared.settings import Settings

_CUSTOMERS = 4000
"""Customers of one task: about a second's work, so that progress is told of, and connections are few."""

Told = Callable[[int], None]


@dataclass
class Plan:
    """How many open steps, and of how many people, each cause would gain, lose, move, stop or alter.

    `looked_at` people were derived; `waiting` of them have an open step now; `touched` would meet any of these effects.
    """

    looked_at: int = 0
    waiting: int = 0
    touched: int = 0
    steps: Counter[Shift] = field(default_factory=Counter)
    people: Counter[Shift] = field(default_factory=Counter)

    def add(self, other: "Plan") -> None:
        """Take in what was found among other people."""
        self.looked_at += other.looked_at
        self.waiting += other.waiting
        self.touched += other.touched
        self.steps.update(other.steps)
        self.people.update(other.people)

    def total(self, effect: Effect) -> int:
        """How many open steps an effect concerns."""
        return sum(count for shift, count in self.steps.items() if shift.effect == effect)


@dataclass(frozen=True)
class Question:
    """What is compared, for whom, and when; it goes to every process."""

    before: Published
    after: Published
    shops: tuple[str, ...]
    now: datetime
    outlook: Outlook = NO_OUTLOOK


def about(published: Published, names: Iterable[str]) -> Published:
    """Return only these journeys, with every shop's rules."""
    kept = set(names)
    return Published(
        tuple(each for each in published.editions if each.journey.id in kept), published.programmes
    )


async def make(
    connection: store.Connection, settings: Settings, question: Question, workers: int, told: Told
) -> Plan:
    """Compare for all customers of the shops, with so many processes; `told` hears of each number of customers that is done."""
    marks = await people.marks(connection, question.shops, _CUSTOMERS)
    ranges = list(pairwise([("", ""), *marks]))
    plan = Plan()
    if workers < 2 or len(ranges) < 2:  # noqa: PLR2004  a process for each of two
        comparison = Comparison(question.before, question.after, question.outlook)
        for each in ranges:
            found = await _compare(connection, question, comparison, *each)
            plan.add(found)
            told(found.looked_at)
        return plan
    loop = asyncio.get_running_loop()
    context = multiprocessing.get_context("spawn")
    url = settings.database_url.get_secret_value()
    with ProcessPoolExecutor(workers, context, _prepare, (url, question)) as pool:
        for done in asyncio.as_completed([loop.run_in_executor(pool, _work, *each) for each in ranges]):
            found = await done
            plan.add(found)
            told(found.looked_at)
    return plan


async def _compare(
    connection: store.Connection,
    question: Question,
    comparison: Comparison,
    after: CustomerKey,
    until: CustomerKey,
) -> Plan:
    rows = await people.between(connection, question.shops, after, until)
    plan = Plan(looked_at=len(rows))
    for customer in rows:
        state = derive.state_of(customer)
        found = comparison.shifts(state, question.now)
        plan.waiting += found.waiting
        if found.shifts:
            plan.touched += 1
            plan.steps.update(found.shifts)
            plan.people.update(set(found.shifts))
    return plan


class _Worker:
    """What a process of its own keeps between tasks."""

    url: str
    question: Question
    comparison: Comparison


def _prepare(url: str, question: Question) -> None:
    _Worker.url, _Worker.question = url, question
    _Worker.comparison = Comparison(question.before, question.after, question.outlook)


def _work(after: CustomerKey, until: CustomerKey) -> Plan:
    return asyncio.run(_range(after, until))


async def _range(after: CustomerKey, until: CustomerKey) -> Plan:
    connection = await asyncpg.connect(
        _Worker.url, server_settings={"search_path": "scheduler", "timezone": "UTC"}
    )
    try:
        return await _compare(connection, _Worker.question, _Worker.comparison, after, until)
    finally:
        await connection.close()
