"""Several journeys want the same person: who gets the slot for an offer, and what becomes of the rest."""

from datetime import timedelta
from itertools import permutations
from typing import Any

import pytest

from services.scheduler.domain import Context, CustomerState, Due, Journey, Programme, Published, due, record
from services.scheduler.domain.arbiter import expected, order
from shared.events import Candidate, Outcome, Reason, Verdict
from tests.support import deciding
from tests.support.deciding import (
    MONDAY_NOON,
    SHOP,
    candidates,
    catalogue,
    context,
    decided,
    journey,
    product,
    profile,
    programme,
    rule,
    sent,
    state,
    step,
)

DAY = timedelta(days=1)
AT = MONDAY_NOON + timedelta(minutes=45)
READY = state(profile(), deciding.order())
ONE_A_DAY = {"window": "1d"}


def rival(name: str, *steps: dict[str, Any], **changes: Any) -> Journey:  # noqa: ANN401  any field
    return journey(*(steps or (step(f"{name}-offer", expires="3d"),)), id=name, **changes)


def slotted(**slot: str) -> Programme:
    return programme(slot=ONE_A_DAY | slot)


def in_turn(
    *journeys: Journey,
    rules: Programme | None = None,
    proposed: dict[str, tuple[Candidate, ...]] | None = None,
    known: CustomerState = READY,
) -> list[str]:
    """Return the steps' names in the order in which they are decided, the same however they are given."""
    published = Published.of(journeys, [rules or slotted()])

    def inputs(each: Due) -> tuple[tuple[Candidate, ...], Context]:
        found = (proposed or {}).get(each.journey, candidates("toner", "serum"))
        return found, context(programme=published.programme(SHOP))

    dues = list(due(known, published).values())
    now = max(each.due_at for each in dues)
    orders = {
        tuple(each.step for each in order(known, list(given), published, inputs, now))
        for given in permutations(dues)
    }
    assert len(orders) == 1
    return list(orders.pop())


def test_of_two_offers_the_journey_with_the_lower_priority_number_goes_first() -> None:
    assert in_turn(rival("a", priority=60), rival("b", priority=40)) == ["b-offer", "a-offer"]


def test_without_a_slot_only_the_steps_priorities_and_times_count() -> None:
    late = rival("b", step("b-offer", delay="50m"), priority=1)
    early = rival("a", priority=99)
    assert in_turn(late, early, rules=programme()) == ["a-offer", "b-offer"]


def test_of_equal_priorities_the_offer_that_is_expected_to_bring_most_goes_first() -> None:
    proposed = {"a": candidates("toner"), "b": candidates("serum-pro")}
    assert in_turn(rival("a"), rival("b"), proposed=proposed) == ["b-offer", "a-offer"]
    proposed = {"a": candidates("serum-pro"), "b": candidates("toner")}
    assert in_turn(rival("a"), rival("b"), proposed=proposed) == ["a-offer", "b-offer"]


def test_what_the_customer_owns_is_worth_nothing() -> None:
    both = state(
        profile(),
        deciding.order("o-0", ("serum-pro",), MONDAY_NOON - 90 * DAY, history=True),
        deciding.order(),
    )
    proposed = {"a": candidates("serum-pro"), "b": candidates("toner")}
    assert in_turn(rival("a"), rival("b"), proposed=proposed, known=both) == ["b-offer", "a-offer"]


def test_of_offers_worth_the_same_the_one_due_first_goes_first() -> None:
    late, early = rival("a", step("a-offer", delay="46m")), rival("b")
    assert in_turn(late, early) == ["b-offer", "a-offer"]


def test_within_a_journey_the_steps_priority_stays_first() -> None:
    mixed = rival("a", step("a-offer", priority=30), step("a-check", priority=20, offer=None), priority=10)
    other = rival("b", step("b-offer", priority=1), priority=20)
    assert in_turn(mixed, other) == ["a-check", "a-offer", "b-offer"]


def test_steps_of_journeys_that_offer_nothing_keep_their_place() -> None:
    plain = rival("c", step("c-first", offer=None, priority=1), step("c-last", offer=None, priority=99))
    assert in_turn(rival("a", priority=60), rival("b", priority=40), plain) == [
        "c-first",
        "b-offer",
        "a-offer",
        "c-last",
    ]


def test_expected_value_is_score_times_margin_or_else_price_in_the_orders_currency() -> None:
    half = candidates("toner")[0]
    for changes, worth in (
        ({}, 4.5),
        ({"margin": "4.00"}, 2.0),
        ({"price": None}, 0.0),
        ({"currency": "EUR"}, 0.0),
        ({"currency": None}, 4.5),
    ):
        shelf = catalogue(product("toner", **changes))
        assert expected(half, context(shelf=shelf), "USD") == pytest.approx(worth)
    assert expected(half.model_copy(update={"product_id": "gone"}), context(), "USD") == 0


@pytest.mark.parametrize(("loser", "verdict"), [("drop", Verdict.SKIP), ("defer", Verdict.DEFER)])
def test_the_loser_is_dropped_or_waits_for_the_windows_end(loser: str, verdict: Verdict) -> None:
    known = sent(READY, rival("a"), name="a-offer", at=AT)
    decision = decided(known, rival("b"), name="b-offer", programme=slotted(loser=loser))
    assert (decision.verdict, decision.reason) == (verdict, Reason.OUTBID)
    assert rule(decision, Reason.OUTBID).inputs == {
        "window_s": 86400,
        "journey": "a",
        "step": "a-offer",
        "offered_at": AT.isoformat(),
    }
    if loser == "defer":
        assert decision.next_at == AT + DAY
        again = decided(
            record(known, decision),
            rival("b"),
            name="b-offer",
            now=AT + DAY,
            attempt=2,
            programme=slotted(loser=loser),
        )
        assert again.verdict is Verdict.SEND


def test_a_journey_does_not_outbid_itself_and_what_sells_nothing_needs_no_slot() -> None:
    plan = rival("a", step("a-offer"), step("a-more", delay="1h"), step("a-check", delay="2h", offer=None))
    known = sent(READY, plan, name="a-offer", at=AT)
    other = rival("b", step("b-check", offer=None))
    for each, name in ((plan, "a-more"), (plan, "a-check"), (other, "b-check")):
        assert decided(known, each, name=name, programme=slotted()).verdict is Verdict.SEND


def test_a_message_without_an_offer_takes_no_slot_and_a_ghost_does() -> None:
    checked = sent(READY, rival("a", step("a-check", offer=None)), name="a-check", at=AT)
    assert decided(checked, rival("b"), name="b-offer", programme=slotted()).verdict is Verdict.SEND
    haunted = sent(READY, rival("a", holdout={"share": 1}), name="a-offer", at=AT)
    assert decided(haunted, rival("b"), name="b-offer", programme=slotted()).reason is Reason.OUTBID


def test_an_offer_on_the_thank_you_page_takes_the_slot_and_a_hand_over_needs_none() -> None:
    page = step("a-page", channel="page", template=None, page={"title": "One more thing"}, delay="0m")
    known = sent(READY, rival("a", page), name="a-page", at=MONDAY_NOON)
    assert decided(known, rival("b"), name="b-offer", programme=slotted()).reason is Reason.OUTBID
    over = step("b-over", channel="event", template=None, hand_over="subscription")
    handed = decided(known, rival("b", over), name="b-over", programme=slotted())
    assert rule(handed, Reason.OUTBID).outcome is Outcome.PASS
