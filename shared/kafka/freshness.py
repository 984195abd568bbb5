"""Which partitions may be trusted. Machine time only: a silent or lagging owner is a fact about machines."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta


@dataclass(frozen=True, slots=True)
class Position:
    """How far one partition of a topic has been consumed, as its owner last wrote it.

    `behind_since` is when the position was first seen short of the log's end, or None if it has reached it.
    """

    topic: str
    partition: int
    position: int
    observed_at: datetime
    behind_since: datetime | None


Fresh = dict[int, dict[str, int]]
"""Per trusted partition number, the position in each topic as {"topic-partition": position}."""


def fresh_partitions(
    positions: Iterable[Position], topics: Sequence[str], now: datetime, limit: timedelta
) -> Fresh:
    """Return the partitions of which each topic was seen within `limit` of `now` and is not behind longer."""
    oldest = now - limit
    trusted: Fresh = {}
    for each in positions:
        behind_for_long = each.behind_since is not None and each.behind_since < oldest
        if each.topic in topics and each.observed_at >= oldest and not behind_for_long:
            trusted.setdefault(each.partition, {})[f"{each.topic}-{each.partition}"] = each.position
    return {partition: standing for partition, standing in trusted.items() if len(standing) == len(topics)}
