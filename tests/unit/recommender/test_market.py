"""A shop as the ranker keeps it: what a change touches, and what is said of a product in the end."""

import pytest

from services.recommender.domain.market import Market
from services.recommender.domain.relations import NO_RULES, Ban, Made, Pin, Rules, ShopRelations
from shared.events import Candidate, Complements, PairCounts, Timing
from tests.support.ranking import listed, row

GAP = Timing(support=90, share=0.45, days=(50.0, 60.0, 70.0), mean_days=60.0)


def rows() -> list[PairCounts]:
    kettlebell = row(
        "kettlebell",
        200,
        {"mat": 120, "band": 40, "chalk": 10},
        buyers=180,
        follows={"heavier": 90},
        timing={"heavier": GAP},
        repurchase=GAP,
    )
    return [
        kettlebell,
        row("mat", 150, {"kettlebell": 120, "band": 20}),
        row("band", 60, {"kettlebell": 40, "mat": 20}),
        row("chalk", 200, {"kettlebell": 10}),
        row("heavier", 100, {}),
    ]


@pytest.fixture
def market() -> Market:
    """Give a shop where mats and bands go with kettlebells, whose owners later buy heavier ones."""
    made = Market(3, 200)
    prices = {"kettlebell": "30", "heavier": "40", "gold": "300"}
    for product, price in prices.items():
        made.put_listing(product, listed("weights", price))
    for one in rows():
        made.put(one)
    return made


def said(market: Market, rules: Rules = NO_RULES, product: str = "kettlebell") -> Complements:
    return market.complements(product, 7, rules)


def ranked(candidates: tuple[Candidate, ...]) -> list[tuple[str, str]]:
    return [(one.product_id, one.relation) for one in candidates]


def test_a_product_is_told_of_with_all_that_its_row_says(market: Market) -> None:
    told = said(market)
    assert (told.product_id, told.version, told.repurchase) == ("kettlebell", 7, GAP)
    assert ranked(told.candidates) == [("mat", "pair"), ("heavier", "sequence"), ("band", "pair")]
    (heavier,) = told.upgrades
    assert heavier == Candidate(
        product_id="heavier", score=0.45, support=90, relation="upgrade", reliable=False, gap=GAP
    )
    assert told.candidates[1].gap == GAP


def test_pins_come_first_then_warranty_and_refill_and_what_is_banned_leaves_its_place(market: Market) -> None:
    rules = Rules.of(
        ShopRelations(
            pins=(Pin(product="kettlebell", show=("guide",)), Pin(category="weights", show=("band",))),
            bans=(Ban(product="mat", beside="kettlebell"),),
            relations=(Made(product="chalk", kind="refill", of="kettlebell"),),
        )
    )
    told = said(market, rules)
    assert ranked(told.candidates) == [("guide", "pinned"), ("band", "pinned"), ("chalk", "refill")]
    assert [one.support for one in told.candidates] == [0, 40, 10]
    only_banned = Rules.of(ShopRelations(bans=(Ban(product="mat"),)))
    assert ranked(said(market, only_banned).candidates) == [
        ("heavier", "sequence"),
        ("band", "pair"),
        ("chalk", "pair"),
    ]


def test_a_premium_tier_leads_the_upgrades_with_what_is_known_of_it(market: Market) -> None:
    rules = Rules.of(ShopRelations(relations=(Made(product="gold", kind="premium", of="kettlebell"),)))
    assert ranked(said(market, rules).upgrades) == [("gold", "premium"), ("heavier", "upgrade")]
    banned = Rules.of(ShopRelations(bans=(Ban(product="heavier"),)))
    assert said(market, banned).upgrades == ()


def test_weights_say_for_whom_a_product_speaks_once_those_are_solved(market: Market) -> None:
    assert said(market).weights == {}
    for product in ("mat", "band"):
        assert "kettlebell" in market.solve(product)
    weights = said(market).weights
    assert list(weights) == ["mat", "band"]
    assert said(market, product="chalk").weights == {}
    said(market, product="band")
    assert market.solve("mat") == frozenset()


def test_later_weights_come_from_who_bought_what_later(market: Market) -> None:
    market.put(row("heavier", 100, {}, follows={"kettlebell": 5}))
    market.solve("kettlebell")
    assert list(said(market, product="heavier").later) == ["kettlebell"]


def test_what_was_published_stands_in_for_what_is_not_solved_yet(market: Market) -> None:
    for product in market.rows:
        market.solve(product)
    before = said(market)
    again = Market(3, 200)
    again.put_published(before)
    for one in rows():
        again.put(one)
    assert (said(again).weights, said(again).later) == (before.weights, before.later)


def test_a_change_is_told_to_those_who_count_the_product_once_it_is_material(market: Market) -> None:
    sold = {"kettlebell": 40, "mat": 20}
    assert market.put(row("band", 65, sold)) == frozenset()
    assert market.put(row("band", 66, sold)) == {"kettlebell", "mat"}
    assert market.put(row("band", 66, {"kettlebell": 40})) == frozenset()
    assert market.put(row("kettlebell", 400, {"mat": 120, "band": 40})) == {"mat", "band", "chalk"}


def test_a_new_category_or_price_touches_the_product_and_owners_in_its_category(market: Market) -> None:
    assert market.put_listing("heavier", listed("weights", "45")) == {"heavier", "kettlebell"}
    assert market.put_listing("heavier", listed("weights", "45")) == frozenset()
    assert market.put_listing("mat", listed("floor", "20")) == {"mat"}
