"""Which products are offered, from which source, at which terms."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from shared.events import Reason
from tests.support.deciding import (
    MONDAY_NOON,
    candidates,
    catalogue,
    decided,
    journey,
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
