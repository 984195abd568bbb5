"""How often and when: caps, cool-downs and quiet hours."""

from datetime import UTC, datetime, timedelta

import pytest

from services.scheduler.domain import record
from shared.events import Reason, Verdict
from tests.support.deciding import (
    MONDAY_NOON,
    decided,
    journey,
    order,
    profile,
    sent,
    state,
    step,
)

SMS = {"channel": "sms"}
DAY = timedelta(days=1)
READY = (profile(), order())


@pytest.mark.parametrize(("action", "verdict"), [("drop", Verdict.SKIP), ("defer", Verdict.DEFER)])
def test_a_full_cap_drops_or_defers_as_the_journey_says(action: str, verdict: Verdict) -> None:
    cap = {"count": 1, "per": "2d", "action": action}
    plan = journey(step(expires="5d"), step("second", delay="1d", expires="5d"), caps=[cap])
    known = sent(state(*READY), plan, at=MONDAY_NOON + timedelta(minutes=45))
    decision = decided(known, plan, name="second")
    assert (decision.verdict, decision.reason) == (verdict, Reason.CAPPED)
    if verdict is Verdict.DEFER:
        assert decision.next_at == MONDAY_NOON + timedelta(days=2, minutes=45)


def test_a_cap_counts_its_own_channels_only() -> None:
    cap = {"count": 1, "per": "2d", "channels": ["sms"]}
    plan = journey(step(), step("text", **SMS, delay="4h"), caps=[cap])
    known = sent(state(*READY), plan, at=MONDAY_NOON + timedelta(minutes=45))
    assert decided(known, plan, name="text").verdict is Verdict.SEND


def test_ghosts_count_towards_caps_as_if_sent() -> None:
    plan = journey(step(), step("second", delay="1d"), caps=[{"count": 1, "per": "2d"}], holdout={"share": 1})
    first = decided(state(*READY), plan)
    assert (first.verdict, first.reason, first.variant) == (Verdict.GHOST, Reason.HOLDOUT, "holdout")
    assert decided(record(state(*READY), first), plan, name="second").reason is Reason.CAPPED


def test_only_another_sequence_begins_a_cool_down() -> None:
    plan = journey(step(), step("second", delay="1d"), cool_down={"span": "7d"})
    known = state(*READY, order("o-2", ("spf",), MONDAY_NOON + timedelta(minutes=10)))
    known = sent(known, plan, at=MONDAY_NOON + timedelta(minutes=45))
    assert decided(known, plan, name="second").verdict is Verdict.SEND
    other = decided(known, plan, order_id="o-2")
    assert (other.verdict, other.reason) == (Verdict.SKIP, Reason.COOL_DOWN)


def test_the_longest_wait_decides_how_long_a_step_is_deferred() -> None:
    terms = {
        "cool_down": {"span": "3d", "action": "defer"},
        "caps": [{"count": 1, "per": "2d", "action": "defer"}],
    }
    plan = journey(step(expires="9d"), **terms)
    known = state(*READY, order("o-2", ("spf",), MONDAY_NOON + timedelta(minutes=10)))
    known = sent(known, plan, at=MONDAY_NOON + timedelta(minutes=45))
    other = decided(known, plan, order_id="o-2")
    assert (other.verdict, other.reason) == (Verdict.DEFER, Reason.COOL_DOWN)
    assert other.next_at == MONDAY_NOON + timedelta(days=3, minutes=45)


def test_texts_wait_for_the_morning_and_mails_do_not() -> None:
    plan = journey(step(delay="10h"), step("text", **SMS, delay="10h"))
    assert decided(state(*READY), plan).verdict is Verdict.SEND
    text = decided(state(*READY), plan, name="text")
    assert (text.verdict, text.reason) == (Verdict.DEFER, Reason.QUIET_HOURS)
    assert text.next_at == datetime(2026, 3, 3, 14, 0, tzinfo=UTC)


@pytest.mark.parametrize(("action", "verdict"), [("drop", Verdict.SKIP), ("defer", Verdict.DEFER)])
def test_a_journey_may_keep_its_own_quiet_hours(action: str, verdict: Verdict) -> None:
    quiet = {"email": {"starts": "11:00", "ends": "14:00", "action": action}}
    decision = decided(state(*READY), journey(quiet_hours=quiet))
    assert (decision.verdict, decision.reason) == (verdict, Reason.QUIET_HOURS)
    if verdict is Verdict.DEFER:
        assert decision.next_at == datetime(2026, 3, 2, 19, 0, tzinfo=UTC)


def test_quiet_hours_over_midnight_end_in_the_morning() -> None:
    quiet = {"email": {"starts": "21:00", "ends": "08:00"}}
    plan = journey(step(delay="10h"), quiet_hours=quiet)
    assert decided(state(*READY), plan).next_at == datetime(2026, 3, 3, 13, 0, tzinfo=UTC)
