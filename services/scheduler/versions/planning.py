"""From changes to the plan that is shown before they are published."""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import asyncpg

from services.scheduler.domain import Published
from services.scheduler.domain.publishing import Publication, Waiting, published
from services.scheduler.domain.timing import NO_OUTLOOK, Outlook
from services.scheduler.versions import people, plan, publications
from services.scheduler.versions.changes import Change
from services.scheduler.versions.plan import Plan, Question
from services.scheduler.versions.publications import Entry
from shared.clock import Clock
from shared.settings import Settings


@dataclass(frozen=True)
class Forecast:
    """Changes, how they would be published, and what that does to those who wait."""

    changes: Sequence[Change]
    waiting: Waiting
    plan: Plan
    needs_two: tuple[str, ...]


def would_be(
    entries: Sequence[Entry], changes: Sequence[Change], waiting: Waiting, clock: Clock
) -> Published:
    """Return what would be in force if the changes were published now."""
    known = [
        Publication(each.kind, each.shop, each.name, each.item(), each.waiting, each.in_force_at)
        for each in entries
        if each.in_force_at is not None
    ]
    now = clock.business()
    fresh = [Publication(each.kind, each.shop, each.name, each.new, waiting, now) for each in changes]
    return published([*known, *fresh])


async def forecast(  # noqa: PLR0913, PLR0917  what a plan stands on
    pool: asyncpg.Pool,
    settings: Settings,
    changes: Sequence[Change],
    waiting: Waiting,
    clock: Clock,
    told: Callable[[int, int], None],
    outlook: Outlook = NO_OUTLOOK,
) -> Forecast:
    """Compare the open steps of all whom the changes may concern; `told` hears of customers done, and of how many."""
    async with pool.acquire() as connection:
        entries = await publications.in_effect(connection)
        before = publications.published_of(entries)
        after = would_be(entries, changes, waiting, clock)
        names = _concerned(before, changes)
        shops = tuple(sorted({each.shop for each in changes}))
        question = Question(
            plan.about(before, names), plan.about(after, names), shops, clock.business(), outlook
        )
        total = await people.count_customers(connection, shops)
        found = await plan.make(connection, settings, question, _workers(), lambda done: told(done, total))
    two = tuple(shop for shop in shops if before.programme(shop).approval == "two")
    return Forecast(tuple(changes), waiting, found, two)


def _concerned(before: Published, changes: Sequence[Change]) -> set[str]:
    """Return the ids of journeys that may change: a programme concerns all journeys of its shop."""
    shops = {each.shop for each in changes if each.kind == "programme"}
    return {each.name for each in changes if each.kind == "journey"} | {
        each.journey.id for each in before.editions if each.journey.shop in shops
    }


def _workers() -> int:
    return os.cpu_count() or 1
