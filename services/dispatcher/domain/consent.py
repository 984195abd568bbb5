"""Whether a customer allows a channel at an address, from the newest that this service has read."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from shared.events import Channel, Consent, EngagementKind

SUPPRESSING = frozenset({EngagementKind.UNSUBSCRIBED, EngagementKind.COMPLAINED})


@dataclass(frozen=True)
class Standing:
    """Consent by channel, and since when a channel is suppressed. `known` is false until read once.

    `version` is the customer's record that the consent came with. `dead` says that the message's address was found to
    be dead, `stops` which providers its holder told to stop, and when.
    """

    known: bool = False
    consent: Mapping[Channel, Consent] = field(default_factory=dict)
    suppressed_since: Mapping[Channel, datetime] = field(default_factory=dict)
    version: int = 0
    dead: bool = False
    stops: Mapping[str, datetime] = field(default_factory=dict)
    country: str | None = None
    region: str | None = None
    time_zone: str | None = None


def allows(standing: Standing, channel: Channel) -> bool:
    """Whether consent stands. Given after an opt-out it revives the channel; the same moment does not."""
    consent = standing.consent.get(channel)
    if consent is None or not consent.granted:
        return False
    since = standing.suppressed_since.get(channel)
    return since is None or consent.changed_at > since


def stopped(standing: Standing, channel: Channel, provider: str) -> bool:
    """Whether the holder of the address told this provider to stop, and consented to nothing since."""
    since, consent = standing.stops.get(provider), standing.consent.get(channel)
    return since is not None and (consent is None or consent.changed_at <= since)
