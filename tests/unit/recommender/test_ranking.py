"""What goes with a product, and the evidence that is shown for it."""

from collections.abc import Mapping, Sequence

import pytest

from services.recommender.domain.ranking import Relevance, complements
from services.recommender.domain.shop import ShopCounts
from shared.events import Candidate, PairCounts, Timing
from tests.support.ranking import listed, put


@pytest.fixture
def shop() -> ShopCounts:
    """Give a shop where bananas are in half of all baskets, and a mat goes with kettlebells."""
    counts = ShopCounts()
    for product, category in {"kettlebell": "weights", "dumbbell": "weights", "mat": "floor"}.items():
        counts.put_listing(product, listed(category))
    put(counts, "banana", 5000, {"kettlebell": 250, "mat": 60, "dumbbell": 50})
    put(counts, "kettlebell", 500, {"banana": 250, "mat": 240, "dumbbell": 5})
    put(counts, "mat", 300, {"kettlebell": 240, "banana": 60, "dumbbell": 1})
    put(counts, "dumbbell", 100, {"banana": 50, "kettlebell": 5, "mat": 1})
    return counts


def by_relevance(*products: str) -> Relevance:
    return lambda _: products


def ranked(
    counts: ShopCounts, product: str, top: int = 10, order: Sequence[str] = ()
) -> tuple[Candidate, ...]:
    return complements(counts, product, top, by_relevance(*order))


def names(candidates: tuple[Candidate, ...]) -> list[str]:
    return [one.product_id for one in candidates]


def relations(candidates: tuple[Candidate, ...]) -> Mapping[str, str]:
    return {one.product_id: one.relation for one in candidates}


def test_what_is_bought_together_keeps_the_order_of_relevance(shop: ShopCounts) -> None:
    for order in (["mat", "banana", "dumbbell"], ["dumbbell", "mat", "banana"]):
        assert names(ranked(shop, "kettlebell", 3, order)) == order


def test_evidence_comes_with_each_candidate(shop: ShopCounts) -> None:
    mat, dumbbell = ranked(shop, "kettlebell", 2, ["mat", "dumbbell"])
    assert (mat.support, mat.relation, mat.reliable, mat.gap) == (240, "pair", True, None)
    assert mat.score == pytest.approx(240 / 500, abs=0.02)
    assert (dumbbell.support, dumbbell.relation, dumbbell.reliable) == (5, "pair", False)


def test_a_hundred_supporting_baskets_are_reliable_and_one_fewer_are_not() -> None:
    counts = ShopCounts()
    put(counts, "tent", 1000, {"peg": 100, "mallet": 99})
    assert [one.reliable for one in ranked(counts, "tent", 2, ["peg", "mallet"])] == [True, False]


def test_a_product_is_never_its_own_complement(shop: ShopCounts) -> None:
    assert "mat" not in names(ranked(shop, "mat", 10, ["mat", "kettlebell"]))


def test_what_is_banned_does_not_take_a_place(shop: ShopCounts) -> None:
    found = complements(
        shop, "kettlebell", 2, by_relevance("mat", "banana", "dumbbell"), {"mat"}.__contains__
    )
    assert names(found) == ["banana", "dumbbell"]


def test_what_is_bought_later_rather_than_together_is_a_sequence_with_customers_and_gap() -> None:
    counts, gap = ShopCounts(), Timing(support=620, share=0.63, days=(30.0, 45.0, 60.0), mean_days=45.0)
    put(
        counts,
        "kettlebell",
        1000,
        {"mat": 20, "guide": 50},
        buyers=980,
        follows={"mat": 620},
        timing={"mat": gap},
    )
    put(counts, "mat", 700, {"kettlebell": 20}, buyers=700, follows={"kettlebell": 10})
    mat, guide = ranked(counts, "kettlebell", 2, ["guide", "mat"])
    assert (mat.product_id, mat.relation, mat.support, mat.reliable, mat.gap) == (
        "mat",
        "sequence",
        620,
        True,
        gap,
    )
    assert mat.score == pytest.approx((620 + 20 * 90 / 1700 / 1700 * 700) / 1000, abs=1e-6)
    assert (guide.product_id, guide.relation, guide.support) == ("guide", "pair", 50)


