"""The one set of journeys and programmes that all processes go by. By any other nobody may touch a due step."""

import structlog

from services.scheduler import store
from services.scheduler.domain.published import Published
from services.scheduler.versions import publications
from shared.errors import JourneysReplaced

log = structlog.get_logger()


async def hold(connection: store.Connection, known: Published) -> Published:
    """Keep what is in force in force until the caller's transaction ends, and return it: `known`, if that is it.

    Call it before locking customers, as whoever publishes does. What others have published since is read here, so a process
    goes by it from its next transaction on. Raises JourneysReplaced if software that derives otherwise (see DERIVATION in
    domain/published.py) has taken over.
    """
    await store.share_in_force(connection)
    return await agree(connection, await store.in_force(connection), known)


async def agree(connection: store.Connection, standing: store.InForce | None, known: Published) -> Published:
    """Return what `standing` names, under a lock that the caller has: `known`, or what was published since."""
    if standing is not None and standing.fingerprint == known.fingerprint:
        return known
    found = await publications.load(connection)
    if standing is None or standing.fingerprint != found.fingerprint:
        message = (
            "another version of the software has derived the due steps from the journeys in force; "
            "run this version alone, by starting it again, or that one"
        )
        raise JourneysReplaced(message)
    log.info("journeys_taken_up", fingerprint=standing.fingerprint)
    return found
