"""How often: caps and cool-downs, and the waits that they lead to."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from services.scheduler.domain import record
from shared.events import Outcome, Reason, Verdict
from tests.support.deciding import (
    MONDAY_NOON,
    decided,
    journey,
    order,
    profile,
    programme,
    rule,
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


SHOP_CAP = {"count": 1, "per": "2d"}


def test_a_shops_cap_counts_across_journeys() -> None:
    """The worked case: a thank-you mail of one journey, and another journey's an hour later."""
    first, other = journey(step()), journey(step("other", delay="2h"), id="other")
    known = sent(state(*READY), first, at=MONDAY_NOON + timedelta(minutes=45))
    assert decided(known, other, name="other").verdict is Verdict.SEND
    capped = decided(known, other, name="other", programme=programme(caps=[SHOP_CAP]))
    assert (capped.verdict, capped.reason) == (Verdict.SKIP, Reason.CAPPED)


@pytest.mark.parametrize(
    ("journeys", "verdict"),
    [
        (["routine", "other"], Verdict.SKIP),
        (["other"], Verdict.SEND),  # what the first journey sent does not count
        (["routine"], Verdict.SEND),  # the cap is not for the second
    ],
)
def test_a_cap_counts_and_stops_the_journeys_that_it_names(journeys: list[str], verdict: Verdict) -> None:
    first, other = journey(step()), journey(step("other", delay="2h"), id="other")
    known = sent(state(*READY), first, at=MONDAY_NOON + timedelta(minutes=45))
    terms = programme(caps=[SHOP_CAP | {"journeys": journeys}])
    assert decided(known, other, name="other", programme=terms).verdict is verdict


def test_a_cap_shows_what_it_counted() -> None:
    plan = journey(step(), step("second", delay="1d"), caps=[{"count": 3, "per": "7d"}])
    known = sent(state(*READY), plan, at=MONDAY_NOON + timedelta(minutes=45))
    decision = decided(known, plan, name="second", programme=programme(caps=[SHOP_CAP]))
    assert rule(decision, Reason.CAPPED).inputs == {
        "caps": [
            {"count": 3, "per_s": 604800, "journeys": [], "sent": 1},
            {"count": 1, "per_s": 172800, "journeys": [], "sent": 1},
        ]
    }


def test_a_window_is_over_when_its_span_has_passed() -> None:
    patient = step("second", delay="1d", skip_after="9d", expires="9d")
    plan = journey(step(), patient, caps=[SHOP_CAP])
    known = sent(state(*READY), plan, at=MONDAY_NOON + timedelta(minutes=45))
    ends_at = MONDAY_NOON + timedelta(days=2, minutes=45)
    for now, verdict in ((ends_at - timedelta(seconds=1), Verdict.SKIP), (ends_at, Verdict.SEND)):
        assert decided(known, plan, name="second", now=now).verdict is verdict


def test_of_several_full_caps_one_that_drops_decides() -> None:
    caps = [SHOP_CAP | {"action": "defer"}, {"count": 1, "per": "1d"}]
    plan = journey(step(), step("second", delay="2h"), caps=caps)
    known = sent(state(*READY), plan, at=MONDAY_NOON + timedelta(minutes=45))
    assert decided(known, plan, name="second").verdict is Verdict.SKIP


def page(name: str = "page", **changes: Any) -> dict[str, Any]:  # noqa: ANN401  any field
    return step(name, channel="page", template=None, page={"title": "One more thing"}, delay="0m") | changes


def test_pages_count_only_towards_caps_that_name_them() -> None:
    plan = journey(page(), step())
    known = sent(state(*READY), plan, name="page", at=MONDAY_NOON)
    assert decided(known, plan, programme=programme(caps=[SHOP_CAP])).verdict is Verdict.SEND
    named = programme(caps=[SHOP_CAP | {"channels": ["page", "email"]}])
    assert decided(known, plan, programme=named).reason is Reason.CAPPED
    mailed = sent(state(*READY), plan, at=MONDAY_NOON + timedelta(minutes=45))
    assert decided(mailed, plan, name="page", programme=named).reason is Reason.CAPPED
    assert decided(mailed, plan, name="page", programme=programme(caps=[SHOP_CAP])).verdict is Verdict.SEND


def test_pages_and_hand_overs_neither_begin_a_cool_down_nor_heed_one() -> None:
    over = step("over", channel="event", template=None, hand_over="win_back", offer=None)
    plan = journey(page(), over, step(), cool_down={"span": "7d"})
    both = state(*READY, order("o-2", ("spf",), MONDAY_NOON + timedelta(minutes=10)))
    shown = sent(both, plan, name="page", at=MONDAY_NOON)
    shown = sent(shown, plan, name="over", at=MONDAY_NOON + timedelta(minutes=45))
    assert decided(shown, plan, order_id="o-2").verdict is Verdict.SEND
    mailed = sent(both, plan, at=MONDAY_NOON + timedelta(minutes=45))
    for name in ("page", "over"):
        later = decided(mailed, plan, name=name, order_id="o-2", now=MONDAY_NOON + timedelta(hours=1))
        assert rule(later, Reason.COOL_DOWN).outcome is Outcome.PASS
    assert decided(mailed, plan, order_id="o-2").reason is Reason.COOL_DOWN


def test_in_florida_the_law_lets_a_fourth_text_wait_for_a_day() -> None:
    texts = [step(f"text-{hour}", **SMS, delay=f"{hour}h", expires="3d") for hour in range(4)]
    plan = journey(*texts)
    for region, verdict in (("FL", Verdict.DEFER), ("NY", Verdict.SEND)):
        known = state(profile(region=region), order())
        for hour in range(3):
            known = sent(known, plan, name=f"text-{hour}", at=MONDAY_NOON + timedelta(hours=hour))
        decision = decided(known, plan, name="text-3")
        assert decision.verdict is verdict
        assert decision.next_at == (MONDAY_NOON + DAY if region == "FL" else None)


def test_of_two_full_caps_the_longer_wait_counts() -> None:
    caps = [{"count": 1, "per": f"{days}d", "action": "defer"} for days in (3, 2)]
    plan = journey(step(), step("second", delay="1d", expires="9d"), caps=caps)
    known = sent(state(*READY), plan, at=MONDAY_NOON + timedelta(minutes=45))
    assert decided(known, plan, name="second").next_at == MONDAY_NOON + timedelta(days=3, minutes=45)


def test_a_cool_down_is_over_when_its_span_has_passed() -> None:
    late = {"skip_after": "9d", "expires": "9d"}
    plan = journey(step(**late), cool_down={"span": "2d"})
    known = state(*READY, order("o-2", ("spf",), MONDAY_NOON + timedelta(minutes=10)))
    known = sent(known, plan, at=MONDAY_NOON + timedelta(minutes=45))
    ends_at = MONDAY_NOON + timedelta(days=2, minutes=45)
    for now, verdict in ((ends_at - timedelta(seconds=1), Verdict.SKIP), (ends_at, Verdict.SEND)):
        assert decided(known, plan, order_id="o-2", now=now).verdict is verdict