@pytest.mark.parametrize(
    ("together", "after", "before", "relation"),
    [(0, 9, 0, "sequence"), (0, 8, 0, None), (9, 9, 0, "pair"), (5, 50, 30, "pair"), (5, 50, 20, "sequence")],
)
def test_a_sequence_is_later_than_together_and_more_often_than_the_other_way_round_beyond_chance(
    together: int, after: int, before: int, relation: str | None
) -> None:
    counts = ShopCounts()
    put(counts, "bands", 200, {"anchor": together}, buyers=200, follows={"anchor": after})
    put(counts, "anchor", 200, {"bands": together}, buyers=200, follows={"bands": before})
    found = relations(ranked(counts, "bands", 1, ["anchor"]))
    assert found.get("anchor") == (relation or "popular")


def test_where_the_other_way_round_was_pruned_it_may_be_as_often_as_what_was_kept() -> None:
    relations_by_kept = {}
    for kept in (2, 3):
        counts = ShopCounts(kept)
        put(counts, "rare", 50, {"banana": 5}, follows={"banana": 20})
        put(counts, "banana", 900, {}, follows={"bread": 80, "milk": 15})
        relations_by_kept[kept] = relations(ranked(counts, "rare", 1, ["banana"]))
    assert relations_by_kept == {2: {"banana": "pair"}, 3: {"banana": "sequence"}}


def test_a_sequence_stands_before_the_first_pair_that_weighs_less() -> None:
    counts = ShopCounts()
    put(counts, "a", 1000, {"first": 400, "second": 100, "third": 90}, buyers=1000, follows={"later": 200})
    for one in ("first", "second", "third", "later"):
        put(counts, one, 500, {})
    assert names(ranked(counts, "a", 4, ["first", "second", "third"])) == [
        "first",
        "later",
        "second",
        "third",
    ]


def test_a_product_that_never_sold_borrows_from_its_category(shop: ShopCounts) -> None:
    shop.put_listing("new-kettlebell", listed("weights"))
    shop.forget_popular()
    found = ranked(shop, "new-kettlebell", 5)
    assert found[0].product_id == "mat"
    assert {(one.relation, one.support) for one in found if one.product_id in ("mat", "kettlebell")} == {
        ("category", 0)
    }


def test_a_product_without_category_borrows_from_the_whole_shop(shop: ShopCounts) -> None:
    found = ranked(shop, "unheard-of", 2)
    assert found[0].product_id == "banana"
    assert set(relations(found).values()) == {"popular"}


def test_one_basket_in_common_does_not_beat_a_strong_category(shop: ShopCounts) -> None:
    put(shop, "oddity", 1, {"rare-kettlebell": 1})
    put(shop, "rare-kettlebell", 2, {"oddity": 1})
    shop.put_listing("rare-kettlebell", listed("weights"))
    shop.forget_popular()
    assert names(ranked(shop, "rare-kettlebell", 1, ["oddity"])) == ["mat"]


def test_places_that_evidence_leaves_open_are_filled_from_category_and_popularity(shop: ShopCounts) -> None:
    put(shop, "towel", 40, {"kettlebell": 2})
    shop.put_listing("towel", listed("floor"))
    found = ranked(shop, "towel", 4, ["kettlebell"])
    assert names(found)[0] == "kettlebell"
    assert relations(found) == {
        "kettlebell": "pair",
        "banana": "popular",
        "mat": "category",
        "dumbbell": "category",
    }


def test_an_empty_shop_proposes_nothing() -> None:
    assert ranked(ShopCounts(), "a", 5) == ()


def test_newest_counts_replace_former_ones_whole(shop: ShopCounts) -> None:
    before = {one: ranked(shop, one) for one in shop.rows}
    shop.put(PairCounts(product_id="kettlebell", orders=1, pairs={"banana": 1, "oddity": 1}))
    put(shop, "kettlebell", 500, {"banana": 250, "mat": 240, "dumbbell": 5})
    shop.forget_popular()
    assert {one: ranked(shop, one) for one in before} == before
