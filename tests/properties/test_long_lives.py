"""The laws of the decision core on long lives: journeys with everything, and over a hundred events of every kind.

The oracle is tests/support/plainly.py, which knows nothing of the core. A failure names the life by its number: `life(7)`.
"""

import random
from collections import Counter, defaultdict
from collections.abc import Iterator
from datetime import timedelta
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.scheduler.domain import CustomerState, apply, due, record
from services.scheduler.domain.merging import _MERGES
from shared.events import (
    MESSAGE_CHANNELS,
    Channel,
    Decision,
    EngagementKind,
    EngagementRecorded,
    OrderStatus,
    Outcome,
    Verdict,
)
from tests.support import plainly
from tests.support.deciding import CUSTOMER, SHOP
from tests.support.lives import Life, Made, life

LIVES = range(24)


def sends() -> Iterator[tuple[Life, Made]]:
    """Every message, page offer or hand-over of every life, ghosts included."""
    for number in LIVES:
        for made in life(number).sends:
            yield life(number), made


def decided(lived: Life) -> Iterator[Decision]:
    return (each.decision for each in lived.made)


def name(lived: Life, decision: Decision) -> str:
    """Say which decision a law is broken by."""
    return f"life({lived.seed}): {decision.journey}/{decision.step} of {decision.order_id} at {decision.decided_at}"


def test_lives_are_long_and_hold_every_kind_of_event_verdict_and_step() -> None:
    kinds, verdicts, engaged, steps = set(), set(), set(), set()
    for number in LIVES:
        lived = life(number)
        assert len({event.id for event in lived.events}) >= 100
        kinds |= {type(event) for event in lived.events}
        engaged |= {event.data.kind for event in lived.events if isinstance(event, EngagementRecorded)}
        verdicts |= {each.verdict for each in decided(lived)}
        steps |= {(each.decision.journey, each.decision.step) for each in lived.sends}
    assert kinds == set(_MERGES)
    assert engaged == set(EngagementKind)
    assert verdicts == set(Verdict)
    routine = {
        "soon",
        "bundle",
        "more",
        "plain",
        "text",
        "check",
        "help",
        "follow",
        "win",
        "weekly",
        "later",
    }
    assert {("routine", each) for each in routine} | {
        ("refill", "again"),
        ("carts", "left"),
        ("carts", "recover"),
    } <= steps


# -- facts


@settings(max_examples=10)
@given(st.sampled_from(LIVES), st.integers(0, 2**32))
def test_neither_the_order_of_arrival_nor_repetition_changes_facts_or_due_steps(
    number: int, shuffle: int
) -> None:
    lived, chance = life(number), random.Random(shuffle)  # noqa: S311  no secret
    shuffled = [*lived.events, *chance.sample(lived.events, 20)]
    chance.shuffle(shuffled)
    known = CustomerState(shop=SHOP, customer_id=CUSTOMER)
    for event in shuffled:
        known = apply(known, event)
    for decision in decided(lived):
        known = record(record(known, decision), decision)
    assert known == lived.state
    assert due(known, lived.after) == due(lived.state, lived.after)


# -- verdicts


@pytest.mark.parametrize("number", LIVES)
def test_every_occurrence_that_came_due_has_exactly_one_final_verdict(number: int) -> None:
    lived = life(number)
    finals = Counter(each.message_id for each in decided(lived) if each.verdict is not Verdict.DEFER)
    assert set(finals) == lived.came_due
    assert set(finals.values()) <= {1}
    attempts = defaultdict(list)
    for each in decided(lived):
        attempts[each.message_id].append((each.attempt, each.verdict is not Verdict.DEFER))
    for made in attempts.values():
        assert [attempt for attempt, _ in made] == list(range(1, len(made) + 1))
        assert [final for _, final in made] == [False] * (len(made) - 1) + [True]


