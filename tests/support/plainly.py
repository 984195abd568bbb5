"""What a history says, told in the plainest way: the laws of the decision core are held against it."""

import json
from collections import Counter
from collections.abc import Sequence
from datetime import datetime

from shared.events import (
    Channel,
    CustomerRecorded,
    EngagementKind,
    EngagementRecorded,
    Event,
    Order,
    OrderRecorded,
    OrderStatus,
    Return,
    ReturnRecorded,
    ReturnStatus,
)
from tests.support.deciding import MONDAY_NOON, envelope, state
from tests.support.histories import Arrival

STATE_ZONES = {
    "NY": "America/New_York",
    "CA": "America/Los_Angeles",
    "TX": "America/Chicago",
    "RI": "America/New_York",
    "LA": "America/Chicago",
    None: "America/New_York",
}


def counted_as_owned(happened: Sequence[Event]) -> set[str]:
    kept: Counter[tuple[str, str]] = Counter()
    for placed in latest_orders(happened):
        if placed.status is OrderStatus.PLACED and not placed.test:
            kept.update({(placed.order_id, line.product_id): line.quantity for line in placed.lines})
    for back in latest_returns(happened):
        kept.subtract({(back.order_id, line.product_id): line.quantity for line in back.lines})
    return {product for (_, product), count in kept.items() if count > 0}


def ever_returned(happened: Sequence[Event]) -> set[str]:
    return {line.product_id for back in latest_returns(happened) for line in back.lines}


def latest_orders(happened: Sequence[Event]) -> list[Order]:
    versions = [each.data for each in happened if isinstance(each, OrderRecorded)]
    return list({each.order_id: each for each in sorted(versions, key=rank)}.values())


def latest_returns(happened: Sequence[Event]) -> list[Return]:
    versions = [each.data for each in happened if isinstance(each, ReturnRecorded)]
    latest = {each.return_id: each for each in sorted(versions, key=rank)}.values()
    return [each for each in latest if each.status is not ReturnStatus.REJECTED]


def rank(fact: Order | Return) -> tuple[int, str]:
    """By version; between facts of one version as the core does: by the text of what it keeps of them."""
    kept = state(
        OrderRecorded(**envelope(MONDAY_NOON), data=fact)
        if isinstance(fact, Order)
        else ReturnRecorded(**envelope(MONDAY_NOON), data=fact)
    )
    held = [*kept.orders.values(), *kept.returns.values()]
    return fact.version, json.dumps(held[0].model_dump(mode="json"), sort_keys=True)


def may_be_written_to(happened: Sequence[Event], channel: Channel) -> bool:
    people = [each.data for each in happened if isinstance(each, CustomerRecorded)]
    consent = max(people, key=lambda each: each.version).consent.get(channel)
    left = [
        each.data.occurred_at
        for each in happened
        if isinstance(each, EngagementRecorded)
        and each.data.kind is EngagementKind.UNSUBSCRIBED
        and each.data.channel is channel
    ]
    return consent is not None and consent.granted and all(at < consent.changed_at for at in left)


def seen_before(arrivals: Sequence[Arrival], now: datetime) -> list[Event]:
    return [each.event for each in arrivals if each.at <= now]
