"""Which steps a customer's facts make due, and when: neither the present nor earlier verdicts matter."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from uuid import UUID
from zoneinfo import ZoneInfo

from services.scheduler.domain.customer import CustomerState, OrderFacts
from services.scheduler.domain.journey import Journey, Step, When
from shared.events import Channel
from shared.ids import enrolment_id, message_id


@dataclass(frozen=True, slots=True)
class Due:
    """One occurrence of a step (0, 1, ... for repeats); `message_id` is its id, `due_at` is in UTC."""

    message_id: UUID
    enrolment_id: UUID
    journey: str
    journey_version: str
    step: str
    occurrence: int
    channel: Channel
    order_id: str
    due_at: datetime
    priority: int


def due(state: CustomerState, journeys: Iterable[Journey]) -> dict[UUID, Due]:
    """Every occurrence that the facts call for, by message id, whether it was decided already or not.

    Cancellations, returns and opt-outs remove nothing: such steps stay due and are decided to be skipped.
    """
    enrolling = [(order_id, order) for order_id, order in state.orders.items() if order.enrols]
    return {
        occurrence.message_id: occurrence
        for journey in journeys
        if journey.shop == state.shop
        for order_id, order in enrolling
        if matches(journey.entry, order)
        for occurrence in _enrolment(state, journey, order_id, order)
    }


def matches(when: When, order: OrderFacts) -> bool:
    """Whether an order meets every condition given."""
    categories = set(order.categories.values())
    return (
        (not when.categories or not categories.isdisjoint(when.categories))
        and categories.isdisjoint(when.without)
        and (not when.products or not order.products.keys().isdisjoint(when.products))
        and (when.single_item is None or when.single_item == (len(order.products) == 1))
        and (when.total_at_least is None or order.total >= when.total_at_least)
        and (when.total_below is None or order.total < when.total_below)
    )


def _enrolment(state: CustomerState, journey: Journey, order_id: str, order: OrderFacts) -> Iterator[Due]:
    enrolment = enrolment_id(state.shop, journey.id, state.customer_id, order_id)
    anchors = {"order": order.placed_at, "delivery": state.deliveries.get(order_id)}
    for step in journey.steps:
        anchor = anchors[step.after]
        if anchor is None or not matches(step.when, order):
            continue
        for occurrence, due_at in enumerate(moments(step, anchor, local_zone(state, journey))):
            yield Due(
                message_id(state.shop, journey.id, enrolment, step.id, occurrence),
                enrolment,
                journey.id,
                journey.version,
                step.id,
                occurrence,
                step.channel,
                order_id,
                due_at,
                step.priority,
            )


def moments(step: Step, anchor: datetime, zone: ZoneInfo) -> Iterator[datetime]:
    """When a step is due, each repeat in turn; `at` is the first such local time from the delay's end on."""
    every, times = (step.repeat.every, step.repeat.times) if step.repeat else (timedelta(0), 1)
    for occurrence in range(times):
        moment = anchor + step.delay + occurrence * every
        if step.at is not None:
            local = moment.astimezone(zone)
            wanted = local.replace(hour=step.at.hour, minute=step.at.minute, second=0, microsecond=0, fold=0)
            moment = wanted if wanted >= local else wanted + timedelta(days=1)
        yield moment.astimezone(UTC)


@lru_cache(maxsize=1024)
def _zone(name: str) -> ZoneInfo | None:
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        return None


def local_zone(state: CustomerState, journey: Journey) -> ZoneInfo:
    """The customer's zone if it is known and a real one, else the journey's."""
    name = state.profile.time_zone if state.profile else None
    return (_zone(name) if name else None) or journey.zone
