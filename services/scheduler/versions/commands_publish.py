"""`orderwake journeys plan|publish|approve`: what would change for whom, then the change, with a second person where asked."""

import asyncio
import json
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import asyncpg
import click

from services.scheduler import store
from services.scheduler.domain import Published
from services.scheduler.domain.journey import Journey
from services.scheduler.domain.publishing import Waiting, current
from services.scheduler.domain.timing import NO_OUTLOOK, Outlook
from services.scheduler.journeys import load_folder
from services.scheduler.versions import changes, planning, publications, releasing
from services.scheduler.versions.changes import Change
from services.scheduler.versions.commanding import confirm, console, person, progress, run, say
from services.scheduler.versions.planning import Forecast
from services.scheduler.versions.publications import Entry
from services.scheduler.versions.reading import read_views
from services.scheduler.versions.releasing import Outcome, Terms
from services.scheduler.versions.view import change_line, plan_data, plan_view
from shared.errors import PublicationError
from shared.settings import Settings
from shared.topics import COMPLEMENTS

_Command = Callable[..., None]
_WAITING: tuple[Waiting, ...] = ("pin", "migrate", "drain")
_LOOK_SECONDS = 0.5
_UNMOVED_SECONDS = 10.0


@dataclass(frozen=True)
class Asked:
    """What the command line named: a folder, some of its journeys or shops, an older version, what to withdraw."""

    folder: Path | None
    names: tuple[str, ...]
    version: str | None
    withdrawn: tuple[str, ...]


def _what(command: _Command) -> _Command:
    for option in (
        click.option("--json", "as_json", is_flag=True, help="For machines: one JSON object."),
        click.option(
            "--withdraw", "withdrawn", multiple=True, help="Take this journey (or a shop's programme) out."
        ),
        click.option("--version", help="An older version instead of a folder; its first digits are enough."),
        click.option("--journey", "names", multiple=True, help="Only this journey or shop; may be repeated."),
        click.argument("folder", required=False, type=click.Path(path_type=Path)),
    ):
        command = option(command)
    return command


@click.command()
@_what
@click.option(
    "--waiting",
    type=click.Choice(_WAITING),
    default="migrate",
    show_default=True,
    help="pin: who waits stays with their version; migrate: goes over; drain: is stopped.",
)
def plan(waiting: Waiting, *, as_json: bool, **asked: Any) -> None:  # noqa: ANN401  the options of _what
    """What publishing FOLDER would do to the people who wait, by step and by the field that causes it. Writes nothing.

    Of each change it says how many people gain or lose a step, or have it at another time; then whose step stays, with other
    content or rules. What is in force and not in FOLDER stays in force.

    \b
    orderwake journeys plan journeys
    orderwake journeys plan journeys --waiting drain --journey fitness-gear
    orderwake journeys plan --withdraw fitness-gear --waiting pin
    orderwake journeys plan --journey fitness-gear --version 3c5e --json
    """  # noqa: D301  \b is click's mark

    async def work(pool: asyncpg.Pool, settings: Settings) -> Forecast | None:
        return await _forecast(pool, settings, _asked(asked), waiting)

    found = run(work)
    if found is None:
        _nothing(as_json=as_json)
    elif as_json:
        say(plan_data(found))
    else:
        console().print(plan_view(found))


@click.command()
@_what
@click.option(
    "--waiting",
    type=click.Choice(_WAITING),
    required=True,
    help="pin: who waits stays with their version; migrate: goes over; drain: is stopped.",
)
@click.option("--why", required=True, help="Why, for all who look at it later.")
@click.option("--by", help="Who publishes; by default the user that runs the command.")
@click.option("--yes", is_flag=True, help="Do not ask after the plan.")
def publish(
    waiting: Waiting,
    why: str,
    by: str | None,
    *,
    yes: bool,
    as_json: bool,
    **asked: Any,  # noqa: ANN401  the options of _what
) -> None:
    """Put what differs in FOLDER in force, after showing the plan. To roll back, publish an older version.

    Running schedulers take it up within seconds. Where a shop's programme says `approval: two`, it is proposed, and is in force
    once another person has approved it. Published versions never change: this only adds to the record.

    \b
    orderwake journeys publish journeys --waiting migrate --why "mats sell better after an hour"
    orderwake journeys publish --journey fitness-gear --version 3c5e --waiting migrate --why "roll back" --yes
    orderwake journeys publish --withdraw fitness-gear --waiting drain --why "season is over"
    """  # noqa: D301  \b is click's mark
    if not why.strip():
        message = "--why is empty; say what others will want to know"
        raise click.UsageError(message)
    terms = Terms(waiting, why.strip(), person(by))

    async def work(pool: asyncpg.Pool, settings: Settings) -> None:
        found = await _forecast(pool, settings, _asked(asked), waiting)
        if found is None:
            _nothing(as_json=as_json)
            return
        if not as_json:
            console().print(plan_view(found))
        confirm("publish this?", yes=yes)
        async with pool.acquire() as connection, connection.transaction():
            outcome = await releasing.publish(connection, found.changes, terms, settings.clock())
        await _told(pool, outcome, found, as_json=as_json)

    run(work)


