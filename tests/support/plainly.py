"""What a history says, told in the plainest way: the laws of the decision core are held against it."""

import hashlib
from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from zoneinfo import ZoneInfo

import msgspec

from services.scheduler.domain import Journey
from shared.events import (
    Cart,
    CartRecorded,
    Channel,
    Customer,
    CustomerRecorded,
    Engagement,
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
from tests.support.deciding import CUSTOMER, MONDAY_NOON, SHELF, SHOP, envelope, state
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


def rank(fact: Order | Return) -> tuple[int, bool, bytes]:
    """By version; of facts of one version, what is off counts; else as in the core, by the text of what it keeps of them."""
    kept = state(
        OrderRecorded(**envelope(MONDAY_NOON), data=fact)
        if isinstance(fact, Order)
        else ReturnRecorded(**envelope(MONDAY_NOON), data=fact)
    )
    held = [*kept.orders.values(), *kept.returns.values()]
    off = isinstance(fact, Order) and fact.status is not OrderStatus.PLACED
    return fact.version, off, msgspec.json.encode(held[0], order="deterministic")


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


def latest_profile(happened: Sequence[Event]) -> Customer:
    people = [each.data for each in happened if isinstance(each, CustomerRecorded)]
    return max(people, key=lambda each: each.version)


def alike(product: str, owned_by: str) -> set[str]:
    """Products of which having one means having the other: itself, its category, or the group of lotions."""
    category = {each for each, (kind, *_) in SHELF.items() if kind == SHELF[product][0]}
    lotions = {"toner", "toner-rich", "serum", "serum-pro"}
    if owned_by == "category":
        return category
    return lotions if owned_by == "group" and product in lotions else {product}


def local_times(happened: Sequence[Event], now: datetime) -> list[datetime]:
    """What clocks show where the customer says to be, or else in their state."""
    known = latest_profile(happened)
    return [now.astimezone(ZoneInfo(known.time_zone or STATE_ZONES[known.region]))]


def may_be_texted(happened: Sequence[Event], local: datetime) -> bool:
    """Within 8 to 21 by the customer's clock, where it is unknown 11 to 20 in the East; on no Sunday in Louisiana."""
    known = latest_profile(happened)
    earliest, latest = (8, 21) if known.time_zone or known.region else (11, 20)
    at_home = known.time_zone in (None, "America/Chicago")
    return earliest <= local.hour < latest and not (known.region == "LA" and at_home and local.weekday() == 6)


def takes_part(plan: Journey, experiment: str) -> bool:
    """Whether the customer is of an experiment's people, by the hash that is documented."""
    entry = next((each for each in plan.steps if getattr(each, "experiment", None) == experiment), None)
    if entry is None:
        return False
    digest = hashlib.sha256(f"{SHOP}\x1f{CUSTOMER}\x1framp:{experiment}".encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64 < float(getattr(entry, "ramp", 0))


def placed_at(happened: Sequence[Event], order_id: str) -> datetime:
    return next(
        each.data.placed_at
        for each in happened
        if isinstance(each, OrderRecorded) and each.data.order_id == order_id
    )


def _carts(happened: Sequence[Event], order_id: str) -> list[Cart]:
    name = order_id.removeprefix("cart:")
    return [each.data for each in happened if isinstance(each, CartRecorded) and each.data.cart_id == name]


def cart_was_ordered(happened: Sequence[Event], order_id: str) -> bool:
    return any(each.order_id for each in _carts(happened, order_id))


def _engaged(happened: Sequence[Event], kind: EngagementKind) -> list[Engagement]:
    return [each.data for each in happened if isinstance(each, EngagementRecorded) and each.data.kind is kind]


def complained(happened: Sequence[Event]) -> bool:
    return bool(_engaged(happened, EngagementKind.COMPLAINED))


def unhappy(happened: Sequence[Event]) -> bool:
    """Whether the last word was "unhappy"; at one moment it outdoes "happy"."""
    answers = [each for each in _engaged(happened, EngagementKind.ANSWERED) if each.answer]
    return (
        bool(answers) and max(answers, key=lambda each: (each.occurred_at, each.answer)).answer == "unhappy"
    )
