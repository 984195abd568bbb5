"""The laws of the decision core, for any history that Hypothesis can think of. They are its specification."""

from collections import Counter
from datetime import timedelta
from zoneinfo import ZoneInfo

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from services.scheduler.domain import CustomerState, Journey, Published, apply, decide, due, record
from services.scheduler.domain.experiment import place
from services.scheduler.domain.folding import fold
from services.scheduler.domain.ownership import owned
from shared.events import (
    Channel,
    Decision,
    Event,
    OrderStatus,
    Outcome,
    Verdict,
)
from tests.support.deciding import (
    CUSTOMER,
    MONDAY_NOON,
    SHELF,
    SHOP,
    context,
    journey,
    order,
    sent_back,
    state,
    step,
)
from tests.support.histories import (
    PRODUCTS,
    PROPOSED,
    Arrival,
    events_of_a_customer,
    histories,
    journeys,
    live,
    profiles,
)
from tests.support.plainly import (
    STATE_ZONES,
    counted_as_owned,
    ever_returned,
    latest_orders,
    may_be_written_to,
    seen_before,
)

# Hypothesis' own limit on drawing time measures the machine; how much is drawn is bounded by the strategies.
LAW = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])


# -- facts


@LAW
@given(st.data(), events_of_a_customer(), journeys())
def test_any_interleaving_with_any_repetition_gives_the_same_state_and_due_steps(
    data: st.DataObject, happened: list[Event], plan: Journey
) -> None:
    again = data.draw(st.lists(st.sampled_from(happened), max_size=10))
    shuffled = data.draw(st.permutations([*happened, *again]))
    assert state(*shuffled) == state(*happened)
    assert due(state(*shuffled), Published.of([plan])) == due(state(*happened), Published.of([plan]))


@LAW
@given(events_of_a_customer())
def test_a_state_read_back_from_its_json_is_the_same(happened: list[Event]) -> None:
    known = state(*happened)
    assert CustomerState.load(known.dump()) == known


@LAW
@given(st.data(), events_of_a_customer())
def test_a_full_return_undoes_what_an_order_made_the_customer_own(
    data: st.DataObject, happened: list[Event]
) -> None:
    basket = data.draw(st.lists(st.sampled_from(PRODUCTS), min_size=1, max_size=4, unique=True))
    known = state(*happened)
    returned = apply(apply(known, order("o-new", basket)), sent_back("o-new", basket))
    assert owned(returned) == owned(known)


@LAW
@given(events_of_a_customer())
def test_ownership_is_what_a_plain_count_of_orders_and_returns_says(happened: list[Event]) -> None:
    assert owned(state(*happened)) == counted_as_owned(happened)


@LAW
@given(events_of_a_customer(), st.integers(0, 60))
def test_folding_old_orders_changes_nothing_about_ownership_or_newer_orders(
    happened: list[Event], days: int
) -> None:
    before, known = MONDAY_NOON + timedelta(days=days), state(*happened)
    folded, plan = fold(known, before), journey(step(), step("check", after="delivery"))
    recent = {key for key, each in known.orders.items() if each.placed_at >= before}
    assert owned(folded) == owned(known)
    assert due(folded, Published.of([plan])) == {
        key: each for key, each in due(known, Published.of([plan])).items() if each.order_id in recent
    }


@LAW
@given(st.lists(profiles(), max_size=5), journeys())
def test_who_is_held_out_never_changes(versions: list[Event], plan: Journey) -> None:
    known = state(order(), *versions)
    occurrence = next(iter(due(known, Published.of([plan])).values()))
    decisions = [decide(known, occurrence, plan, PROPOSED, context(), occurrence.due_at)]
    decisions += [decide(state(order()), occurrence, plan, (), context(2), MONDAY_NOON + timedelta(days=9))]
    expected = "holdout" if place(SHOP, CUSTOMER, plan.holdout.salt) < plan.holdout.share else "treated"
    assert {each.variant for each in decisions} == {expected}


# -- verdicts in a life


@LAW
@given(histories(), journeys())
def test_every_due_occurrence_gets_exactly_one_final_verdict(arrivals: list[Arrival], plan: Journey) -> None:
    lived = live(arrivals, plan)
    assert lived.finals == Counter(due(lived.state, Published.of([plan])).keys())
    attempts = Counter((each.message_id, each.attempt) for each in lived.decisions)
    assert set(attempts.values()) <= {1}
    assert len({each.decision_id for each in lived.decisions}) == len(lived.decisions)