@click.command()
@click.argument("seqs", metavar="SEQ...", type=int, nargs=-1, required=True)
@click.option("--by", required=True, help="Who approves: not who published.")
@click.option("--yes", is_flag=True, help="Do not ask after the plan.")
@click.option("--json", "as_json", is_flag=True, help="For machines: one JSON object.")
def approve(seqs: tuple[int, ...], by: str, *, yes: bool, as_json: bool) -> None:
    """Put proposed publications in force, as another person than who proposed them.

    \b
    orderwake journeys show
    orderwake journeys approve 17 --by grace
    """  # noqa: D301  \b is click's mark

    async def work(pool: asyncpg.Pool, settings: Settings) -> None:
        clock, approver = settings.clock(), person(by)
        for seq in seqs:
            async with pool.acquire() as connection:
                entry = await publications.get(connection, seq)
                before = await publications.load(connection)
            planned = await _planned(pool, settings, [_change(before, entry)], entry.waiting)
            found = replace(planned, needs_two=())
            if not as_json:
                click.echo(f"{seq}, proposed by {entry.published_by}: {entry.why}")
                console().print(plan_view(found))
            confirm("approve this?", yes=yes)
            async with pool.acquire() as connection, connection.transaction():
                await releasing.approve(connection, seq, approver, clock)
            await _told(pool, Outcome((seq,), ()), found, as_json=as_json)

    run(work)


def _asked(options: dict[str, Any]) -> Asked:
    asked = Asked(**options)
    if asked.version and (asked.folder or len(asked.names) > 1):
        message = "--version is for one journey, without a folder"
        raise click.UsageError(message)
    if not (asked.folder or asked.version or asked.withdrawn):
        message = "give a folder, or --version, or --withdraw"
        raise click.UsageError(message)
    return asked


async def _forecast(
    pool: asyncpg.Pool, settings: Settings, asked: Asked, waiting: Waiting
) -> Forecast | None:
    async with pool.acquire() as connection:
        before = await publications.load(connection)
        found = _changes(before, await publications.history(connection), asked)
    return await _planned(pool, settings, found, waiting) if found else None


def _changes(before: Published, entries: list[Entry], asked: Asked) -> list[Change]:
    if asked.version:
        item = publications.version(entries, asked.version, asked.names[0] if asked.names else None).item()
        found = [changes.of_item(before, item)] if item else []
        return [each for each in found if each.differs]
    folder = load_folder(asked.folder) if asked.folder else Published()
    journeys, programmes = current(folder), dict(folder.programmes)
    if asked.names:
        _insist_known({*journeys, *programmes}, asked)
        journeys = {name: each for name, each in journeys.items() if name in asked.names}
        programmes = {name: each for name, each in programmes.items() if name in asked.names}
    return changes.of_folder(before, journeys, programmes, asked.withdrawn)


def _insist_known(known: Collection[str], asked: Asked) -> None:
    for name in asked.names:
        if name not in known:
            message = f"{asked.folder} has no journey or shop {name}; it has {', '.join(sorted(known))}"
            raise PublicationError(message)


def _change(before: Published, entry: Entry) -> Change:
    item = entry.item()
    if item is not None:
        return changes.of_item(before, item)
    return changes.of_folder(before, {}, {}, [entry.name])[0]


async def _planned(pool: asyncpg.Pool, settings: Settings, found: list[Change], waiting: Waiting) -> Forecast:
    outlook = await _outlook(settings, found)
    with progress("looking at customers") as tell:
        return await planning.forecast(pool, settings, found, waiting, settings.clock(), tell, outlook)


async def _outlook(settings: Settings, found: list[Change]) -> Outlook:
    """Return predicted gaps, from Kafka, where some step waits for them."""
    items = [item for each in found for item in (each.old, each.new) if isinstance(item, Journey)]
    if any(leaf.step.after == "gap" for item in items for leaf in item.leaves):
        return await read_views(settings, (COMPLEMENTS,))
    return NO_OUTLOOK


async def _told(pool: asyncpg.Pool, outcome: Outcome, found: Forecast, *, as_json: bool) -> None:
    """Say what was done, once those who wait were moved, or if no scheduler runs that does it."""
    moved = await _moved(pool) if outcome.in_force else None
    if as_json:
        counts = {"gained": moved.gained, "lost": moved.lost, "moved": moved.moved} if moved else None
        say({
            "plan": plan_data(found),
            "in_force": list(outcome.in_force),
            "proposed": list(outcome.proposed),
            "derived": bool(moved and moved.complete),
            "rows": counts,
        })  # fmt: skip
        return
    lines = [change_line(each) for each in found.changes]
    if outcome.proposed:
        numbers = " ".join(map(str, outcome.proposed))
        click.echo(f"proposed: {'; '.join(lines)}")
        click.echo(f"a second person puts it in force: orderwake journeys approve {numbers} --by NAME")
    if moved:
        click.echo(f"in force: {', '.join(map(str, outcome.in_force))} ({'; '.join(lines)})")
        rows = f"{moved.gained:,} steps gained, {moved.lost:,} lost, {moved.moved:,} moved"
        left = "" if moved.complete else "; the rest follows when a scheduler runs"
        click.echo(f"waiting steps: {rows}{left}")


async def _moved(pool: asyncpg.Pool) -> store.InForce | None:
    """Wait for the schedulers to derive everyone anew, as long as they get on with it."""
    reached, idle = None, 0.0
    while True:
        async with pool.acquire() as connection:
            standing = await store.in_force(connection)
        if standing is None or standing.complete or idle >= _UNMOVED_SECONDS:
            return standing
        idle = idle + _LOOK_SECONDS if standing.reached == reached else 0.0
        reached = standing.reached
        await asyncio.sleep(_LOOK_SECONDS)


def _nothing(*, as_json: bool) -> None:
    click.echo(json.dumps({"changes": []}) if as_json else "nothing differs from what is in force")
