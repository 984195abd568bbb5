"""Writes publications, and puts what comes of them in force: each call is one transaction, under the one lock."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from services.scheduler import store
from services.scheduler.domain.published import Published
from services.scheduler.domain.publishing import Waiting, current, version_of
from services.scheduler.store import Connection
from services.scheduler.versions import publications
from services.scheduler.versions.changes import Change, of_item
from services.scheduler.versions.publications import Draft, Entry
from shared.clock import Clock
from shared.errors import PublicationError


@dataclass(frozen=True, slots=True)
class Terms:
    """How something is published: what becomes of those who wait, why, and by whom."""

    waiting: Waiting
    why: str
    by: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """Numbers of the publications that are in force, and of those that another person must approve."""

    in_force: tuple[int, ...]
    proposed: tuple[int, ...]


async def publish(connection: Connection, changes: Sequence[Change], terms: Terms, clock: Clock) -> Outcome:
    """Publish changes in the caller's transaction; those of shops that want two people are proposed.

    Raises PublicationError if somebody has published one of them since the changes were looked up.
    """
    standing = await store.lock_in_force(connection)
    known = await publications.in_effect(connection)
    before = publications.published_of(known)
    open_ones = await _proposed(connection)
    at, machine = _now(known, clock), clock.machine()
    put: dict[bool, list[int]] = {True: [], False: []}
    for each in changes:
        _insist_unchanged(before, each)
        draft = _draft(before, each, terms)
        same = _repeats(draft, open_ones)
        number = same.seq if same else await publications.put(connection, draft, at, machine)
        put[draft.needs_approval].append(number)
    released = [each for each in changes if not _needs_two(before, each.shop)]
    await put_in_force(connection, standing, before, {each.shop for each in released}, machine)
    return Outcome(tuple(put[False]), tuple(put[True]))


async def approve(connection: Connection, seq: int, by: str, clock: Clock) -> Entry:
    """Put a proposed publication in force, in the caller's transaction.

    Raises PublicationError if its own publisher approves it, or it is in force, or overtaken by a later one.
    """
    standing = await store.lock_in_force(connection)
    entry = await publications.get(connection, seq)
    known = await publications.in_effect(connection)
    _insist_open(entry, known)
    machine = clock.machine()
    await publications.release(connection, seq, by, _now(known, clock), machine)
    before = publications.published_of(known)
    await put_in_force(connection, standing, before, {entry.shop}, machine)
    return await publications.get(connection, seq)


async def put_in_force(
    connection: Connection,
    standing: store.InForce | None,
    before: Published,
    shops: Collection[str],
    machine: datetime,
) -> None:
    """Make what the publications now say the set that all go by; only customers of `shops` are derived anew.

    All are if the set before was not theirs, as after the deriving code has changed.
    """
    mine = (await publications.load(connection)).fingerprint
    if standing is not None and standing.fingerprint == mine:
        return
    waiting: Iterable[str] | None = None
    if standing is not None and standing.fingerprint == before.fingerprint:
        waiting = () if standing.complete else standing.shops
    await store.put_in_force(
        connection, mine, machine, None if waiting is None else sorted({*waiting, *shops})
    )


def _now(known: Sequence[Entry], clock: Clock) -> datetime:
    """Return business time, never before the last publication's: who is pinned stays so."""
    return max([clock.business(), *(each.in_force_at for each in known if each.in_force_at is not None)])


def _draft(before: Published, change: Change, terms: Terms) -> Draft:
    two = _needs_two(before, change.shop)
    return Draft(
        change.kind,
        change.shop,
        change.name,
        change.new,
        terms.waiting,
        terms.why,
        terms.by,
        needs_approval=two,
    )


def _needs_two(before: Published, shop: str) -> bool:
    return before.programme(shop).approval == "two"


async def _proposed(connection: Connection) -> list[Entry]:
    return [each for each in await publications.history(connection) if each.proposed]


def _repeats(draft: Draft, open_ones: Iterable[Entry]) -> Entry | None:
    """Return the open proposal that already says the same."""
    version = version_of(draft.item) if draft.item else ""
    same = (draft.kind, draft.name, version, draft.waiting, draft.by)
    return next(
        (
            each
            for each in open_ones
            if draft.needs_approval
            and (each.kind, each.name, each.version, each.waiting, each.published_by) == same
        ),
        None,
    )


def _insist_unchanged(before: Published, change: Change) -> None:
    if change.new is not None:
        standing = of_item(before, change.new).old
    elif change.kind == "programme":
        standing = before.programmes.get(change.name)
    else:
        # What is only pinned any more was changed before; it can be withdrawn all the same.
        standing = current(before).get(change.name, change.old)
    if _version(standing) != _version(change.old):
        message = f"{change.name} was published by somebody else meanwhile; look at the plan again"
        raise PublicationError(message)


def _version(item: publications.Item | None) -> str:
    return version_of(item) if item else ""


def _insist_open(entry: Entry, known: Iterable[Entry]) -> None:
    if entry.in_force_at is not None:
        message = f"publication {entry.seq} is in force since {entry.in_force_at:%Y-%m-%d %H:%M} UTC; nothing is left to approve"
        raise PublicationError(message)
    for each in known:
        same = (each.kind, each.name) == (entry.kind, entry.name)
        if same and (each.seq > entry.seq or (each.in_force_at or entry.published_at) > entry.published_at):
            message = (
                f"publication {entry.seq} was overtaken by {each.seq}, which came into force after it was proposed; "
                f"publish it again: orderwake journeys publish --journey {entry.name} --version {entry.version or '...'}"
            )
            raise PublicationError(message)
