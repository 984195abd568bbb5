"""A cart that is ordered after all: what waits about it is settled, and nothing new begins."""

from datetime import timedelta
from decimal import Decimal

from services.scheduler.domain import Published, decide, due, record
from shared import events
from shared.events import Reason, Verdict
from tests.support.deciding import MONDAY_NOON, SHOP, context, envelope, journey, profile, state, step

EVENING = MONDAY_NOON + timedelta(hours=10)
PLAN = journey(
    step("left", after="cart", delay="1h", offer=None),
    id="carts",
    starts="cart",
    quiet_hours={"email": {"starts": "21:00", "ends": "07:30"}},
)


def cart(order_id: str | None = None) -> events.CartRecorded:
    data = events.Cart(
        cart_id="k-1",
        updated_at=EVENING,
        currency="USD",
        total=Decimal(9),
        products=("toner",),
        order_id=order_id,
    )
    return events.CartRecorded(**envelope(EVENING, "cart", "k-1", order_id), data=data)


def test_a_step_that_was_deferred_is_skipped_once_its_cart_is_ordered() -> None:
    known = state(profile(), cart())
    (occurrence,) = due(known, Published.of([PLAN])).values()
    deferred = decide(known, occurrence, PLAN, (), context(), occurrence.due_at)
    assert deferred.verdict is Verdict.DEFER
    assert deferred.next_at is not None

    ordered = record(state(profile(), cart(), cart("o-9")), deferred)
    (still,) = due(ordered, Published.of([PLAN])).values()
    final = decide(ordered, still, PLAN, (), context(2), deferred.next_at)
    assert (final.verdict, final.reason) == (Verdict.SKIP, Reason.ORDER_CANCELLED)


def test_a_cart_that_was_ordered_before_anything_was_decided_begins_nothing() -> None:
    assert PLAN.shop == SHOP
    assert not due(state(profile(), cart(), cart("o-9")), Published.of([PLAN]))
