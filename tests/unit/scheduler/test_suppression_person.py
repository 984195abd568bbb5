"""What a person said or left unsaid: disputes, answers, silence; and who may be handed over all the same."""

from datetime import datetime, timedelta
from typing import Any

import pytest

from services.scheduler.domain import CustomerState, Journey, apply
from shared.events import Channel, EngagementKind, OrderStatus, Outcome, Reason, Verdict
from tests.support.deciding import (
    MONDAY_NOON,
    decided,
    engagement,
    journey,
    objections,
    only,
    order,
    profile,
    rule,
    sent,
    sent_back,
    state,
    step,
)

DAY = timedelta(days=1)
READY = (profile(), order())


def test_a_dispute_of_any_order_ends_all_offers() -> None:
    earlier = order("o-0", ("mask",), MONDAY_NOON - 40 * DAY, status=OrderStatus.DISPUTED, version=2)
    decision = decided(state(*READY, earlier), journey())
    assert objections(decision) == [Reason.COMPLAINT]
    assert rule(decision, Reason.COMPLAINT).inputs == {"complained_at": None, "disputed": ["o-0"]}


ASKING = journey(
    step("taste", delay="1h", offer=None, asks=["dry", "oily"]),
    step("check", delay="2h", offer=None, asks=["happy", "unhappy"]),
    step("pair", delay="1d"),
)


def answered(known: CustomerState, name: str, word: str, at: datetime) -> CustomerState:
    asked = str(only(known, ASKING, name).message_id)
    return apply(known, engagement(EngagementKind.ANSWERED, at, answer=word, message_id=asked))


@pytest.mark.parametrize(
    ("answers", "reason"),
    [
        ([("check", "unhappy")], Reason.UNHAPPY),
        ([("check", "unhappy"), ("taste", "dry")], Reason.UNHAPPY),  # another question takes nothing back
        ([("taste", "unhappy"), ("check", "happy")], None),
        ([("check", "happy"), ("taste", "unhappy")], Reason.UNHAPPY),
        ([("taste", "dry")], None),
    ],
)
def test_unhappy_on_any_step_holds_until_a_later_happy(
    answers: list[tuple[str, str]], reason: Reason | None
) -> None:
    known = state(*READY)
    for hour, (name, word) in enumerate(answers, start=3):
        known = answered(known, name, word, MONDAY_NOON + timedelta(hours=hour))
    assert decided(known, ASKING).reason is reason


def test_of_answers_at_one_moment_unhappy_counts() -> None:
    at = MONDAY_NOON + timedelta(hours=3)
    known = answered(answered(state(*READY), "check", "unhappy", at), "taste", "happy", at)
    decision = decided(known, ASKING)
    assert rule(decision, Reason.UNHAPPY).inputs == {"answered_at": at.isoformat()}


DEAF = {"last": 3, "patience": "2d"}


def weekly(**ignored: Any) -> Journey:  # noqa: ANN401  any field
    """Return an e-mail a week for eight weeks, and a text; for who ignores three of them it is over."""
    return journey(
        *(step(f"week-{number}", delay=f"{7 * number}d", expires="7d") for number in range(1, 9)),
        step("care", delay="50d", offer=None),
        step("page", channel="page", template=None, page={"title": "One more thing"}, delay="0m"),
        step("over", delay="50d", channel="event", template=None, hand_over="win_back", offer=None),
        ignored=DEAF | ignored,
    )


def after_weeks(count: int, known: CustomerState | None = None) -> CustomerState:
    known = known or state(*READY)
    for number in range(1, count + 1):
        known = sent(known, weekly(), name=f"week-{number}", at=MONDAY_NOON + 7 * number * DAY)
    return known


def drew(kind: EngagementKind, number: int, answer: str | None) -> CustomerState:
    """Return the customer after three weeks, who did something with the message of one."""
    known = after_weeks(3)
    key = str(only(known, weekly(), f"week-{number}").message_id)
    at = MONDAY_NOON + 22 * DAY
    return apply(known, engagement(kind, at, message_id=key, answer=answer))


def test_who_ignored_exactly_as_many_as_the_journey_says_is_offered_nothing() -> None:
    assert decided(after_weeks(2), weekly(), name="week-3").verdict is Verdict.SEND
    decision = decided(after_weeks(3), weekly(), name="week-4")
    assert (decision.verdict, decision.reason) == (Verdict.SKIP, Reason.IGNORED)
    assert rule(decision, Reason.IGNORED).inputs == {
        "last": 3,
        "unanswered": 3,
        "since": (MONDAY_NOON + 7 * DAY).isoformat(),
        "sells": True,
    }


@pytest.mark.parametrize(
    ("kind", "answer"),
    [
        (EngagementKind.OPENED, None),
        (EngagementKind.CLICKED, None),
        (EngagementKind.OFFER_ACCEPTED, None),
        (EngagementKind.ANSWERED, "dry"),
    ],
)
@pytest.mark.parametrize("number", [1, 2, 3])
def test_one_sign_of_life_among_the_last_is_enough(
    kind: EngagementKind, answer: str | None, number: int
) -> None:
    assert decided(drew(kind, number, answer), weekly(), name="week-4").verdict is Verdict.SEND


