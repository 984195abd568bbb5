"""Local hours: on both nights on which clocks are set, where the zone is unsure, and while a provider takes its time."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from shared.events import Decision, Outcome, Reason, RuleOutcome, Verdict
from tests.support.deciding import (
    decided,
    journey,
    law,
    order,
    profile,
    programme,
    rule,
    state,
    step,
)

SMS = {"channel": "sms"}
LONG = {"skip_after": "40d", "expires": "40d"}
NIGHT = {"email": {"starts": "21:00", "ends": "08:00"}}
READY = (profile(), order())


def at(month: int, day: int, hour: int, minute: int = 0) -> datetime:
    return datetime(2026, month, day, hour, minute, tzinfo=UTC)


def mailed(now: datetime, quiet: dict[str, Any], placed_at: datetime, **known: Any) -> Decision:  # noqa: ANN401  any field
    customer = state(profile(**known), order(at=placed_at))
    return decided(customer, journey(step(**LONG), quiet_hours={"email": quiet}), now=now)


def said(decision: Decision) -> RuleOutcome:
    return rule(decision, Reason.QUIET_HOURS)


@pytest.mark.parametrize(
    ("now", "opens_at"),
    [
        (at(3, 8, 3), at(3, 8, 12)),  # the night of 7 March has no half past two: an hour less of sleep
        (at(11, 1, 2), at(11, 1, 13)),  # the night of 31 October has two of them
    ],
)
def test_quiet_hours_end_at_the_local_hour_on_both_nights_on_which_clocks_are_set(
    now: datetime, opens_at: datetime
) -> None:
    quiet = {"starts": "21:00", "ends": "08:00"}
    decision = mailed(now, quiet, now - timedelta(days=1))
    assert (decision.verdict, decision.next_at) == (Verdict.DEFER, opens_at)


def test_of_a_local_time_that_comes_twice_the_later_ends_quiet_hours() -> None:
    quiet = {"starts": "22:00", "ends": "01:30"}
    assert mailed(at(11, 1, 5, 45), quiet, at(10, 31, 12)).next_at == at(11, 1, 6, 30)


def test_of_a_local_time_that_never_comes_the_earlier_reading_begins_quiet_hours() -> None:
    quiet = {"starts": "02:30", "ends": "08:00"}
    assert mailed(at(3, 8, 6, 29), quiet, at(3, 7, 12)).verdict is Verdict.SEND
    assert mailed(at(3, 8, 6, 31), quiet, at(3, 7, 12)).next_at == at(3, 8, 12)


def test_where_the_zone_is_unsure_it_must_be_day_in_every_candidate() -> None:
    somewhere = {"time_zone": None, "region": "TN"}
    quiet, placed_at = {"starts": "21:00", "ends": "08:00"}, at(3, 1, 12)
    late = mailed(at(3, 3, 2, 30), quiet, placed_at, **somewhere)
    assert said(late).inputs["zones"] == ["America/Chicago", "America/New_York"]
    assert late.next_at == at(3, 3, 14)
    assert mailed(at(3, 3, 1, 30), quiet, placed_at, **somewhere).verdict is Verdict.SEND
    sure = mailed(at(3, 3, 2, 30), quiet, placed_at, time_zone="America/Chicago", region="TN")
    assert sure.verdict is Verdict.SEND


def test_a_zone_that_is_none_of_the_address_counts_beside_those_of_the_address() -> None:
    away = {"time_zone": "America/New_York", "region": "CA"}
    quiet = {"starts": "21:00", "ends": "08:00"}
    assert mailed(at(3, 2, 14), quiet, at(3, 1, 12), **away).next_at == at(3, 2, 16)


def test_of_whom_nothing_is_known_the_journeys_zone_is_thought() -> None:
    nobody = {"time_zone": None, "country": None, "region": None}
    decision = mailed(at(3, 2, 12), {"starts": "21:00", "ends": "08:00"}, at(3, 1, 12), **nobody)
    assert decision.next_at == at(3, 2, 13)


@pytest.mark.parametrize(("now", "opens_at"), [(at(3, 2, 9), at(3, 2, 16)), (at(3, 2, 20), at(3, 3, 16))])
def test_a_text_to_an_unknown_place_must_suit_the_shops_own_zone_too(
    now: datetime, opens_at: datetime
) -> None:
    """Late morning in the East, and not yet evening in Paris, are three hours: 16:00 to 19:00 UTC."""
    nobody = profile(time_zone=None, country=None, region=None)
    plan = journey(step(**SMS, **LONG), time_zone="Europe/Paris")
    decision = decided(state(nobody, order(at=at(3, 1, 12))), plan, now=now)
    assert (decision.verdict, decision.next_at) == (Verdict.DEFER, opens_at)


def test_a_text_must_be_out_before_the_hours_close() -> None:
    """New York's hours close at 20:00, which is 01:00 UTC; by default a provider may take five minutes."""
    in_time, too_close = at(3, 3, 0, 54), at(3, 3, 0, 55)
    plan = journey(step(**SMS, **LONG))
    assert decided(state(*READY), plan, now=in_time).verdict is Verdict.SEND
    waits = decided(state(*READY), plan, now=too_close)
    assert (waits.verdict, waits.reason, waits.next_at) == (
        Verdict.DEFER,
        Reason.QUIET_HOURS,
        at(3, 3, 14),
    )
    assert said(waits).inputs == {
        "places": [["US", "NY"]],
        "zones": ["America/New_York"],
        "law": law().version,
        "own": None,
        "queueing_s": 300,
        "opens_at": at(3, 3, 14).isoformat(),
        "closes_at": at(3, 4, 1).isoformat(),
    }
    prompt = programme(queueing={})
    assert decided(state(*READY), plan, now=too_close, programme=prompt).verdict is Verdict.SEND


