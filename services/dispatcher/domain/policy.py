"""The last check before hand-over, and how long to wait before another look."""

from collections.abc import Iterable
from datetime import datetime
from enum import StrEnum

from services.dispatcher.domain.consent import Standing, allows
from shared.events import Message
from shared.switches import Switch

HELD_SECONDS = 1.0
FIRST_UNREAD_SECONDS = 0.25
LONGEST_UNREAD_SECONDS = 30.0


class Withheld(StrEnum):
    """Why a message was not handed over, for good."""

    EXPIRED = "expired"
    STOPPED = "stopped"
    NO_CONSENT = "no_consent"
    BAD_ADDRESS = "bad_address"
    UNRENDERABLE = "unrenderable"
    NO_PROVIDER = "no_provider"
    DEAD_ADDRESS = "dead_address"
    QUIET_HOURS = "quiet_hours"


class Held(StrEnum):
    """Why a message is not handed over yet."""

    CONSENT_NOT_READ = "consent_not_read"
    PAUSED = "paused"
    NEWS_STALE = "news_stale"
    QUIET_HOURS = "quiet_hours"
    LIMITED = "limited"
    QUOTA_USED = "quota_used"
    PROVIDER_AWAY = "provider_away"


Verdict = Withheld | Held | None


def priority_of(message: Message) -> int:
    """What goes first: 0 for a service message, 1 for an offer."""
    return 0 if message.purpose == "service" else 1


def check(
    shop: str, message: Message, standing: Standing, switches: Iterable[Switch], now: datetime
) -> Verdict:
    """None if the message may leave at business time `now`.

    A pause holds rather than refuses, so an incident loses nothing that is still valid when it ends; a stop refuses.
    Consent that was never read is waited for: its record was written before the message, on another topic.
    """
    if now > message.valid_until:
        return Withheld.EXPIRED
    thrown = {
        switch.control.action
        for switch in switches
        if switch.scope.holds(shop, message.journey, message.channel)
    }
    if "stop" in thrown:
        return Withheld.STOPPED
    if not standing.known:
        return Held.CONSENT_NOT_READ
    if not allows(standing, message.channel):
        return Withheld.NO_CONSENT
    if standing.dead:
        return Withheld.DEAD_ADDRESS
    return Held.PAUSED if "pause" in thrown else None


def wait_while_held(held: Held, put_back: int) -> float:
    """Machine seconds until a message is looked at again that was put back `put_back` times before.

    Consent that was not read is waited for ever longer, up to half a minute: it may never come, and rows that are
    claimed in vain keep others waiting.
    """
    if held is not Held.CONSENT_NOT_READ:
        return HELD_SECONDS
    return min(FIRST_UNREAD_SECONDS * 2.0 ** min(put_back, 16), LONGEST_UNREAD_SECONDS)
