"""The course of a journey: what is late and what then, open returns, exits, stops, and state that may be old."""

from datetime import UTC, datetime, timedelta

import pytest

from services.scheduler.domain import Published, apply, decide, due, record
from shared.events import EngagementKind, OrderStatus, Outcome, Reason, Verdict
from tests.support.deciding import (
    MONDAY_NOON,
    candidates,
    context,
    decided,
    engagement,
    journey,
    objections,
    order,
    profile,
    rule,
    sent,
    sent_back,
    state,
    step,
)

DAY, HOUR = timedelta(days=1), timedelta(hours=1)
READY = (profile(), order())
DUE = MONDAY_NOON + timedelta(minutes=45)  # 12:45 in New York
PATIENT = {"skip_after": "6h", "expires": "3d"}


def test_what_may_be_sent_late_is_sent_until_it_expires() -> None:
    plan = journey(step(**PATIENT, late="send"))
    decision = decided(state(*READY), plan, now=DUE + 2 * DAY)
    assert decision.verdict is Verdict.SEND
    assert rule(decision, Reason.LATE).inputs == {
        "planned_at": DUE.isoformat(),
        "skip_after_s": 21600,
        "expires_at": (DUE + 3 * DAY).isoformat(),
        "waits_until": None,
        "overdue": True,
        "policy": "send",
    }
    assert decided(state(*READY), plan, now=DUE + 3 * DAY).reason is Reason.LATE


@pytest.mark.parametrize(
    ("now", "next_at"),
    [
        (DUE + 7 * HOUR, DUE + DAY),  # the same evening: tomorrow
        (DUE + 20 * HOUR, DUE + DAY),  # the next morning: the same day, when its time comes
        (DUE + DAY, DUE + 2 * DAY),  # to the minute: the time after
        (DUE + DAY + HOUR, DUE + 2 * DAY),
    ],
)
def test_what_is_shifted_waits_for_its_own_local_time_of_day(now: datetime, next_at: datetime) -> None:
    plan = journey(step(**PATIENT, late="shift"))
    decision = decided(state(*READY), plan, now=now)
    assert (decision.verdict, decision.reason, decision.next_at) == (Verdict.DEFER, Reason.LATE, next_at)
    again = decided(record(state(*READY), decision), plan, now=next_at, attempt=2)
    assert again.verdict is Verdict.SEND


def test_a_shift_beyond_the_steps_expiry_is_a_skip() -> None:
    plan = journey(step(skip_after="6h", expires="1d", late="shift"))
    decision = decided(state(*READY), plan, now=DUE + 7 * HOUR)
    assert (decision.verdict, decision.reason) == (Verdict.SKIP, Reason.LATE)


def test_a_shift_that_fits_is_a_skip_where_another_wait_does_not() -> None:
    """A day's shift, and two days of silence after a return, of a step that expires after one and a half."""
    quiet = {"span": "2d", "action": "defer"}
    plan = journey(step(skip_after="6h", expires="36h", late="shift"), after_return=quiet)
    earlier = order("o-0", ("mask", "spf"), MONDAY_NOON - 20 * DAY)
    known = state(*READY, earlier, sent_back("o-0", ("mask",), MONDAY_NOON))
    decision = decided(known, plan, now=DUE + 7 * HOUR)
    assert (decision.verdict, decision.reason) == (Verdict.SKIP, Reason.LATE)
    assert rule(decision, Reason.LATE).inputs["waits_until"] == (MONDAY_NOON + 2 * DAY).isoformat()


def test_what_is_shifted_but_not_late_is_sent_at_once() -> None:
    assert decided(state(*READY), journey(step(**PATIENT, late="shift"))).verdict is Verdict.SEND


def test_a_shift_keeps_the_local_time_when_the_clocks_are_set() -> None:
    placed_at = datetime(2026, 3, 7, 17, tzinfo=UTC)
    plan = journey(step(**PATIENT, late="shift"))
    known = state(profile(), order(at=placed_at))
    decision = decided(known, plan, now=placed_at + 10 * HOUR)
    assert decision.next_at == datetime(2026, 3, 8, 16, 45, tzinfo=UTC)


