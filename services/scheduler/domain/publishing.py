"""From what was published, one after the other, to what is in force: for whom, and from when to when."""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Literal

from services.scheduler.domain.journey import Journey
from services.scheduler.domain.programme import Programme
from services.scheduler.domain.published import Edition, Published

Kind = Literal["journey", "programme"]
Waiting = Literal["pin", "migrate", "drain"]

_FORGOTTEN = timedelta(days=400)
"""How long after its end an edition still matters to somebody: orders are kept whole for as long."""


@dataclass(frozen=True, slots=True)
class Publication:
    """A journey or a shop's programme that came into force at a business time; without an item, `name` was withdrawn."""

    kind: Kind
    shop: str
    name: str
    item: Journey | Programme | None
    waiting: Waiting
    in_force_at: datetime


def published(publications: Iterable[Publication]) -> Published:
    """Return what publications put in force, given in the order in which they came into force.

    pin: who is enrolled stays with the version of the time of their order. migrate: who is with the version that was in force
    goes over to the new one; who was pinned to an earlier one stays pinned. drain: as pin, and the open steps of the version
    that was in force are stopped. To withdraw with migrate or drain ends it for those who were pinned, too: they wait for
    nothing, or their open steps are stopped. A programme holds for all from now on.
    """
    editions: dict[str, list[Edition]] = {}
    programmes: dict[str, Programme] = {}
    latest: datetime | None = None
    for each in publications:
        # Business time of a later publication is never the earlier one, whatever clock its process had.
        at = latest = max(each.in_force_at, latest or each.in_force_at)
        if isinstance(each.item, Programme):
            programmes[each.item.shop] = each.item
        elif each.kind == "programme":
            programmes.pop(each.name, None)
        else:
            editions[each.name] = _after(editions.get(each.name, []), each.item, each.waiting, at)
    kept = [edition for name in sorted(editions) for edition in editions[name] if _matters(edition, latest)]
    return Published(tuple(kept), programmes)


def version_of(item: Journey | Programme) -> str:
    """Twelve hexadecimal digits of what it says: other content, other version."""
    if isinstance(item, Journey):
        return item.version
    text = json.dumps(item.model_dump(mode="json", exclude_defaults=True), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def current(of: Published) -> dict[str, Journey]:
    """Return the journeys that take in new orders, by id."""
    return {
        each.journey.id: each.journey for each in of.editions if each.ends_at is None and not each.drained
    }


def _after(known: list[Edition], journey: Journey | None, waiting: Waiting, at: datetime) -> list[Edition]:
    """Return one journey's editions after a publication."""
    closed, standing = _split(known)
    if journey is None and waiting != "pin":
        return [_drained(each, at) for each in known] if waiting == "drain" else []
    if waiting == "migrate":
        begins = standing.begins_at if standing else _end(closed)
    else:
        begins = at
        if standing is not None and standing.begins_at != at:
            closed.append(replace(standing, ends_at=at, drained=waiting == "drain"))
    return closed if journey is None else [*closed, Edition(journey, begins, None, drained=False)]


def _drained(edition: Edition, at: datetime) -> Edition:
    return replace(edition, ends_at=edition.ends_at or at, drained=True)


def _split(known: list[Edition]) -> tuple[list[Edition], Edition | None]:
    if known and known[-1].ends_at is None:
        return known[:-1], known[-1]
    return list(known), None


def _end(closed: list[Edition]) -> datetime | None:
    """Return from when on nobody is with an earlier edition: people must not be with two at once."""
    return closed[-1].ends_at if closed else None


def _matters(edition: Edition, latest: datetime | None) -> bool:
    return edition.ends_at is None or latest is None or edition.ends_at > latest - _FORGOTTEN
