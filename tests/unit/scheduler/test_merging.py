"""How events become facts."""

from datetime import timedelta

import pytest

from services.scheduler.domain import CustomerState, apply, record
from services.scheduler.domain.folding import fold
from services.scheduler.domain.ownership import fully_returned, owned
from services.scheduler.domain.ownership import sent_back as sent_back_products
from shared.events import EngagementKind, OrderStatus, Verdict
from tests.support.deciding import (
    MONDAY_NOON,
    decided,
    delivered,
    engagement,
    journey,
    order,
    profile,
    sent_back,
    state,
    step,
)

DAY = timedelta(days=1)


def test_the_highest_version_of_an_order_wins_in_any_order_of_arrival() -> None:
    placed, cancelled = order(), order(version=2, status=OrderStatus.CANCELLED)
    assert state(placed, cancelled) == state(cancelled, placed)
    assert owned(state(placed)) == {"cleanser"}
    assert owned(state(cancelled, placed)) == set()


def test_two_facts_with_one_version_merge_to_the_same_one_whichever_came_first() -> None:
    one, other = profile(first_name="Ada"), profile(first_name="Grace")
    assert state(one, other) == state(other, one)


def test_the_first_confirmed_delivery_of_an_order_counts() -> None:
    first, second = delivered(at=MONDAY_NOON + DAY), delivered(at=MONDAY_NOON + 2 * DAY, shipment_id="s-2")
    assert state(second, first).deliveries == {"o-1": MONDAY_NOON + DAY}


def test_a_return_before_its_order_is_kept_for_it() -> None:
    known = state(sent_back(), delivered(), order())
    assert fully_returned(known, "o-1")
    assert owned(known) == set()
    assert known == state(order(), delivered(), sent_back())


def test_a_partial_return_leaves_the_other_pieces_owned() -> None:
    two = order(products=("cleanser", "toner"))
    known = state(two, sent_back(products=("toner",)))
    assert owned(known) == {"cleanser"}
    assert not fully_returned(known, "o-1")


def test_a_return_of_something_never_bought_changes_no_ownership() -> None:
    assert owned(state(order(), sent_back("o-9", ("toner",)))) == {"cleanser"}


def test_test_orders_make_nobody_an_owner() -> None:
    assert owned(state(order(test=True))) == set()


def test_at_equal_times_unhappy_outweighs_happy() -> None:
    answers = [engagement(EngagementKind.ANSWERED, answer=each) for each in ("unhappy", "happy")]
    known = state(*answers)
    assert known.answer
    assert known.answer.answer == "unhappy"


def test_an_event_about_another_customer_is_refused() -> None:
    with pytest.raises(ValueError, match="another customer"):
        apply(CustomerState(shop="skincare", customer_id="c-2"), order())


def test_a_state_survives_its_compact_json() -> None:
    plan = journey()
    known = state(profile(), order(), delivered(), sent_back("o-9"), engagement(EngagementKind.COMPLAINED))
    known = record(known, decided(known, plan))
    assert CustomerState.load(known.dump()) == known
    assert CustomerState.load(known.dump()) == known


def test_a_final_verdict_stays_and_a_later_defer_replaces_an_earlier_one() -> None:
    plan = journey(step(channel="sms", delay="10h"))
    ready = state(profile(), order())
    first = decided(ready, plan)
    second = decided(ready, plan, now=first.due_at + timedelta(minutes=1), attempt=2)
    assert record(record(ready, first), second) == record(record(ready, second), first)
    final = decided(ready, plan, now=first.next_at, attempt=3)
    assert final.verdict is Verdict.SEND
    settled = record(ready, final)
    assert record(settled, first) == settled


def test_folding_keeps_what_is_owned_and_drops_the_rest_of_old_orders() -> None:
    old = order("o-0", ("toner", "mask"), MONDAY_NOON - 400 * DAY)
    back = sent_back("o-0", ("mask",), MONDAY_NOON - 390 * DAY)
    known = state(profile(), old, back, delivered("o-0", MONDAY_NOON - 395 * DAY), order())
    folded = fold(known, MONDAY_NOON - 365 * DAY)
    assert set(folded.orders) == {"o-1"}
    assert not folded.returns
    assert not folded.deliveries
    assert owned(folded) == owned(known) == {"toner", "cleanser"}
    assert sent_back_products(folded) == {"mask"}


def test_folding_again_and_a_redelivered_old_order_change_nothing() -> None:
    old, horizon = order("o-0", ("toner",), MONDAY_NOON - 400 * DAY), MONDAY_NOON - 365 * DAY
    folded = fold(state(profile(), old, order()), horizon)
    assert fold(folded, horizon) == folded
    assert fold(apply(folded, old), horizon) == folded


def test_verdicts_of_folded_orders_go_unless_they_still_count() -> None:
    plan = journey(step(after="delivery"))
    old = order("o-0", ("toner",), MONDAY_NOON - 400 * DAY)
    known = state(profile(), old, delivered("o-0", MONDAY_NOON - 2 * DAY))
    known = record(known, decided(known, plan, order_id="o-0"))
    assert fold(known, MONDAY_NOON - 3 * DAY).verdicts
    assert not fold(known, MONDAY_NOON).verdicts