def test_a_shift_goes_to_the_steps_own_hour() -> None:
    plan = journey(step(**PATIENT, at="18:00", late="shift"))
    decision = decided(state(*READY), plan, now=MONDAY_NOON + 13 * HOUR)
    assert decision.next_at == MONDAY_NOON + 30 * HOUR


def test_a_step_says_what_becomes_of_it_when_it_is_late_or_else_its_journey_does() -> None:
    late = DUE + 7 * HOUR
    plan = journey(step(**PATIENT), step("other", **PATIENT, late="skip"), late="send")
    assert decided(state(*READY), plan, now=late).verdict is Verdict.SEND
    assert decided(state(*READY), plan, name="other", now=late).verdict is Verdict.SKIP


@pytest.mark.parametrize(
    ("days", "status", "verdict"),
    [
        (59, "requested", Verdict.SKIP),
        (60, "requested", Verdict.SEND),  # nobody has told us what became of it
        (20, "received", Verdict.SEND),
        (20, "rejected", Verdict.SEND),
    ],
)
def test_a_return_that_is_still_open_silences_on(days: int, status: str, verdict: Verdict) -> None:
    earlier = order("o-0", ("mask", "spf"), MONDAY_NOON - 70 * DAY)
    back = sent_back("o-0", ("mask",), MONDAY_NOON - days * DAY, status=status)
    decision = decided(state(*READY, earlier, back), journey())
    assert decision.verdict is verdict
    assert rule(decision, Reason.RETURNED).inputs["open"] == (1 if status == "requested" else 0)


def test_an_open_return_is_asked_after_again() -> None:
    plan = journey(step(expires="20d"), after_return={"span": "2d", "action": "defer"})
    earlier = order("o-0", ("mask", "spf"), MONDAY_NOON - 70 * DAY)
    back = sent_back("o-0", ("mask",), MONDAY_NOON - 20 * DAY, status="requested")
    assert decided(state(*READY, earlier, back), plan).next_at == DUE + 2 * DAY


def test_a_journey_that_minds_no_returns_minds_no_open_ones() -> None:
    plan = journey(after_return={"span": "0m"})
    earlier = order("o-0", ("mask", "spf"), MONDAY_NOON - 70 * DAY)
    back = sent_back("o-0", ("mask",), MONDAY_NOON - DAY, status="requested")
    assert decided(state(*READY, earlier, back), plan).verdict is Verdict.SEND


def test_a_stopped_journey_sends_nothing_and_says_who_stopped_it() -> None:
    decision = decided(state(*READY), journey(), stopped="ada: wrong discount")
    assert (decision.verdict, decision.reason) == (Verdict.SKIP, Reason.JOURNEY_STOPPED)
    assert rule(decision, Reason.JOURNEY_STOPPED).inputs == {
        "stopped": "ada: wrong discount",
        "drained": False,
    }


def test_a_drained_version_sends_nothing() -> None:
    plan, known = journey(), state(*READY)
    published = Published.of([plan])
    drained = Published(tuple(type(each)(each.journey, drained=True) for each in published.editions))
    occurrence = next(iter(due(known, drained).values()))
    decision = decide(known, occurrence, plan, candidates("toner"), context(), occurrence.due_at)
    assert objections(decision) == [Reason.JOURNEY_STOPPED]


def test_nothing_is_decided_for_on_state_that_may_be_old() -> None:
    decision = decided(state(*READY), journey(), fresh=False)
    assert (decision.verdict, decision.reason) == (Verdict.SKIP, Reason.STALE_STATE)


def test_a_disputed_order_does_not_stand() -> None:
    known = state(*READY, order(version=2, status=OrderStatus.DISPUTED))
    assert objections(decided(known, journey())) == [Reason.ORDER_CANCELLED, Reason.COMPLAINT]


