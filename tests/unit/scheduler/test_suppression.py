"""Each rule, alone: what it forbids, what it lets pass, and what it writes down."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from msgspec.structs import replace

from services.scheduler.domain import record
from shared.events import Channel, EngagementKind, OrderStatus, Outcome, Reason, Verdict
from tests.support.deciding import (
    MONDAY_NOON,
    candidates,
    catalogue,
    decided,
    delivered,
    engagement,
    journey,
    objections,
    order,
    product,
    profile,
    rule,
    sent,
    sent_back,
    state,
    step,
)

SMS = {"channel": "sms"}
DAY = timedelta(days=1)
READY = (profile(), order())


def test_a_step_to_which_nothing_objects_is_sent_with_every_rule_on_record() -> None:
    decision = decided(state(*READY), journey())
    assert decision.verdict is Verdict.SEND
    assert decision.reason is None
    assert {each.rule for each in decision.rules} == set(Reason)
    assert {each.outcome for each in decision.rules} == {Outcome.PASS}
    assert (
        [each.product_id for each in decision.offer.products] == ["toner", "serum"]
        if decision.offer
        else False
    )


def test_every_rule_is_asked_even_after_one_has_said_no() -> None:
    known = state(profile(staff=True, email=None), order(status=OrderStatus.CANCELLED, version=2))
    decision = decided(known, journey(), now=MONDAY_NOON + 9 * DAY)
    assert decision.reason is Reason.LATE
    assert objections(decision) == [Reason.LATE, Reason.ORDER_CANCELLED, Reason.STAFF, Reason.NO_ADDRESS]


def test_a_step_decided_long_after_its_time_is_late() -> None:
    plan = journey(step(skip_after="6h", expires="1d"))
    on_time = decided(state(*READY), plan, now=MONDAY_NOON + timedelta(hours=6, minutes=45))
    late = decided(state(*READY), plan, now=MONDAY_NOON + timedelta(hours=6, minutes=46))
    assert (on_time.verdict, late.verdict, late.reason) == (Verdict.SEND, Verdict.SKIP, Reason.LATE)


def test_lateness_is_measured_from_the_end_of_a_defer_not_from_the_due_time() -> None:
    plan = journey(step(**SMS, delay="10h", skip_after="2h", expires="2d"))
    first = decided(state(*READY), plan)
    assert (first.verdict, first.reason) == (Verdict.DEFER, Reason.QUIET_HOURS)
    waited = record(state(*READY), first)
    assert first.next_at == datetime(2026, 3, 3, 14, 0, tzinfo=UTC)
    assert decided(waited, plan, now=first.next_at, attempt=2).verdict is Verdict.SEND


def test_a_wait_beyond_the_steps_expiry_is_a_skip() -> None:
    plan = journey(step(**SMS, delay="10h", skip_after="2h", expires="6h"))
    decision = decided(state(*READY), plan)
    assert (decision.verdict, decision.reason) == (Verdict.SKIP, Reason.LATE)
    assert rule(decision, Reason.QUIET_HOURS).outcome is Outcome.DEFER


@pytest.mark.parametrize("status", [OrderStatus.CANCELLED, OrderStatus.VOIDED])
def test_a_cancelled_or_voided_order_leads_to_no_offer(status: OrderStatus) -> None:
    decision = decided(state(*READY, order(version=2, status=status)), journey())
    assert (decision.verdict, decision.reason) == (Verdict.SKIP, Reason.ORDER_CANCELLED)
    assert rule(decision, Reason.ORDER_CANCELLED).inputs["status"] == status


def test_a_full_return_drops_however_long_ago_it_was() -> None:
    plan = journey(step(after="delivery", delay="60d"))
    known = state(*READY, delivered(), sent_back())
    assert decided(known, plan).reason is Reason.RETURNED


@pytest.mark.parametrize(("days", "verdict"), [(13, Verdict.SKIP), (15, Verdict.SEND)])
def test_a_partial_return_of_any_order_silences_for_a_while(days: int, verdict: Verdict) -> None:
    earlier = order("o-0", ("mask", "spf"), MONDAY_NOON - 20 * DAY)
    back = sent_back("o-0", ("mask",), MONDAY_NOON - days * DAY)
    assert decided(state(*READY, earlier, back), journey(), proposed=candidates("toner")).verdict is verdict


def test_after_a_return_may_defer_instead() -> None:
    plan = journey(step(expires="20d"), after_return={"span": "2d", "action": "defer"})
    earlier = order("o-0", ("mask", "spf"), MONDAY_NOON - 20 * DAY)
    decision = decided(state(*READY, earlier, sent_back("o-0", ("mask",), MONDAY_NOON)), plan)
    assert (decision.verdict, decision.next_at) == (Verdict.DEFER, MONDAY_NOON + 2 * DAY)


def test_a_rejected_return_is_as_if_it_had_never_been() -> None:
    back = sent_back(at=MONDAY_NOON, status="rejected")
    assert decided(state(*READY, back), journey()).verdict is Verdict.SEND


def test_an_unhappy_customer_is_sold_nothing_until_they_are_happy_again() -> None:
    sad = engagement(EngagementKind.ANSWERED, MONDAY_NOON, answer="unhappy")
    glad = engagement(EngagementKind.ANSWERED, MONDAY_NOON + timedelta(minutes=1), answer="happy")
    assert decided(state(*READY, sad), journey()).reason is Reason.UNHAPPY
    assert decided(state(*READY, glad, sad), journey()).verdict is Verdict.SEND


def test_a_complaint_on_one_channel_silences_all() -> None:
    angry = engagement(EngagementKind.COMPLAINED, channel=Channel.SMS)
    assert decided(state(*READY, angry), journey()).reason is Reason.COMPLAINT


def test_staff_are_not_sold_to() -> None:
    assert decided(state(profile(staff=True), order()), journey()).reason is Reason.STAFF


@pytest.mark.parametrize("consent", [{}, {"email": {"granted": False, "changed_at": MONDAY_NOON}}])
def test_without_a_yes_on_the_channel_nothing_is_sent(consent: dict[str, Any]) -> None:
    assert decided(state(profile(consent=consent), order()), journey()).reason is Reason.NO_CONSENT


def test_an_unknown_customer_is_not_written_to() -> None:
    decision = decided(state(order()), journey())
    assert decision.reason is Reason.NO_CONSENT
    assert rule(decision, Reason.NO_ADDRESS).outcome is Outcome.DROP


def test_an_unsubscription_outlasts_the_profile_until_a_newer_yes() -> None:
    left = engagement(EngagementKind.UNSUBSCRIBED, MONDAY_NOON)
    again = {"email": {"granted": True, "changed_at": MONDAY_NOON + timedelta(minutes=1)}}
    assert decided(state(*READY, left), journey()).reason is Reason.NO_CONSENT
    assert decided(state(*READY, left, profile(2, consent=again)), journey()).verdict is Verdict.SEND


def test_consent_is_per_channel() -> None:
    left = engagement(EngagementKind.UNSUBSCRIBED, MONDAY_NOON, Channel.SMS)
    assert decided(state(*READY, left), journey()).verdict is Verdict.SEND


def test_an_address_that_bounced_is_no_address() -> None:
    dead = engagement(EngagementKind.BOUNCED, MONDAY_NOON)
    assert decided(state(*READY, dead), journey()).reason is Reason.NO_ADDRESS


def test_who_bought_again_since_our_message_has_converted() -> None:
    plan = journey(step(), step("second", delay="1d"), step("check", delay="1d", offer=None))
    known = sent(state(*READY), plan, at=MONDAY_NOON + timedelta(minutes=45))
    assert decided(known, plan, name="second").verdict is Verdict.SEND
    later = order("o-2", ("spf",), MONDAY_NOON + timedelta(hours=2))
    again = replace(state(*READY, later), verdicts=known.verdicts)
    assert decided(again, plan, name="second").reason is Reason.CONVERTED
    assert decided(again, plan, name="check").verdict is Verdict.SEND


def test_an_order_before_our_message_is_no_conversion() -> None:
    plan = journey(step(), step("second", delay="1d"))
    known = state(*READY, order("o-2", ("spf",), MONDAY_NOON + timedelta(minutes=5)))
    known = sent(known, plan, at=MONDAY_NOON + timedelta(minutes=45))
    assert decided(known, plan, name="second").verdict is Verdict.SEND


def test_when_all_that_fits_is_owned_the_reason_says_so() -> None:
    history = order("o-0", ("toner",), MONDAY_NOON - 60 * DAY, history=True)
    decision = decided(state(*READY, history), journey(), proposed=candidates("toner"))
    assert decision.reason is Reason.OWNED
    assert rule(decision, Reason.OWNED).inputs["left_out"] == ["toner"]


def test_without_any_candidate_an_offer_is_skipped_but_a_plain_message_goes() -> None:
    assert decided(state(*READY), journey(), proposed=()).reason is Reason.NO_CANDIDATE
    assert decided(state(*READY), journey(step(offer=None)), proposed=()).verdict is Verdict.SEND


def test_when_all_that_fits_is_out_of_stock_the_reason_says_so() -> None:
    shelf = catalogue(product("toner", in_stock=False))
    decision = decided(state(*READY), journey(), proposed=candidates("toner"), shelf=shelf)
    assert objections(decision) == [Reason.OUT_OF_STOCK, Reason.NO_CANDIDATE]
    assert rule(decision, Reason.NO_CANDIDATE).inputs["left_out"] == {"out_of_stock": ["toner"]}


def test_no_rule_writes_personal_data_down() -> None:
    decision = decided(state(*READY), journey(step(**SMS)))
    text = decision.model_dump_json()
    assert not any(secret in text for secret in ("ada@example.com", "+1202", "Ada"))
