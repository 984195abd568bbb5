"""What has been seen before: events by id, and states of a thing by version."""

from collections.abc import Hashable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from typing import TypeVar
from uuid import UUID

from shared.events import CustomerRecorded, Event, ProductRecorded

_K = TypeVar("_K", bound=Hashable)

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def identity(event: Event) -> UUID:
    """What makes an event the same event: shop, source and id (CloudEvents 1.0, section 3.1: source + id)."""
    text = f"{event.shopid}\x1f{event.source}\x1f{event.id}"
    return UUID(bytes=blake2b(text.encode(), digest_size=16).digest())


def version_of(event: Event) -> int | None:
    """Version of an event whose topic is compacted, where an older state must not follow a newer one.

    A customer's own version; a product's `updated_at` in microseconds. None for what is merged downstream.
    """
    if isinstance(event, CustomerRecorded):
        return event.data.version
    if isinstance(event, ProductRecorded):
        return (event.data.updated_at - _EPOCH) // timedelta(microseconds=1)
    return None


def rising(versions: Sequence[tuple[_K, int]], known: Mapping[_K, int]) -> list[bool]:
    """For each (key, version), in order, whether it is above the known one and all before it of its key."""
    highest = dict(known)
    found = []
    for key, version in versions:
        newer = key not in highest or version > highest[key]
        found.append(newer)
        if newer:
            highest[key] = version
    return found