def test_what_goes_out_passed_every_rule_and_what_does_not_names_one_that_it_did_not() -> None:
    for number in LIVES:
        for each in decided(life(number)):
            said = {rule.outcome for rule in each.rules}
            match each.verdict:
                case Verdict.SKIP:
                    assert Outcome.DROP in said
                    assert (
                        next(rule.rule for rule in each.rules if rule.outcome is Outcome.DROP) is each.reason
                    )
                case Verdict.DEFER:
                    assert Outcome.DEFER in said
                    assert each.next_at is not None
                    assert each.next_at > each.decided_at
                case _:
                    assert said <= {Outcome.PASS, Outcome.WITHHOLD}


# -- what never happens


def test_no_span_ever_holds_more_messages_than_a_cap_of_journey_or_shop_allows() -> None:
    for lived, made in sends():
        decision = made.decision
        for cap in (*lived.journey(decision).caps, *lived.programme.caps):
            if decision.channel not in cap.channels or (
                cap.journeys and decision.journey not in cap.journeys
            ):
                continue
            counted = [
                each.decision
                for each in lived.sends
                if each.decision.channel in cap.channels
                and (not cap.journeys or each.decision.journey in cap.journeys)
                and decision.decided_at - cap.per < each.decision.decided_at <= decision.decided_at
            ]
            position = counted.index(decision) + 1
            assert position <= cap.count, name(lived, decision)


def test_nothing_is_sent_without_consent() -> None:
    for lived, made in sends():
        if made.decision.channel in MESSAGE_CHANNELS:
            happened = lived.seen(made.decision.decided_at)
            assert plainly.may_be_written_to(happened, made.decision.channel), name(lived, made.decision)


def test_nothing_owned_sent_back_or_standing_in_for_what_is_owned_is_ever_offered() -> None:
    for lived, made in sends():
        decision = made.decision
        happened = lived.seen(decision.decided_at)
        owned = plainly.counted_as_owned(happened)
        terms = lived.journey(decision).leaves[made.due.leaf].step.offer
        for each in decision.offer.products if decision.offer else ():
            assert each.product_id not in plainly.ever_returned(happened), name(lived, decision)
            if each.relation != "replenishment":
                alike = plainly.alike(each.product_id, terms.owned_by if terms else "product")
                assert not alike & owned, name(lived, decision)


def test_nothing_is_sent_in_quiet_hours_of_the_law_or_of_the_journey_or_on_a_blackout_day() -> None:
    for lived, made in sends():
        decision = made.decision
        if decision.channel not in MESSAGE_CHANNELS:
            continue
        happened = lived.seen(decision.decided_at)
        local = plainly.local_times(happened, decision.decided_at)
        for each in local:
            if decision.channel is Channel.SMS:
                assert plainly.may_be_texted(happened, each), name(lived, decision)
            quiet = lived.journey(decision).quiet_hours.get(decision.channel)
            if quiet:
                assert quiet.ends <= each.time() < quiet.starts, name(lived, decision)
            for blackout in lived.programme.blackouts:
                assert not blackout.first <= each.date() <= blackout.last, name(lived, decision)


def test_people_keep_their_variants_and_every_decision_says_which_they_are() -> None:
    for number in LIVES:
        lived = life(number)
        seen: defaultdict[str, set[str]] = defaultdict(set)
        for each in decided(lived):
            for experiment, variant in each.exposures.items():
                key = f"{each.journey}/{experiment}" if experiment == "journey-holdout" else experiment
                seen[key].add(variant)
            shares = {
                "programme-holdout": lived.programme.holdout.share,
                "journey-holdout": lived.journey(each).holdout.share,
            }
            assert {key for key in shares if key in each.exposures} == {
                key for key, share in shares.items() if share
            }
            held = "holdout" in {each.exposures.get(key) for key in shares}
            assert each.variant == ("holdout" if held else "treated")
            assert each.verdict is not Verdict.SEND or not held
            exposed = plainly.takes_part(lived.journey(each), "percent") and each.step == "soon"
            assert ("percent" in each.exposures) is exposed, name(lived, each)
        assert all(len(variants) == 1 for variants in seen.values()), f"life({number}): {dict(seen)}"


