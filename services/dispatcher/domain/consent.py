"""Whether a customer allows a channel, from the newest that this service has read."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from shared.events import Channel, Consent, EngagementKind

SUPPRESSING = frozenset({EngagementKind.UNSUBSCRIBED, EngagementKind.COMPLAINED})


@dataclass(frozen=True)
class Standing:
    """Consent by channel, and since when a channel is suppressed. `known` is false until read once."""

    known: bool = False
    consent: Mapping[Channel, Consent] = field(default_factory=dict)
    suppressed_since: Mapping[Channel, datetime] = field(default_factory=dict)


def allows(standing: Standing, channel: Channel) -> bool:
    """Whether consent stands. Given after an opt-out it revives the channel; the same moment does not."""
    consent = standing.consent.get(channel)
    if consent is None or not consent.granted:
        return False
    since = standing.suppressed_since.get(channel)
    return since is None or consent.changed_at > since