def test_a_journey_is_over_when_one_of_its_exits_holds() -> None:
    plan = journey(step(), step("check", delay="1d", offer=None), exit_when=["goal", "unhappy"])
    known = sent(state(*READY), plan, at=DUE)
    assert decided(known, plan, name="check").verdict is Verdict.SEND
    again = apply(known, order("o-2", ("mask",), DUE + HOUR))
    decision = decided(again, plan, name="check")
    assert (decision.verdict, decision.reason) == (Verdict.SKIP, Reason.EXITED)
    assert rule(decision, Reason.EXITED).inputs == {"exit": "goal", "exits": ["goal", "unhappy"]}
    sad = apply(known, engagement(EngagementKind.ANSWERED, DUE + HOUR, answer="unhappy"))
    assert rule(decided(sad, plan, name="check"), Reason.EXITED).inputs["exit"] == "unhappy"


def test_without_exits_nothing_ends_a_journey_early() -> None:
    passed = rule(decided(state(*READY), journey()), Reason.EXITED)
    assert (passed.outcome, passed.inputs) == (Outcome.PASS, {"exit": None, "exits": []})


def test_of_several_returns_the_latest_silences() -> None:
    earlier = order("o-0", ("mask", "spf"), MONDAY_NOON - 70 * DAY)
    long_ago = sent_back("o-0", ("mask",), MONDAY_NOON - 40 * DAY)
    lately = sent_back("o-0", ("spf",), MONDAY_NOON - DAY)
    decision = decided(state(*READY, earlier, long_ago, lately), journey())
    assert decision.reason is Reason.RETURNED
    assert rule(decision, Reason.RETURNED).inputs == {
        "order_id": "o-1",
        "whole_order": False,
        "last_return_at": (MONDAY_NOON - DAY).isoformat(),
        "days": 14,
        "open": 0,
    }


def test_without_returns_little_is_looked_at() -> None:
    passed = rule(decided(state(*READY), journey()), Reason.RETURNED)
    assert (passed.outcome, passed.inputs) == (Outcome.PASS, {"order_id": "o-1", "whole_order": False})


def test_an_order_between_two_of_our_messages_is_a_conversion() -> None:
    plan = journey(step(), step("second", delay="1d"), step("third", delay="2d"))
    known = sent(sent(state(*READY), plan, at=DUE), plan, name="second", at=MONDAY_NOON + DAY)
    for number, hours in ((2, 2), (3, 3)):
        known = apply(known, order(f"o-{number}", ("spf",), MONDAY_NOON + hours * HOUR))
    decision = decided(known, plan, name="third")
    assert decision.reason is Reason.CONVERTED
    assert rule(decision, Reason.CONVERTED).inputs == {
        "sells": True,
        "first_message_at": DUE.isoformat(),
        "order_id": "o-2",
    }


def test_of_several_open_returns_the_latest_counts() -> None:
    earlier = order("o-0", ("mask", "spf"), MONDAY_NOON - 70 * DAY)
    old = sent_back("o-0", ("mask",), MONDAY_NOON - 61 * DAY, status="requested")
    new = sent_back("o-0", ("spf",), MONDAY_NOON - 20 * DAY, status="requested")
    assert decided(state(*READY, earlier, old, new), journey()).reason is Reason.RETURNED


def test_an_order_at_the_moment_of_a_message_is_not_because_of_it() -> None:
    plan = journey(step(), step("second", delay="1d"))
    known = sent(state(*READY), plan, at=DUE)
    for at, verdict in ((DUE, Verdict.SEND), (DUE + timedelta(seconds=1), Verdict.SKIP)):
        again = apply(known, order("o-2", ("spf",), at))
        assert decided(again, plan, name="second").verdict is verdict


def test_what_another_enrolment_wrote_has_won_nobody_over_in_this_one() -> None:
    plan = journey(step(), step("second", delay="1d"))
    other = journey(step("other"), id="other")
    known = apply(sent(state(*READY), other, name="other", at=DUE), order("o-2", ("spf",), DUE + HOUR))
    assert rule(decided(known, plan, name="second"), Reason.CONVERTED).outcome is Outcome.PASS