def test_offers_of_two_journeys_never_share_a_slot() -> None:
    for number in LIVES:
        lived = life(number)
        if lived.programme.slot is None:
            continue
        offers = [
            each.decision
            for each in lived.sends
            if each.decision.offer
            and each.decision.offer.products
            and each.decision.channel is not Channel.EVENT
        ]
        for one in offers:
            for other in offers:
                if one.journey != other.journey:
                    assert abs(one.decided_at - other.decided_at) >= lived.programme.slot.window, name(
                        lived, one
                    )


def test_drained_and_stopped_journeys_send_nothing_and_each_enrolment_follows_its_own_version() -> None:
    for number in LIVES:
        lived = life(number)
        first, second = (each.journey.version for each in lived.after.editions[:2])
        drained = lived.after.editions[0].drained
        for made in lived.made:
            each = made.decision
            sent = each.verdict in (Verdict.SEND, Verdict.GHOST)
            assert not (sent and lived.stopped(each.journey, each.decided_at)), name(lived, each)
            if each.journey != "routine":
                continue
            late = plainly.placed_at(lived.events, each.order_id) >= lived.changed_at
            over = each.decided_at >= lived.changed_at
            if over:
                assert each.journey_version == (second if late else first), name(lived, each)
            assert not (sent and over and drained and not late), name(lived, each)


def test_two_sequences_never_write_within_the_cool_down() -> None:
    for lived, made in sends():
        decision, terms = made.decision, lived.journey(made.decision).cool_down
        if terms is None or decision.channel not in MESSAGE_CHANNELS:
            continue
        for other in lived.sends:
            each = other.decision
            if each.enrolment_id != decision.enrolment_id and each.channel in MESSAGE_CHANNELS:
                apart = decision.decided_at - each.decided_at
                before = lived.sends.index(other) < lived.sends.index(made)
                assert not before or apart >= terms.span, name(lived, decision)


def test_nothing_is_sent_about_an_order_that_does_not_stand_nor_after_it_expired() -> None:
    for lived, made in sends():
        decision = made.decision
        step = lived.journey(decision).leaves[made.due.leaf].step
        assert decision.decided_at < decision.due_at + step.expires, name(lived, decision)
        if decision.order_id.startswith("cart:"):
            assert not plainly.cart_was_ordered(lived.seen(decision.decided_at), decision.order_id), name(
                lived, decision
            )
            continue
        orders = plainly.latest_orders(lived.seen(decision.decided_at))
        latest = next(each for each in orders if each.order_id == decision.order_id)
        assert latest.status is OrderStatus.PLACED, name(lived, decision)
        assert not latest.test, name(lived, decision)
        assert not latest.history, name(lived, decision)


def test_an_unhappy_or_complaining_customer_and_staff_are_sold_nothing() -> None:
    for lived, made in sends():
        decision = made.decision
        if decision.channel is Channel.EVENT:
            continue
        happened = lived.seen(decision.decided_at)
        assert not plainly.complained(happened), name(lived, decision)
        assert not plainly.latest_profile(happened).staff, name(lived, decision)
        assert not plainly.unhappy(happened), name(lived, decision)


def test_a_step_after_another_waits_for_it_and_enrolments_keep_apart_as_the_journey_says() -> None:
    for number in LIVES:
        lived = life(number)
        sent_at = {
            (each.decision.enrolment_id, each.decision.step): each.decision.decided_at
            for each in reversed(lived.sends)
        }
        for each in decided(lived):
            if each.step in ("follow", "win"):
                began = sent_at[each.enrolment_id, "soon"]
                wait = timedelta(days=3 if each.step == "follow" else 8)
                assert each.due_at == began + wait, name(lived, each)
        # Carts keep apart too, but one that was ordered, or is heard of late, no longer tells when it was left.
        for place, journey in ((0, "routine"), (2, "refill")):
            terms = lived.after.editions[place].journey.re_entry
            begun = {each.order_id for each in decided(lived) if each.journey == journey}
            if terms == "once":
                assert len(begun) <= 1, f"life({number}): {journey} {begun}"
            elif isinstance(terms, timedelta):
                for one, other in pairwise(sorted(plainly.placed_at(lived.events, each) for each in begun)):
                    assert other - one >= terms, f"life({number}): {journey} {begun}"
