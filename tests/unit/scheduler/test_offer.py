"""Which products are offered, from which source, at which terms."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from services.scheduler.domain import Programme, decide, record
from shared.events import Candidate, Decision, Reason, Verdict
from tests.support.deciding import (
    MONDAY_NOON,
    SHOP,
    candidates,
    catalogue,
    context,
    decided,
    journey,
    only,
    order,
    product,
    profile,
    rule,
    sent_back,
    state,
    step,
)


def offered(
    terms: dict[str, Any],
    bought: tuple[str, ...] = ("cleanser",),
    proposed: tuple[str, ...] = (),
    at: datetime = MONDAY_NOON,
) -> list[str]:
    known = state(profile(), order(products=bought, at=at))
    plan = journey(step(offer={"max_price_share": None} | terms))
    decision = decided(known, plan, proposed=candidates(*proposed))
    return [each.product_id for each in decision.offer.products] if decision.offer else []


def test_complements_come_best_first_and_no_more_than_asked_for() -> None:
    assert offered({"from": ["complements"], "count": 2}, proposed=("mask", "toner", "serum")) == [
        "mask",
        "toner",
    ]


def test_complements_may_be_held_to_categories() -> None:
    assert offered({"from": ["complements"], "categories": ["serum"]}, proposed=("mask", "serum")) == [
        "serum"
    ]


def test_named_categories_give_one_product_each_in_their_order() -> None:
    terms = {"from": ["categories"], "categories": ["mask", "toner"]}
    assert offered(terms) == ["mask", "toner"]


def test_within_a_category_evidence_decides_before_price() -> None:
    terms = {"from": ["categories"], "categories": ["toner"]}
    assert offered(terms) == ["toner"]
    assert offered(terms, proposed=("toner-rich",)) == ["toner-rich"]


def test_a_category_that_the_order_holds_is_not_offered_again() -> None:
    terms = {"from": ["categories"], "categories": ["toner", "mask"]}
    assert offered(terms, bought=("cleanser", "toner")) == ["mask"]


def test_pairs_follow_from_what_was_bought() -> None:
    terms = {"from": ["pairs"], "pairs": {"cleanser": ["toner"], "serum": ["spf"]}}
    assert offered(terms, bought=("cleanser",)) == ["toner"]
    assert offered(terms, bought=("serum",)) == ["spf"]
    assert offered(terms, bought=("serum", "cleanser")) == ["toner", "spf"]


def test_only_consumables_are_replenished() -> None:
    assert offered({"from": ["replenish"]}, bought=("spf", "cleanser")) == ["spf"]


def test_an_upgrade_is_the_next_dearer_of_the_category() -> None:
    assert offered({"from": ["upgrade"]}, bought=("serum",)) == ["serum-pro"]
    assert offered({"from": ["upgrade"]}, bought=("serum-pro",)) == []


def moved_on(*product_ids: str) -> tuple[Candidate, ...]:
    return tuple(each.model_copy(update={"relation": "upgrade"}) for each in candidates(*product_ids))


def test_what_buyers_moved_on_to_comes_before_the_next_dearer() -> None:
    known = state(profile(), order(products=("toner",)))
    plan = journey(step(offer={"from": ["upgrade"]}))
    shelf = catalogue(product("serum-pro", category="toner"))
    by_price = decided(known, plan, proposed=(), shelf=shelf)
    by_evidence = decided(known, plan, proposed=moved_on("serum-pro", "mask"), shelf=shelf)
    cheaper = decided(known, plan, proposed=moved_on("serum"), shelf=shelf)
    gone = catalogue(product("serum-pro", category="toner", in_stock=False))
    after_it = decided(known, plan, proposed=moved_on("serum-pro"), shelf=gone)
    found = [each.offer.products for each in (by_price, by_evidence, cheaper, after_it) if each.offer]
    assert [[each.product_id for each in products] for products in found] == [
        ["toner-rich"],
        ["serum-pro"],
        ["toner-rich"],
        ["toner-rich"],
    ]


def test_what_buyers_moved_on_to_is_no_complement() -> None:
    known = state(profile(), order(products=("cleanser",)))
    plan = journey(step(offer={"from": ["complements"], "max_price_share": None}))
    decision = decided(known, plan, proposed=(*candidates("mask"), *moved_on("toner", "mask")))
    assert decision.offer
    assert [(each.product_id, each.relation) for each in decision.offer.products] == [("mask", "pair")]


def test_a_brands_collection_leaves_out_what_was_bought() -> None:
    assert offered({"from": ["same_brand"]}, bought=("cleanser",)) == ["spf", "toner", "toner-rich"]


@pytest.mark.parametrize(("month", "expected"), [(1, ["candle"]), (6, ["spf"])])
def test_a_season_names_its_categories(month: int, expected: list[str]) -> None:
    terms = {"from": ["seasonal"], "seasons": {"winter": ["candle"], "summer": ["spf"]}}
    assert offered(terms, at=datetime(2026, month, 15, 17, 0, tzinfo=UTC)) == expected


def test_the_next_source_is_tried_when_one_gives_too_little() -> None:
    terms = {"from": ["complements", "categories"], "categories": ["mask", "spf"], "at_least": 2}
    assert offered(terms, proposed=("mask",)) == ["mask", "spf"]


def test_prices_stay_under_the_share_of_the_orders_total() -> None:
    terms = {"from": ["complements"], "max_price_share": "0.25"}
    assert offered(terms, bought=("serum",), proposed=("spf", "mask")) == ["mask"]


def test_a_price_in_another_currency_cannot_be_compared() -> None:
    known = state(profile(), order(products=("serum",)))
    shelf = catalogue(product("mask", currency="EUR"))
    plan = journey(step(offer={"from": ["complements"]}))
    decision = decided(known, plan, proposed=candidates("mask"), shelf=shelf)
    assert rule(decision, Reason.NO_CANDIDATE).inputs["left_out"] == {"too_dear": ["mask"]}


def test_what_was_sent_back_is_not_offered_even_for_replenishment() -> None:
    earlier = order("o-0", ("spf", "mask"), MONDAY_NOON - timedelta(days=90))
    back = sent_back("o-0", ("spf",), MONDAY_NOON - timedelta(days=80))
    known = state(profile(), earlier, back, order(products=("spf", "cleanser")))
    plan = journey(step(offer={"from": ["replenish"]}))
    assert decided(known, plan).reason is Reason.NO_CANDIDATE


def test_an_offer_tells_where_each_product_comes_from() -> None:
    known = state(profile(), order())
    plan = journey(step(offer={"from": ["categories"], "categories": ["toner"], "max_price_share": None}))
    decision = decided(known, plan, proposed=candidates("toner"))
    assert decision.offer
    assert [(each.relation, each.support) for each in decision.offer.products] == [("journey", 150)]


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        ("candidate.price < 10.0", ["toner", "mask"]),
        ("candidate.category in ['serum']", ["serum"]),
        ("candidate.price_share >= 1.0", ["serum"]),
        ("candidate.score > 0.3 && candidate.reliable", ["toner", "serum"]),
        ("candidate.margin > 3.0", ["serum"]),
        ("candidate.stock < 0 && candidate.brand == 'Dew' && !candidate.consumable", ["toner"]),
        ("candidate.support >= 150 && candidate.relation == 'pair'", ["toner", "serum", "mask"]),
        ("candidate.product_id != 'toner'", ["serum", "mask"]),
    ],
)
def test_a_condition_on_candidates_leaves_out_the_others(where: str, expected: list[str]) -> None:
    known = state(profile(), order())
    plan = journey(step(offer={"from": ["complements"], "max_price_share": None, "where": where}))
    shelf = catalogue(product("serum", margin="9.00", stock=4))
    decision = decided(known, plan, proposed=candidates("toner", "serum", "mask"), shelf=shelf)
    assert decision.offer
    assert [each.product_id for each in decision.offer.products] == expected
    rest = [each for each in ("toner", "serum", "mask") if each not in expected]
    assert rule(decision, Reason.NO_CANDIDATE).inputs["left_out"] == ({"where": rest} if rest else {})


def test_a_price_in_another_currency_is_unknown_to_a_condition() -> None:
    known = state(profile(), order())
    terms = {"from": ["complements"], "max_price_share": None, "where": "candidate.price == -1.0"}
    shelf = catalogue(product("mask", currency="EUR"), product("serum", price=None))
    plan = journey(step(offer=terms))
    decision = decided(known, plan, proposed=candidates("toner", "serum", "mask"), shelf=shelf)
    assert decision.offer
    assert [each.product_id for each in decision.offer.products] == ["serum", "mask"]


def left_out(terms: dict[str, Any], *proposed: str, groups: dict[str, Any] | None = None) -> dict[str, Any]:
    """Return what a customer is not offered who has a rich toner, of long ago, and orders a cleanser."""
    earlier = order("o-0", ("toner-rich",), MONDAY_NOON - timedelta(days=90))
    known = state(profile(), earlier, order())
    plan = journey(step(offer={"max_price_share": None} | terms))
    rules = Programme.model_validate({"shop": SHOP, "replacement_groups": groups or {}})
    due = only(known, plan)
    decision = decide(known, due, plan, candidates(*proposed), context(programme=rules), due.due_at)
    found = rule(decision, Reason.NO_CANDIDATE).inputs["left_out"]
    assert isinstance(found, dict)
    return found


def test_by_product_only_the_very_same_is_owned() -> None:
    assert left_out({"from": ["complements"]}, "toner", "toner-rich") == {"owned": ["toner-rich"]}


def test_by_category_anything_of_it_is_owned() -> None:
    terms = {"from": ["complements"], "owned_by": "category"}
    assert left_out(terms, "toner", "mask") == {"owned": ["toner"]}


def test_by_replacement_group_one_member_stands_in_for_the_others() -> None:
    terms = {"from": ["complements"], "owned_by": "group"}
    assert left_out(terms, "toner", "mask") == {}
    groups = {"tonics": ["toner-rich", "mask"], "night": ["serum"]}
    assert left_out(terms, "toner", "mask", "serum", groups=groups) == {"owned": ["mask"]}


def test_a_replacement_group_may_name_categories() -> None:
    terms = {"from": ["complements"], "owned_by": "group"}
    groups = {"tonics": ["category:toner", "category:serum"]}
    assert left_out(terms, "toner", "mask", "serum", groups=groups) == {"owned": ["toner", "serum"]}


def test_an_upgrade_is_of_a_category_that_the_customer_has() -> None:
    assert left_out({"from": ["upgrade"], "owned_by": "category"}) == {}
    known = state(profile(), order(products=("serum",)))
    plan = journey(step(offer={"from": ["upgrade"], "owned_by": "category"}))
    decision = decided(known, plan)
    assert decision.offer
    assert [each.product_id for each in decision.offer.products] == ["serum-pro"]


def test_what_is_gone_from_the_catalogue_still_counts_by_the_category_it_was_ordered_in() -> None:
    known = state(profile(), order("o-0", ("toner-rich",), MONDAY_NOON - timedelta(days=90)), order())
    plan = journey(step(offer={"from": ["complements"], "max_price_share": None, "owned_by": "category"}))
    shelf = catalogue()
    shelf.remove("toner-rich")
    decision = decided(known, plan, proposed=candidates("toner"), shelf=shelf)
    assert decision.reason is Reason.OWNED


@pytest.mark.parametrize("gone", [{"in_stock": False}, {"stock": 0}])
def test_what_is_out_of_stock_is_left_out(gone: dict[str, Any]) -> None:
    known = state(profile(), order())
    decision = decided(
        known, journey(), proposed=candidates("toner"), shelf=catalogue(product("toner", **gone))
    )
    assert decision.reason is Reason.OUT_OF_STOCK


def requoted(price: str, **changes: Any) -> Decision:  # noqa: ANN401  any field
    """Return the second decision of an enrolment, whose first one quoted the toner at 9.00."""
    plan = journey(
        step("pair", offer={"from": ["complements"], "max_price_share": None}),
        step("later", offer={"from": ["complements"], "max_price_share": None}, delay="5d"),
    )
    known = state(profile(), order())
    known = record(known, decided(known, plan, proposed=candidates("toner")))
    shelf = catalogue(product("toner", price=Decimal(price), **changes))
    return decided(known, plan, name="later", proposed=candidates("toner"), shelf=shelf)


def test_a_price_may_rise_by_what_the_shop_tolerates_and_no_more() -> None:
    assert requoted("9.90").verdict is Verdict.SEND
    assert requoted("5.00").verdict is Verdict.SEND
    assert requoted("9.91").reason is Reason.PRICE_MOVED


def test_a_price_in_another_currency_is_not_compared_with_what_was_quoted() -> None:
    assert requoted("90.00", currency="EUR").verdict is Verdict.SEND


def test_another_enrolments_quote_does_not_bind() -> None:
    plan = journey(step(offer={"from": ["complements"], "max_price_share": None}))
    known = state(profile(), order(), order("o-2", ("mask",), MONDAY_NOON + timedelta(days=20)))
    known = record(known, decided(known, plan, proposed=candidates("toner")))
    shelf = catalogue(product("toner", price=Decimal("99.00")))
    decision = decided(known, plan, order_id="o-2", proposed=candidates("toner"), shelf=shelf)
    assert decision.verdict is Verdict.SEND