@LAW
@given(histories(), journeys())
def test_deciding_twice_decides_the_same_and_recording_twice_changes_nothing(
    arrivals: list[Arrival], plan: Journey
) -> None:
    lived = live(arrivals, plan)
    for decision, occurrence, known in zip(lived.decisions, lived.occurrences, lived.known, strict=True):
        again = context(decision.attempt)
        assert decide(known, occurrence, plan, PROPOSED, again, decision.decided_at) == decision
        recorded = record(known, decision)
        assert record(recorded, decision) == recorded
        if decision.attempt == 1:
            assert decide(recorded, occurrence, plan, PROPOSED, again, decision.decided_at) == decision


@LAW
@given(histories(), journeys())
def test_a_decision_survives_its_json(arrivals: list[Arrival], plan: Journey) -> None:
    for decision in live(arrivals, plan).decisions:
        assert Decision.model_validate_json(decision.model_dump_json()) == decision


@LAW
@given(histories(), journeys())
def test_every_verdict_agrees_with_what_the_rules_said(arrivals: list[Arrival], plan: Journey) -> None:
    for decision in live(arrivals, plan).decisions:
        said = {each.outcome for each in decision.rules}
        first = next((each.rule for each in decision.rules if each.outcome is Outcome.DROP), None)
        match decision.verdict:
            case Verdict.SKIP:
                assert decision.reason is first is not None
            case Verdict.DEFER:
                assert Outcome.DROP not in said
                assert decision.next_at
                assert decision.next_at > decision.decided_at
            case _:
                assert said <= {Outcome.PASS, Outcome.WITHHOLD}
                assert (Outcome.WITHHOLD in said) == (decision.verdict is Verdict.GHOST)


# -- what never happens


@LAW
@given(histories(), journeys())
def test_nothing_is_sent_after_consent_is_withdrawn(arrivals: list[Arrival], plan: Journey) -> None:
    for decision, _ in live(arrivals, plan).sends:
        happened = seen_before(arrivals, decision.decided_at)
        assert may_be_written_to(happened, decision.channel)


@LAW
@given(histories(), journeys())
def test_no_span_ever_holds_more_messages_than_its_cap(arrivals: list[Arrival], plan: Journey) -> None:
    sends = [decision for decision, _ in live(arrivals, plan).sends]
    for cap in plan.caps:
        times = [each.decided_at for each in sends if each.channel in cap.channels]
        for last in times:
            assert sum(last - cap.per < each <= last for each in times) <= cap.count


@LAW
@given(histories(), journeys())
def test_two_sequences_never_write_within_the_cool_down(arrivals: list[Arrival], plan: Journey) -> None:
    sends = [decision for decision, _ in live(arrivals, plan).sends]
    for one in sends if plan.cool_down else ():
        for other in sends:
            if one.enrolment_id != other.enrolment_id and plan.cool_down:
                assert abs(one.decided_at - other.decided_at) >= plan.cool_down.span


@LAW
@given(histories(), journeys())
def test_nothing_owned_or_sent_back_is_ever_offered(arrivals: list[Arrival], plan: Journey) -> None:
    for decision, _ in live(arrivals, plan).sends:
        happened = seen_before(arrivals, decision.decided_at)
        for each in decision.offer.products if decision.offer else ():
            again = each.relation == "replenishment" and SHELF[each.product_id][3]
            assert again or each.product_id not in counted_as_owned(happened)
            assert each.product_id not in ever_returned(happened)


@LAW
@given(histories(), journeys())
def test_nothing_is_sent_about_an_order_that_does_not_stand(arrivals: list[Arrival], plan: Journey) -> None:
    for decision, _ in live(arrivals, plan).sends:
        happened = seen_before(arrivals, decision.decided_at)
        latest = next(each for each in latest_orders(happened) if each.order_id == decision.order_id)
        assert latest.status is OrderStatus.PLACED
        assert not latest.test
        assert not latest.history


@LAW
@given(histories(), journeys())
def test_no_text_is_ever_sent_in_quiet_hours(arrivals: list[Arrival], plan: Journey) -> None:
    for decision, known in live(arrivals, plan).sends:
        if decision.channel is not Channel.SMS or known.profile is None:
            continue
        # Without a zone the default's strictest reading holds: 11 to 20 in the East, or a state's own hours.
        zone = known.profile.time_zone
        earliest, latest = (8, 21) if zone or known.profile.region else (11, 20)
        local = decision.decided_at.astimezone(ZoneInfo(zone or STATE_ZONES[known.profile.region]))
        assert earliest <= local.hour < latest
        if known.profile.region == "LA" and zone in (None, "America/Chicago"):
            assert local.weekday() < 6


@LAW
@given(histories(), journeys())
def test_nothing_is_decided_to_be_sent_after_it_expired(arrivals: list[Arrival], plan: Journey) -> None:
    for decision, _ in live(arrivals, plan).sends:
        assert decision.decided_at < decision.due_at + plan.step(decision.step).expires
