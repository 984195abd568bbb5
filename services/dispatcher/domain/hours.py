"""When a text may leave, so that it arrives within the hours that the law permits. Business time."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from services.dispatcher.domain.consent import Standing
from services.dispatcher.domain.policy import Withheld
from shared.events import Message
from shared.law import ContactHours

_LOOKS = 8


@dataclass(frozen=True, slots=True)
class Window:
    """A text may leave from `opens_at` on, and must have arrived by `closes_at`."""

    opens_at: datetime
    closes_at: datetime


def window(
    law: ContactHours, message: Message, standing: Standing, now: datetime, least: timedelta
) -> Window | Withheld:
    """The first window from `now` on within the message's validity, wherever its customer may be; or why there is none.

    At least `least` must be left of it: a provider may hold a text for that long before it goes out.
    """
    places = dict.fromkeys((*message.places, (standing.country, standing.region)))
    zones = dict.fromkeys(zone for zone in (message.time_zone, standing.time_zone) if zone)
    known = [place for place in places if any(place)]
    opens_at = now
    for _ in range(_LOOKS):
        if message.valid_until - opens_at < least:
            break
        stretch = law.permitted(opens_at, places=known, zones=list(zones))
        if stretch is None:
            return Withheld.QUIET_HOURS
        closes_at = min(stretch.closes_at, message.valid_until)
        if closes_at - stretch.opens_at >= least:
            return Window(stretch.opens_at, closes_at)
        opens_at = max(stretch.opens_at, stretch.closes_at)
    return Withheld.EXPIRED if message.valid_until - now < least else Withheld.QUIET_HOURS