def test_a_delivery_report_is_no_sign_of_life() -> None:
    known = drew(EngagementKind.DELIVERED, 3, None)
    assert decided(known, weekly(), name="week-4").reason is Reason.IGNORED


def test_an_order_since_is_a_sign_of_life() -> None:
    again = order("o-2", ("mask",), MONDAY_NOON + 8 * DAY)
    decision = decided(apply(after_weeks(3), again), weekly(), name="week-4")
    assert rule(decision, Reason.IGNORED).outcome is Outcome.PASS


def test_a_message_counts_as_ignored_only_after_a_while() -> None:
    terms, now = weekly(patience="8d"), MONDAY_NOON + 28 * DAY
    assert decided(after_weeks(3), terms, name="week-4", now=now).verdict is Verdict.SEND
    later = decided(after_weeks(3), terms, name="week-4", now=now + DAY)
    assert later.reason is Reason.IGNORED


def test_ghosts_were_never_there_to_be_ignored() -> None:
    held = journey(
        *(step(f"week-{number}", delay=f"{7 * number}d") for number in range(1, 5)),
        ignored=DEAF,
        holdout={"share": 1},
    )
    known = state(*READY)
    for number in (1, 2, 3):
        known = sent(known, held, name=f"week-{number}", at=MONDAY_NOON + 7 * number * DAY)
    assert decided(known, held, name="week-4").verdict is Verdict.GHOST


def test_who_ignores_offers_may_be_asked_again_after_a_while() -> None:
    decision = decided(after_weeks(3), weekly(action="defer"), name="week-4")
    assert (decision.verdict, decision.next_at) == (Verdict.DEFER, MONDAY_NOON + 30 * DAY)


@pytest.mark.parametrize("name", ["care", "page", "over"])
def test_silence_stops_offers_by_message_alone(name: str) -> None:
    decision = decided(after_weeks(3), weekly(), name=name)
    assert rule(decision, Reason.IGNORED).outcome is Outcome.PASS


HANDED = journey(
    step("win", channel="event", template=None, hand_over="win_back", offer=None),
    step("help", channel="event", template=None, hand_over="support", offer=None),
    step("page", channel="page", template=None, page={"title": "One more thing"}, delay="0m"),
    exit_when=["unhappy", "returned"],
)
MUTE = profile(email=None, phone=None, consent={})
SAD = engagement(EngagementKind.ANSWERED, MONDAY_NOON, answer="unhappy")


@pytest.mark.parametrize("name", ["win", "help", "page"])
def test_pages_and_hand_overs_need_neither_consent_nor_address(name: str) -> None:
    decision = decided(state(MUTE, order()), HANDED, name=name)
    assert decision.verdict is Verdict.SEND
    assert rule(decision, Reason.NO_CONSENT).inputs == {"channel": decision.channel.value}
    assert rule(decision, Reason.NO_ADDRESS).inputs == {"channel": decision.channel.value}


@pytest.mark.parametrize(
    ("happened", "reason"),
    [
        (engagement(EngagementKind.COMPLAINED, channel=Channel.SMS), Reason.COMPLAINT),
        (order("o-0", ("mask",), status=OrderStatus.DISPUTED, version=2), Reason.COMPLAINT),
        (SAD, Reason.UNHAPPY),
        (sent_back(at=MONDAY_NOON), Reason.RETURNED),
        (profile(2, staff=True), Reason.STAFF),
        (order(version=2, status=OrderStatus.CANCELLED), Reason.ORDER_CANCELLED),
    ],
)
@pytest.mark.parametrize("name", ["win", "page"])
def test_whoever_is_angry_or_gone_is_neither_handed_over_nor_shown_an_offer(
    happened: Any,  # noqa: ANN401  any event
    reason: Reason,
    name: str,
) -> None:
    assert decided(state(*READY, happened), HANDED, name=name).reason is reason


def test_support_hears_of_the_unhappy_whatever_else_they_did() -> None:
    angry = (SAD, sent_back(at=MONDAY_NOON), engagement(EngagementKind.COMPLAINED))
    assert decided(state(*READY, *angry), HANDED, name="help").verdict is Verdict.SEND


def test_whom_we_have_won_back_is_not_handed_over() -> None:
    plan = journey(
        step(), step("win", delay="2d", channel="event", template=None, hand_over="win_back", offer=None)
    )
    known = sent(state(*READY), plan, at=MONDAY_NOON + timedelta(minutes=45))
    assert decided(known, plan, name="win").verdict is Verdict.SEND
    again = apply(known, order("o-2", ("mask",), MONDAY_NOON + DAY))
    assert decided(again, plan, name="win").reason is Reason.CONVERTED
