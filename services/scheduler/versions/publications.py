"""The record of what was published: rows that are added and never changed, and what they put in force."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import asyncpg
from pydantic import ValidationError

from services.scheduler.domain import Journey
from services.scheduler.domain.programme import Programme
from services.scheduler.domain.published import Published
from services.scheduler.domain.publishing import Kind, Publication, Waiting, published, version_of
from services.scheduler.store import Connection, queries
from shared.errors import JourneyError, PublicationError

Item = Journey | Programme


@dataclass(frozen=True, slots=True)
class Entry:
    """One row: what was published, or withdrawn (without a body), and since when it is in force, if it ever was.

    `published_at` and `in_force_at` are business time. `place` is the order in which publications came into force.
    """

    seq: int
    kind: Kind
    shop: str
    name: str
    version: str
    body: str | None
    waiting: Waiting
    why: str
    published_by: str
    published_at: datetime
    needs_approval: bool
    place: int | None
    approved_by: str | None
    in_force_at: datetime | None

    @property
    def proposed(self) -> bool:
        """Whether it waits for its approval."""
        return self.in_force_at is None

    def item(self) -> Item | None:
        """What it publishes, None for a withdrawal. Raises JourneyError if this software cannot read it any more."""
        if self.body is None:
            return None
        model: type[Item] = Journey if self.kind == "journey" else Programme
        try:
            return model.model_validate_json(self.body)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            message = (
                f"publication {self.seq} ({self.name}@{self.version}) cannot be read by this version of the software: "
                f"{'.'.join(map(str, first['loc']))}: {first['msg']}; publish a version that can, or run the former software"
            )
            raise JourneyError(message) from None


@dataclass(frozen=True, slots=True)
class Draft:
    """A publication to be written; `item` is None to withdraw `name`."""

    kind: Kind
    shop: str
    name: str
    item: Item | None
    waiting: Waiting
    why: str
    by: str
    needs_approval: bool = False


async def in_effect(connection: Connection) -> list[Entry]:
    """Every publication that is or was in force, in that order."""
    return [_entry(row) for row in await connection.fetch(queries.publications, None, True)]  # noqa: FBT003  a column's value


async def history(connection: Connection, name: str | None = None) -> list[Entry]:
    """Every publication, of one journey or shop if named: those in force in their order, then what is proposed."""
    return [_entry(row) for row in await connection.fetch(queries.publications, name, None)]


async def get(connection: Connection, seq: int) -> Entry:
    """Return one publication. Raises PublicationError if there is none."""
    row = await connection.fetchrow(queries.publication, seq)
    if row is None:
        message = f"there is no publication {seq}; `orderwake journeys show` lists them"
        raise PublicationError(message)
    return _entry(row)


def standing(entries: Iterable[Entry]) -> dict[tuple[Kind, str], Entry]:
    """Return the publications that are in force for new orders, by kind and name; `entries` are in their order."""
    last = {(each.kind, each.name): each for each in entries if not each.proposed}
    return {key: each for key, each in last.items() if each.body is not None}


def version(entries: Iterable[Entry], text: str, name: str | None = None) -> Entry:
    """Return the publication of a version, given by its first digits. Raises PublicationError unless one version has them."""
    named = [each for each in entries if each.body is not None and name in (None, each.name)]
    found = {(each.kind, each.name, each.version): each for each in named if each.version.startswith(text)}
    if len(found) == 1:
        return next(iter(found.values()))
    of = f" of {name}" if name else ""
    if found:
        those = ", ".join(f"{each.name}@{each.version}" for each in found.values())
        message = f"several versions{of} begin with {text}: {those}; give more of it"
    else:
        message = f"no version{of} begins with {text}; `orderwake journeys show{' ' + name if name else ''}` lists them"
    raise PublicationError(message)


async def put(connection: Connection, draft: Draft, at: datetime, machine: datetime) -> int:
    """Write a publication as at business time `at`; it is in force at once unless it needs an approval. Returns its number."""
    item = draft.item
    seq = await connection.fetchval(
        queries.put_publication,
        draft.kind,
        draft.shop,
        draft.name,
        version_of(item) if item else "",
        item.model_dump_json() if item else None,
        draft.waiting,
        draft.why,
        draft.by,
        at,
        machine,
        draft.needs_approval,
    )
    if not draft.needs_approval:
        await release(connection, seq, None, at, machine)
    return int(seq)


async def release(
    connection: Connection, seq: int, approved_by: str | None, at: datetime, machine: datetime
) -> None:
    """Put a publication in force from business time `at` on. Raises PublicationError if its own publisher approves it."""
    try:
        await connection.execute(queries.release, seq, approved_by, at, machine)
    except asyncpg.CheckViolationError:
        message = f"publication {seq} needs a second person: {approved_by} published it; let another one approve it (--by)"
        raise PublicationError(message) from None


async def load(connection: Connection) -> Published:
    """Return what the publications put in force. Raises JourneyError if this software cannot read one."""
    return published_of(await in_effect(connection))


def published_of(entries: Sequence[Entry]) -> Published:
    """Return what entries put in force, in their order."""
    return published(
        Publication(each.kind, each.shop, each.name, each.item(), each.waiting, each.in_force_at)
        for each in entries
        if each.in_force_at is not None
    )


def _entry(row: Mapping[str, Any]) -> Entry:
    return Entry(**dict(row))