def test_a_mail_must_be_out_before_the_journeys_quiet_hours_begin() -> None:
    plan = journey(step(**LONG), quiet_hours=NIGHT)
    slow = programme(queueing={"email": "30m"})
    before, close = at(3, 3, 1, 29), at(3, 3, 1, 30)
    assert decided(state(*READY), plan, now=before, programme=slow).verdict is Verdict.SEND
    waits = decided(state(*READY), plan, now=close, programme=slow)
    assert waits.next_at == at(3, 3, 13)
    assert (said(waits).inputs["law"], said(waits).inputs["own"]) == (None, "21:00-08:00")


def test_hours_too_short_for_the_provider_permit_nothing() -> None:
    plan = journey(step(**LONG), quiet_hours={"email": {"starts": "12:30", "ends": "12:00"}})
    slow = programme(queueing={"email": "45m"})
    decision = decided(state(*READY), plan, programme=slow)
    assert (decision.verdict, decision.reason) == (Verdict.SKIP, Reason.QUIET_HOURS)
    assert said(decision).inputs["opens_at"] is None


def test_the_laws_hours_may_be_waited_for_even_where_the_journeys_own_drop() -> None:
    own = {"sms": {"starts": "22:00", "ends": "06:00", "action": "drop"}}
    plan = journey(step(**SMS, **LONG), quiet_hours=own)
    after_law, in_both = at(3, 3, 2), at(3, 3, 4)
    assert decided(state(*READY), plan, now=after_law).verdict is Verdict.DEFER
    assert decided(state(*READY), plan, now=in_both).verdict is Verdict.SKIP


def test_equal_start_and_end_are_no_quiet_hours() -> None:
    plan = journey(step(**LONG), quiet_hours={"email": {"starts": "12:00", "ends": "12:00"}})
    assert decided(state(*READY), plan).verdict is Verdict.SEND


def test_pages_and_hand_overs_disturb_nobody() -> None:
    quiet = {channel: {"starts": "00:00", "ends": "23:59"} for channel in ("page", "event")}
    page = step("page", channel="page", template=None, page={"title": "One more thing"}, delay="0m")
    over = step("over", channel="event", template=None, hand_over="win_back", offer=None)
    plan = journey(page, over, quiet_hours=quiet)
    for name in ("page", "over"):
        assert said(decided(state(*READY), plan, name=name)).outcome is Outcome.PASS


def blackout(**fields: Any) -> dict[str, Any]:  # noqa: ANN401  any field
    return {"blackouts": [{"name": "stocktaking", "first": "2026-03-02", "last": "2026-03-03"} | fields]}


def test_a_blackout_lasts_until_its_last_midnight_in_the_recipients_zone() -> None:
    plan = journey(step(**LONG))
    waits = decided(state(*READY), plan, programme=programme(**blackout()))
    assert (waits.verdict, waits.reason, waits.next_at) == (Verdict.DEFER, Reason.BLACKOUT, at(3, 4, 5))
    assert rule(waits, Reason.BLACKOUT).inputs == {"met": ["stocktaking"]}
    for now, verdict in ((at(3, 4, 4, 59), Verdict.DEFER), (at(3, 4, 5), Verdict.SEND)):
        assert decided(state(*READY), plan, now=now, programme=programme(**blackout())).verdict is verdict


@pytest.mark.parametrize(("zone", "verdict"), [("Asia/Tokyo", Verdict.DEFER), (None, Verdict.SEND)])
def test_a_blackout_begins_at_midnight_where_the_recipient_is(zone: str | None, verdict: Verdict) -> None:
    """It is 15:30 UTC on 1 March: half past midnight of the second in Tokyo, and still the first in New York."""
    where: dict[str, Any] = {"country": "JP", "region": None, "time_zone": zone} if zone else {}
    known = state(profile(**where), order(at=at(3, 1, 12)))
    decision = decided(known, journey(step(**LONG)), now=at(3, 1, 15, 30), programme=programme(**blackout()))
    assert decision.verdict is verdict


def test_where_the_zone_is_unsure_a_blackout_lasts_as_long_as_anywhere() -> None:
    somewhere = profile(time_zone=None, region="TN")
    decision = decided(state(somewhere, order()), journey(step(**LONG)), programme=programme(**blackout()))
    assert decision.next_at == at(3, 4, 6)


def test_a_blackout_may_drop_and_names_its_channels() -> None:
    plan = journey(step(), step("text", **SMS))
    silent = programme(**blackout(action="drop", channels=["sms"]))
    assert decided(state(*READY), plan, programme=silent).verdict is Verdict.SEND
    dropped = decided(state(*READY), plan, name="text", programme=silent)
    assert (dropped.verdict, dropped.reason) == (Verdict.SKIP, Reason.BLACKOUT)


def test_of_two_blackouts_the_longer_wait_counts() -> None:
    both = [
        {"name": "short", "first": "2026-03-02", "last": "2026-03-02"},
        {"name": "long", "first": "2026-03-01", "last": "2026-03-05"},
    ]
    decision = decided(state(*READY), journey(step(**LONG)), programme=programme(blackouts=both))
    assert decision.next_at == at(3, 6, 5)
    assert rule(decision, Reason.BLACKOUT).inputs == {"met": ["short", "long"]}
