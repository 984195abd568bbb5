"""What facts make due, and when."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from services.scheduler.domain import Published, due
from services.scheduler.domain.enrolling import matches
from services.scheduler.domain.step import When
from shared.events import EngagementKind, OrderStatus
from shared.ids import enrolment_id, message_id
from tests.support.deciding import (
    CUSTOMER,
    MONDAY_NOON,
    SHOP,
    decided,
    delivered,
    engagement,
    journey,
    only,
    order,
    profile,
    sent,
    sent_back,
    state,
    step,
)

DAY = timedelta(days=1)


def test_an_order_step_is_due_its_delay_after_the_order_under_a_derived_id() -> None:
    occurrence = only(state(order()), journey())
    enrolment = enrolment_id(SHOP, "routine", CUSTOMER, "o-1")
    assert occurrence.due_at == MONDAY_NOON + timedelta(minutes=45)
    assert occurrence.message_id == message_id(SHOP, "routine", enrolment, "pair", 0)


def test_delivery_steps_appear_with_a_confirmed_delivery_only() -> None:
    plan = journey(step(after="delivery", delay="3d"))
    assert not due(state(order()), Published.of([plan]))
    assert only(state(delivered(), order()), plan).due_at == MONDAY_NOON + 5 * DAY


def test_a_weekly_step_comes_as_often_as_it_says() -> None:
    plan = journey(step(delay="7d", repeat={"every": "7d", "times": 4}))
    found = sorted(due(state(order()), Published.of([plan])).values(), key=lambda each: each.occurrence)
    assert [(each.occurrence, each.due_at) for each in found] == [
        (each, MONDAY_NOON + 7 * (each + 1) * DAY) for each in range(4)
    ]


@pytest.mark.parametrize(
    ("delay", "at", "expected"),
    [
        ("1h", "15:00", datetime(2026, 3, 2, 20, 0, tzinfo=UTC)),
        ("4h", "15:00", datetime(2026, 3, 3, 20, 0, tzinfo=UTC)),
        ("7d", "15:00", datetime(2026, 3, 9, 19, 0, tzinfo=UTC)),  # clocks went forward on 8 March
    ],
)
def test_a_local_time_is_the_first_from_the_delays_end_on(delay: str, at: str, expected: datetime) -> None:
    assert only(state(profile(), order()), journey(step(delay=delay, at=at))).due_at == expected


@pytest.mark.parametrize("zone", [None, "Nowhere/Land", "../etc"])
def test_without_a_real_zone_of_the_customers_the_journeys_counts(zone: str | None) -> None:
    known = state(profile(time_zone=zone), order())
    assert only(known, journey(step(at="15:00"))).due_at == datetime(2026, 3, 2, 20, 0, tzinfo=UTC)


def test_test_and_history_orders_begin_nothing() -> None:
    assert not due(state(order(test=True), order("o-2", history=True)), Published.of([journey()]))


def test_nothing_that_happens_later_makes_a_due_step_vanish() -> None:
    plan = journey(step(), step("check", after="delivery", delay="1d"))
    before = state(profile(), order(), delivered())
    after = state(
        profile(2, consent={}, email=None, staff=True),
        order(version=2, status=OrderStatus.CANCELLED),
        delivered(),
        sent_back(),
        engagement(EngagementKind.UNSUBSCRIBED),
        engagement(EngagementKind.COMPLAINED),
    )
    assert due(before, Published.of([plan])) == due(after, Published.of([plan]))


def test_verdicts_change_nothing_of_what_is_due() -> None:
    plan = journey()
    known = state(profile(), order())
    assert due(sent(known, plan, at=MONDAY_NOON + DAY), Published.of([plan])) == due(
        known, Published.of([plan])
    )


def test_a_new_version_of_a_journey_keeps_the_ids() -> None:
    old, new = journey(), journey(step(delay="2h"))
    assert old.version != new.version
    assert due(state(order()), Published.of([old])).keys() == due(state(order()), Published.of([new])).keys()


def test_another_shops_journey_does_not_apply() -> None:
    assert not due(state(order()), Published.of([journey(shop="fitness")]))


@pytest.mark.parametrize(
    ("when", "expected"),
    [
        ({}, True),
        ({"categories": ["serum", "toner"]}, True),
        ({"categories": ["serum"]}, False),
        ({"without": ["toner"]}, False),
        ({"without": ["serum"]}, True),
        ({"products": ["cleanser"]}, True),
        ({"products": ["mask"]}, False),
        ({"single_item": False}, True),
        ({"single_item": True}, False),
        ({"total_at_least": "27"}, True),
        ({"total_at_least": "27.01"}, False),
        ({"total_below": "27"}, False),
        ({"total_below": "27.01"}, True),
    ],
)
def test_conditions_look_at_the_orders_own_facts(when: dict[str, Any], expected: bool) -> None:  # noqa: FBT001  a table's column
    facts = state(order(products=("cleanser", "toner"))).orders["o-1"]
    assert matches(When.model_validate(when), facts) is expected


def test_a_branch_sends_its_step_to_its_orders_only() -> None:
    plan = journey(step(), step("for-serum", when={"categories": ["serum"]}))
    assert {each.step for each in due(state(order()), Published.of([plan])).values()} == {"pair"}


def test_decisions_carry_the_occurrence_they_are_about() -> None:
    decision = decided(state(profile(), order()), journey())
    occurrence = only(state(profile(), order()), journey())
    assert (decision.message_id, decision.due_at) == (occurrence.message_id, occurrence.due_at)
