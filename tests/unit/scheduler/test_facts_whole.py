"""All that conditions and hand-overs are told of one customer, word for word."""

from datetime import timedelta
from decimal import Decimal

from services.scheduler.domain import (
    CustomerState,
    Programme,
    Published,
    apply,
    decide,
    due,
    hand_over,
    record,
)
from services.scheduler.domain.facts import values
from shared import events
from shared.events import EngagementKind
from tests.support.deciding import (
    MONDAY_NOON,
    SHOP,
    context,
    delivered,
    engagement,
    envelope,
    journey,
    order,
    profile,
    sent_back,
    state,
    step,
)

DAY = timedelta(days=1)
PLAN = journey(
    step("pair", offer=None, asks=["happy", "unhappy"]),
    {"id": "win", "hand_over": "win_back", "after": "order", "delay": "8d", "why": "no answer"},
    after_return={"span": "0h"},
)


def known() -> CustomerState:
    before = (order("o-0", ["toner", "spf"], MONDAY_NOON - 100 * DAY), order("o-1", at=MONDAY_NOON - 3 * DAY))
    bought = order("o-2", ["serum", "mask"], country="US", region="NY")
    found = state(profile(), *before, bought, delivered("o-2"), sent_back("o-1", at=MONDAY_NOON - DAY))
    cart = events.Cart(
        cart_id="k",
        updated_at=MONDAY_NOON - DAY / 2,
        currency="USD",
        total=Decimal(37),
        products=("serum", "mask"),
    )
    for number, data in enumerate((cart, cart.model_copy(update={"order_id": "o-2"}))):
        found = apply(found, events.CartRecorded(**envelope(MONDAY_NOON, "cart", number), data=data))
    asks = next(
        each
        for each in due(found, Published.of([PLAN])).values()
        if (each.step, each.order_id) == ("pair", "o-2")
    )
    found = record(found, decide(found, asks, PLAN, (), context(), asks.due_at))
    for kind in (
        EngagementKind.OPENED,
        EngagementKind.CLICKED,
        EngagementKind.ANSWERED,
        EngagementKind.OFFER_ACCEPTED,
    ):
        event = engagement(
            kind, MONDAY_NOON + DAY, answer="unhappy" if kind is EngagementKind.ANSWERED else None
        )
        about = event.data.model_copy(update={"message_id": str(asks.message_id)})
        found = apply(found, event.model_copy(update={"data": about}))
    return found


def test_conditions_see_every_fact_under_its_name() -> None:
    found = known()
    seen = values(found, "o-2", found.orders["o-2"], PLAN.asked, Programme(shop=SHOP))
    assert seen["customer"] == {
        "average_order": 24.0, "categories": ["cleanser", "spf", "toner"], "country": "US", "days_since_previous": 3,
        "email": True, "guest": False, "locale": "en-US", "ordered_again": False, "orders": 3, "orders_in_90_days": 2,
        "products": ["cleanser", "spf", "toner"], "push": True, "region": "NY", "returns": 1, "sms": True,
        "spent": 72.0, "staff": False, "unhappy": True, "webhook": True,
    }  # fmt: skip
    assert seen["order"] == {
        "cancelled": False, "categories": ["mask", "serum"], "country": "US", "currency": "USD", "from_cart": True,
        "id": "o-2", "items": 2, "number": 3, "products": ["mask", "serum"], "region": "NY", "returned": False,
        "returned_any": False, "single_item": False, "total": 37.0,
    }  # fmt: skip
    assert seen["segment"] == {
        "converted_abandoner": True, "first": False, "loyal": False, "name": "returning", "returning": True, "vip": False,
    }  # fmt: skip
    assert seen["delivery"] == {"confirmed": True, "days": 2.0}
    assert seen["answers"] == {"pair": "unhappy"}
    assert seen["engagement"] == {
        "accepted": 1, "answered": 1, "clicked": 1, "opened": 1, "responded": True, "sent": 1,
    }  # fmt: skip


def test_a_left_cart_is_seen_as_it_was_left() -> None:
    found = known()
    seen = values(found, "cart:k", found.orders["o-2"], PLAN.asked, Programme(shop=SHOP))
    assert seen["cart"] == {"ordered": True, "products": ["mask", "serum"], "total": 37.0}


def test_a_hand_over_says_who_what_and_why() -> None:
    fresh = state(profile(), order())
    wins = next(each for each in due(fresh, Published.of([PLAN])).values() if each.step == "win")
    decision = decide(fresh, wins, PLAN, (), context(), wins.due_at)
    handed = hand_over(fresh, wins, decision, PLAN, context())
    assert handed.model_dump(mode="json") == {
        "message_id": str(wins.message_id), "decision_id": str(decision.decision_id), "kind": "win_back",
        "journey": "routine", "step": "win", "order_id": "o-1", "products": ["cleanser"], "why": "no answer",
        "decided_at": "2026-03-10T17:00:00Z",
    }  # fmt: skip
