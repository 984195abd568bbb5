"""What became of messages, as events for `engagement`."""

from datetime import datetime
from typing import Any

from shared import topics
from shared.events import Channel, Engagement, EngagementKind, EngagementRecorded
from shared.ids import event_id, partition_key
from shared.kafka.outbox import Outgoing


def result(row: Any, kind: EngagementKind, now: datetime) -> Outgoing:  # noqa: ANN401  asyncpg's record
    """What became of a message, from its row of the ledger: the same result has the same id."""
    told = Engagement(
        kind=kind,
        channel=Channel(row["channel"]),
        occurred_at=now,
        message_id=str(row["message_id"]),
        reason=row["reason"],
        provider=row["provider"],
        provider_reference=row["provider_reference"],
    )
    return _outgoing((row["shop_id"], row["customer_id"]), told, event_id(row["message_id"], kind), now)


def opt_out(customer: tuple[str, str], channel: Channel, reason: str, now: datetime) -> Outgoing:
    """That a customer (shop, name) told a provider to stop."""
    told = Engagement(kind=EngagementKind.UNSUBSCRIBED, channel=channel, occurred_at=now, reason=reason)
    return _outgoing(customer, told, event_id("suppressed", *customer, channel, now), now)


def reported(
    row: Any,  # noqa: ANN401  asyncpg's record
    kind: EngagementKind,
    reason: str | None,
    now: datetime,
    told_id: str | None = None,
) -> Outgoing:
    """What a provider reported of a message, from its row: once of each kind, unless each has an id of its own."""
    told = Engagement(
        kind=kind,
        channel=Channel(row["channel"]),
        occurred_at=now,
        message_id=str(row["message_id"]),
        reason=reason,
        provider=row["provider"],
        provider_reference=row["provider_reference"],
    )
    return _outgoing(
        (row["shop_id"], row["customer_id"]), told, told_id or event_id(row["message_id"], kind), now
    )


def click(row: Any, now: datetime) -> Outgoing:  # noqa: ANN401  asyncpg's record
    """That a short link was followed for the first time, from its row: told again, it has the same id."""
    told = Engagement(
        kind=EngagementKind.CLICKED,
        channel=Channel(row["channel"]),
        occurred_at=now,
        message_id=str(row["message_id"]),
    )
    return _outgoing((row["shop_id"], row["customer_id"]), told, event_id("link", row["code"]), now)


def _outgoing(customer: tuple[str, str], told: Engagement, told_id: str, now: datetime) -> Outgoing:
    shop, name = customer
    event = EngagementRecorded(
        id=told_id,
        source="/orderwake/dispatcher",
        time=now,
        shopid=shop,
        customerid=name,
        subject=told.message_id,
        recordedat=now,
        data=told,
    )
    return Outgoing(topics.ENGAGEMENT.name, partition_key(shop, name), event.encode())
