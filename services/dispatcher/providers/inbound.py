"""What a person's text becomes, whichever provider brought it."""

from datetime import datetime
from types import MappingProxyType

from services.dispatcher.domain.keywords import Wish
from services.dispatcher.providers.base import Report, Said

_SAID = MappingProxyType({Wish.STOP: Said.STOPPED, Wish.START: Said.STARTED})


def wished(
    wanted: Wish | None, report_id: str, occurred_at: datetime, address: str, reason: str
) -> list[Report]:
    """The wish of an address; nothing where there is no wish, or nobody who wishes."""
    if wanted is None or not address:
        return []
    return [Report(_SAID[wanted], report_id, occurred_at, address=address, reason=reason)]
