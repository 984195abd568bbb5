"""The one set of journeys that all processes go by. A process with other journeys must not touch a due step."""

import hashlib
from collections.abc import Iterable

from services.scheduler import store
from services.scheduler.domain import Journey
from shared.errors import JourneysReplaced


def fingerprint(journeys: Iterable[Journey]) -> str:
    """Return sixteen hexadecimal digits of a set of journeys' versions, whatever its order."""
    versions = sorted(f"{journey.id}@{journey.version}" for journey in journeys)
    return hashlib.sha256("\n".join(versions).encode()).hexdigest()[:16]


async def hold(connection: store.Connection, mine: str) -> None:
    """Keep the journeys with the fingerprint `mine` in force until the caller's transaction ends.

    Raises JourneysReplaced if others are. Call it before locking customers, as whoever replaces journeys does.
    """
    await store.share_in_force(connection)
    insist(await store.in_force(connection), mine)


def insist(standing: store.InForce | None, mine: str) -> store.InForce:
    """Return what is in force. Raises JourneysReplaced unless its fingerprint is `mine`."""
    if standing is None or standing.fingerprint != mine:
        message = "another process has put other journeys in force; restart with them"
        raise JourneysReplaced(message)
    return standing
