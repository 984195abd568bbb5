"""What sweetens an offer: rungs, thresholds, costs, budgets, codes and ends."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from pydantic import ValidationError

from services.scheduler.domain import CustomerState, Programme, decide, record
from services.scheduler.domain.customer import OrderFacts, VerdictFacts
from services.scheduler.domain.incentive import Bid, choose, incentive_of, period_of
from services.scheduler.domain.terms import IncentiveTerms, Ladder
from shared.events import Channel, Decision, Event, Outcome, Reason, RuleOutcome, Verdict
from tests.support.deciding import (
    MONDAY_NOON,
    SHOP,
    candidates,
    catalogue,
    context,
    journey,
    only,
    order,
    product,
    profile,
    rule,
    state,
    step,
)

DAY = timedelta(days=1)
MESSAGE = UUID(int=7)
TEN: dict[str, Any] = {"kind": "percent", "value": 10, "code": "TEN", "valid_for": "2d"}
TWENTY: dict[str, Any] = {"kind": "percent", "value": 20, "code": "TWENTY", "valid_for": "2d"}
LADDER: dict[str, Any] = {"ladder": [TEN, TWENTY], "within": "90d", "buys_without": None}


class Pool:
    """Codes as a till would show them."""

    def __init__(self, *left: str) -> None:
        self.left = left

    def code(self, message_id: UUID, terms: IncentiveTerms) -> str | None:
        del message_id, terms
        return self.left[0] if self.left else None


def sweetened(  # noqa: PLR0913  tests name only what they are about
    known: CustomerState,
    incentive: Mapping[str, Any] | None,
    *,
    order_id: str = "o-1",
    name: str = "pair",
    budget: Mapping[str, Any] | None = None,
    left: Mapping[str, Decimal] | None = None,
    codes: Pool | None = None,
    holdout: float = 0,
    **changed: Any,  # noqa: ANN401  any field of the toner
) -> Decision:
    """Return the decision on a step that offers the toner, at 9.00 USD unless changed, with an incentive."""
    terms = {"from": ["complements"], "count": 1, "max_price_share": None, "incentive": incentive}
    steps = [step("pair", offer=terms), step("later", offer=terms, delay="5d")]
    plan = journey(*steps, holdout={"share": holdout})
    programme = Programme.model_validate({"shop": SHOP, "budgets": [budget] if budget else []})
    shelf = catalogue(product("toner", **changed))
    setting = context(shelf=shelf, programme=programme, budgets=left, codes=codes)
    due = only(known, plan, name, order_id)
    return decide(known, due, plan, candidates("toner"), setting, due.due_at)


def customer(*more: Event) -> CustomerState:
    return state(profile(), order(), *more)


def spending(decision: Decision) -> RuleOutcome:
    return rule(decision, Reason.BUDGET_SPENT)


def percent(decision: Decision) -> int | None:
    assert decision.offer
    value = decision.offer.incentive.value
    return None if value is None else int(value)


def test_the_first_incentive_of_a_ladder_is_the_smallest() -> None:
    assert percent(sweetened(customer(), LADDER)) == 10


def test_an_incentive_that_ended_without_an_order_moves_a_customer_up() -> None:
    known = record(customer(), sweetened(customer(), LADDER))
    decision = sweetened(known, LADDER, name="later")
    assert percent(decision) == 20
    assert (spending(decision).inputs["rung"], spending(decision).inputs["unanswered"]) == (1, 1)


def test_an_incentive_that_is_still_open_moves_nobody_up() -> None:
    long = {"ladder": [TEN | {"valid_for": "30d"}, TWENTY], "buys_without": None}
    known = record(customer(), sweetened(customer(), long))
    assert percent(sweetened(known, long, name="later")) == 10


def test_an_incentive_that_drew_an_order_moves_nobody_up() -> None:
    known = record(customer(), sweetened(customer(), LADDER))
    drawn = order("o-2", ("mask",), MONDAY_NOON + DAY)
    after = record(state(profile(), order(), drawn), sweetened(customer(), LADDER))
    assert known != after
    assert percent(sweetened(after, LADDER, order_id="o-2", name="later")) == 10


def test_whoever_answers_nothing_stays_on_the_top_rung() -> None:
    known = customer(order("o-2", ("mask",), MONDAY_NOON + 20 * DAY))
    for order_id in ("o-1", "o-2"):
        known = record(known, sweetened(known, LADDER, order_id=order_id))
    decision = sweetened(known, LADDER, order_id="o-2", name="later")
    assert percent(decision) == 20
    assert spending(decision).inputs["unanswered"] == 2


def test_what_was_offered_long_ago_is_forgotten() -> None:
    known = record(customer(), sweetened(customer(), LADDER))
    later = order("o-2", ("mask",), MONDAY_NOON + 100 * DAY)
    after = state(profile(), order(), later)
    after = record(after, sweetened(customer(), LADDER))
    assert known.verdicts == after.verdicts
    assert percent(sweetened(after, LADDER, order_id="o-2")) == 10


def test_held_out_customers_climb_as_if_they_had_been_offered_it() -> None:
    held = record(customer(), sweetened(customer(), LADDER, holdout=1))
    decision = sweetened(held, LADDER, name="later", holdout=1)
    assert decision.verdict is Verdict.GHOST
    assert percent(decision) == 20


def test_who_buys_without_incentives_gets_none() -> None:
    ladder = LADDER | {"buys_without": 2}
    assert percent(sweetened(customer(), ladder)) == 10
    often = state(profile(), order("o-0", ("mask",), MONDAY_NOON - 30 * DAY), order())
    decision = sweetened(often, ladder)
    assert percent(decision) is None
    assert (spending(decision).inputs["without"], spending(decision).inputs["bought_without"]) == (
        "buys_without",
        2,
    )


def test_an_order_placed_while_an_incentive_was_open_does_not_count_as_without() -> None:
    ladder = LADDER | {"buys_without": 2}
    first = sweetened(customer(), ladder)
    known = record(state(profile(), order(), order("o-2", ("mask",), MONDAY_NOON + DAY)), first)
    assert spending(sweetened(known, ladder, order_id="o-2", name="later")).inputs["bought_without"] == 1


def test_below_a_threshold_the_offer_says_what_is_lacking() -> None:
    terms = TEN | {"threshold": {"amount": "30", "currency": "USD"}}
    decision = sweetened(customer(), terms)
    assert decision.offer
    assert (decision.offer.add_more, decision.offer.currency) == (Decimal("12.00"), "USD")
    assert percent(decision) == 10


def test_at_a_threshold_nothing_is_lacking() -> None:
    decision = sweetened(customer(), TEN | {"threshold": {"amount": "18", "currency": "USD"}})
    assert decision.offer
    assert decision.offer.add_more is None


@pytest.mark.parametrize(
    "terms",
    [
        TEN | {"threshold": {"amount": "30", "currency": "EUR"}},
        {"kind": "money", "value": 5, "currency": "EUR"},
        {"kind": "free_shipping", "cost": 5, "currency": "EUR"},
    ],
)
def test_an_incentive_in_another_currency_does_not_apply_and_that_is_on_record(terms: dict[str, Any]) -> None:
    decision = sweetened(customer(), terms)
    assert decision.verdict is Verdict.SEND
    assert decision.offer
    assert (decision.offer.incentive.kind, decision.offer.add_more) == ("none", None)
    assert spending(decision).inputs["without"] == "other_currency"


@pytest.mark.parametrize(
    ("terms", "expected"),
    [
        ({"kind": "percent", "value": 15}, "1.35"),
        ({"kind": "money", "value": "5"}, "5.00"),
        ({"kind": "free_shipping", "cost": "4.5"}, "4.50"),
        ({"kind": "free_shipping"}, "0.00"),
        ({"kind": "early_access", "valid_for": "2d"}, "0.00"),
    ],
)
def test_what_is_sent_reserves_its_face_value(terms: dict[str, Any], expected: str) -> None:
    currency = {} if terms["kind"] in ("percent", "early_access") else {"currency": "USD"}
    budget = {"currency": "USD", "amount": 100}
    decision = sweetened(customer(), terms | currency, budget=budget, left={"USD": Decimal(50)})
    assert decision.offer
    assert str(decision.offer.reserved) == expected


def test_nothing_is_reserved_without_a_budget_or_for_who_is_held_out() -> None:
    plain = sweetened(customer(), TEN)
    held = sweetened(
        customer(), TEN, budget={"currency": "USD", "amount": 100}, left={"USD": Decimal(50)}, holdout=1
    )
    assert plain.offer
    assert held.offer
    assert (plain.offer.reserved, held.offer.reserved) == (None, None)
    assert held.offer.incentive.value == 10


def test_the_last_of_a_budget_may_be_spent_whole_and_not_a_cent_more() -> None:
    budget = {"currency": "USD", "amount": 100, "action": "drop"}
    exact = sweetened(customer(), TEN, budget=budget, left={"USD": Decimal("0.90")})
    short = sweetened(customer(), TEN, budget=budget, left={"USD": Decimal("0.89")})
    assert exact.verdict is Verdict.SEND
    assert (short.verdict, short.reason) == (Verdict.SKIP, Reason.BUDGET_SPENT)
    assert spending(short).inputs["cost"] == "0.90"


def test_a_spent_budget_sends_the_offer_without_its_incentive_unless_told_otherwise() -> None:
    decision = sweetened(customer(), TEN, budget={"currency": "USD", "amount": 100}, left={"USD": Decimal(0)})
    assert decision.verdict is Verdict.SEND
    assert decision.offer
    assert (decision.offer.incentive.kind, decision.offer.reserved) == ("none", None)
    assert spending(decision).inputs["without"] == "budget_spent"


def test_a_spent_budget_may_wait_for_the_next_period() -> None:
    budget = {"currency": "USD", "amount": 100, "action": "defer", "per": "day"}
    decision = sweetened(customer(), TEN, budget=budget, left={"USD": Decimal(0)})
    assert (decision.verdict, decision.reason) == (Verdict.DEFER, Reason.BUDGET_SPENT)
    assert decision.next_at == datetime(2026, 3, 3, tzinfo=UTC)


def test_what_cannot_be_priced_is_not_promised_from_a_budget() -> None:
    budget = {"currency": "USD", "amount": 100, "action": "drop"}
    decision = sweetened(customer(), TEN, budget=budget, left={"USD": Decimal(99)}, currency="EUR")
    assert decision.reason is Reason.BUDGET_SPENT
    assert spending(decision).inputs["cost"] is None


def test_without_anyone_who_counts_budgets_do_not_bind() -> None:
    decision = sweetened(customer(), TEN, budget={"currency": "USD", "amount": 0})
    assert percent(decision) == 10


def test_an_order_in_a_currency_without_a_budget_is_not_bound_by_it() -> None:
    decision = sweetened(customer(), TEN, budget={"currency": "EUR", "amount": 0}, left={"EUR": Decimal(0)})
    assert percent(decision) == 10


def test_a_customers_own_code_comes_from_the_pool() -> None:
    decision = sweetened(customer(), {"kind": "percent", "value": 10, "pool": "spring"}, codes=Pool("GIFT1"))
    assert decision.offer
    assert decision.offer.incentive.code == "GIFT1"


@pytest.mark.parametrize("holdout", [0, 1])
def test_an_empty_pool_drops_the_offer_of_who_is_held_out_too(holdout: float) -> None:
    terms = {"kind": "percent", "value": 10, "pool": "spring"}
    decision = sweetened(customer(), terms, codes=Pool(), holdout=holdout)
    assert (decision.verdict, decision.reason) == (Verdict.SKIP, Reason.NO_CODE)


def test_who_is_held_out_takes_no_code() -> None:
    terms = {"kind": "percent", "value": 10, "pool": "spring"}
    decision = sweetened(customer(), terms, codes=Pool("GIFT1"), holdout=1)
    assert decision.verdict is Verdict.GHOST
    assert decision.offer
    assert decision.offer.incentive.code is None


def test_an_offer_without_its_incentive_asks_for_no_code() -> None:
    terms = {"kind": "percent", "value": 10, "pool": "spring"}
    budget = {"currency": "USD", "amount": 100}
    decision = sweetened(customer(), terms, budget=budget, left={"USD": Decimal(0)}, codes=Pool())
    assert decision.verdict is Verdict.SEND
    assert rule(decision, Reason.NO_CODE).outcome is Outcome.PASS


def test_one_code_for_all_needs_no_pool() -> None:
    decision = sweetened(customer(), TEN, codes=Pool())
    assert decision.offer
    assert decision.offer.incentive.code == "TEN"


def test_the_prices_quoted_are_on_record() -> None:
    decision = sweetened(customer(), TEN)
    assert decision.offer
    assert decision.offer.prices == {"toner": Decimal("9.00")}


def _terms(valid_for: str) -> IncentiveTerms:
    return IncentiveTerms.model_validate(TEN | {"valid_for": valid_for})


def test_an_incentive_lasts_its_span_or_until_local_midnight() -> None:
    zone = ZoneInfo("America/New_York")
    assert incentive_of(_terms("48h"), MONDAY_NOON, zone).expires_at == MONDAY_NOON + timedelta(hours=48)
    tonight = incentive_of(_terms("tonight"), MONDAY_NOON, zone).expires_at
    assert tonight == datetime(2026, 3, 3, 5, 0, tzinfo=UTC)
    assert incentive_of(None, MONDAY_NOON, zone).kind == "none"


@pytest.mark.parametrize(
    ("zone", "now", "midnight"),
    [
        # Clocks go forward at 02:00 on the 8th, after this midnight; the next one comes an hour sooner.
        ("America/New_York", "2026-03-07T20:00:00Z", "2026-03-08T05:00:00Z"),
        ("America/New_York", "2026-03-08T20:00:00Z", "2026-03-09T04:00:00Z"),
        ("America/New_York", "2026-11-01T20:00:00Z", "2026-11-02T05:00:00Z"),
        # There is no midnight: at 24:00 it is 01:00.
        ("Africa/Cairo", "2026-04-23T18:00:00Z", "2026-04-23T22:00:00Z"),
        # There are two: at 01:00 it is 00:00 again. The day begins with the first.
        ("America/Havana", "2026-10-31T20:00:00Z", "2026-11-01T04:00:00Z"),
    ],
)
def test_tonight_ends_with_the_day_whatever_the_clocks_do(zone: str, now: str, midnight: str) -> None:
    ends = incentive_of(_terms("tonight"), datetime.fromisoformat(now), ZoneInfo(zone)).expires_at
    assert ends == datetime.fromisoformat(midnight)


@pytest.mark.parametrize(
    ("per", "expected"),
    [
        ("day", ("2026-12-31", "2027-01-01")),
        ("week", ("2026-12-28", "2027-01-04")),
        ("month", ("2026-12-01", "2027-01-01")),
    ],
)
def test_budget_periods_are_of_the_calendar(per: Any, expected: tuple[str, str]) -> None:  # noqa: ANN401  a literal
    new_york = datetime(2026, 12, 31, 18, 59, tzinfo=ZoneInfo("America/New_York"))
    found = period_of(per, new_york)
    assert tuple(f"{each:%Y-%m-%d}" for each in found) == expected
    assert all(each.tzinfo is UTC for each in found)


@pytest.mark.parametrize(
    ("terms", "fix"),
    [
        ({"kind": "free_shipping", "cost": 4}, "in a currency"),
        ({"kind": "percent", "value": 10, "cost": 4, "currency": "USD"}, "other kinds have none"),
        ({"kind": "percent"}, "need a value"),
        ({"kind": "early_access", "value": 1}, "have none"),
        ({"kind": "percent", "value": 101}, "at most 100"),
        ({"kind": "money", "value": 5}, "needs a currency"),
        ({"kind": "percent", "value": 10, "code": "TEN", "pool": "spring"}, "one of code, pool and prefix"),
    ],
)
def test_terms_that_make_no_sense_are_refused_with_the_fix(terms: dict[str, Any], fix: str) -> None:
    with pytest.raises(ValidationError, match=fix):
        IncentiveTerms.model_validate(terms)


def test_a_hand_over_carries_no_incentive() -> None:
    handing = {"id": "on", "hand_over": "win_back", "why": "Gone.", "after": "order", "delay": "1d"}
    with pytest.raises(ValidationError, match="whoever takes the customer on"):
        journey(handing | {"offer": {"from": ["complements"], "incentive": TEN}})


NOW = MONDAY_NOON
SINCE = NOW - 90 * DAY
SECOND = timedelta(seconds=1)


def climbed(
    offered: Sequence[tuple[datetime, datetime | None]],
    ordered: Sequence[datetime],
    **terms: Any,  # noqa: ANN401  any
) -> tuple[int, int]:
    """Return how many of the incentives (begin, end) went unanswered, and how many orders came without one."""
    others = [
        VerdictFacts(
            journey="routine",
            enrolment_id=MESSAGE,
            order_id="o-1",
            step="pair",
            occurrence=0,
            channel=Channel.EMAIL,
            verdict=Verdict.SEND,
            decided_at=begins,
            attempt=1,
            incentive="percent:10",
            offer_until=until,
        )
        for begins, until in offered
    ]
    orders = {str(at): OrderFacts(1, at, "USD", Decimal(20), {"mask": 1}) for at in ordered}
    known = CustomerState(shop=SHOP, customer_id="c-1", orders=orders)
    bid = Bid(
        terms=Ladder.model_validate({"ladder": [TEN, TWENTY], "within": "90d", "buys_without": None} | terms),
        order=OrderFacts(1, NOW, "USD", Decimal(20), {"mask": 1}),
        products=(),
        catalogue=catalogue(),
        programme=Programme(shop=SHOP),
        budgets=None,
        now=NOW,
    )
    found = choose(bid, known, others)
    return found.unanswered, found.bought_without


@pytest.mark.parametrize(
    ("offered", "ordered", "expected"),
    [
        ([(NOW - DAY, NOW)], [], (1, 0)),
        ([(NOW - DAY, NOW + SECOND)], [], (0, 0)),
        ([(NOW - DAY, None)], [], (1, 0)),
        ([(SINCE, SINCE + DAY)], [], (0, 0)),
        ([(SINCE + SECOND, SINCE + DAY)], [], (1, 0)),
        # An order at the very beginning is drawn, one at the very end is not.
        ([(NOW - 3 * DAY, NOW - DAY)], [NOW - 3 * DAY], (0, 0)),
        ([(NOW - 3 * DAY, NOW - DAY)], [NOW - 3 * DAY - SECOND], (1, 1)),
        ([(NOW - 3 * DAY, NOW - DAY)], [NOW - DAY], (1, 1)),
        ([(NOW - 3 * DAY, NOW - DAY)], [NOW - DAY - SECOND], (0, 0)),
        ([(NOW - 3 * DAY, None)], [NOW - DAY], (0, 0)),
        # Two were open at once: each drew the order.
        ([(NOW - 3 * DAY, NOW - DAY), (NOW - 2 * DAY, NOW - DAY)], [NOW - 2 * DAY], (0, 0)),
        ([], [NOW, SINCE, SINCE + SECOND, NOW + SECOND], (0, 2)),
    ],
)
def test_open_means_from_its_beginning_up_to_its_end(
    offered: Sequence[tuple[datetime, datetime | None]],
    ordered: Sequence[datetime],
    expected: tuple[int, int],
) -> None:
    assert climbed(offered, ordered) == expected


def test_messages_without_an_incentive_and_orders_that_do_not_stand_count_for_nothing() -> None:
    known = customer(order("o-0", ("mask",), MONDAY_NOON - DAY, status="cancelled"))
    plain = record(known, sweetened(known, None))
    found = spending(sweetened(plain, LADDER, name="later")).inputs
    assert (found["unanswered"], found["bought_without"]) == (0, 1)
