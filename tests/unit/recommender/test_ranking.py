"""What goes with a product, and when that is worth saying again."""

import pytest

from services.recommender.domain.ranking import ShopCounts, complements, materially_different
from shared.events import Candidate


@pytest.fixture
def shop() -> ShopCounts:
    """Give a shop where bananas are in half of all baskets, and a mat goes with kettlebells."""
    counts = ShopCounts()
    for product, category in {"kettlebell": "weights", "dumbbell": "weights", "mat": "floor"}.items():
        counts.put_category(product, category)
    counts.put("banana", 5000, {"kettlebell": 250, "mat": 60, "dumbbell": 50})
    counts.put("kettlebell", 500, {"banana": 250, "mat": 240, "dumbbell": 5})
    counts.put("mat", 300, {"kettlebell": 240, "banana": 60, "dumbbell": 1})
    counts.put("dumbbell", 100, {"banana": 50, "kettlebell": 5, "mat": 1})
    return counts


def names(candidates: tuple[Candidate, ...]) -> list[str]:
    return [one.product_id for one in candidates]


def test_what_is_bought_with_everything_does_not_lead(shop: ShopCounts) -> None:
    assert names(complements(shop, "kettlebell", 2)) == ["mat", "banana"]


def test_evidence_comes_with_each_candidate(shop: ShopCounts) -> None:
    mat, *_, dumbbell = complements(shop, "kettlebell", 3)
    assert (mat.support, mat.relation, mat.reliable) == (240, "pair", True)
    assert mat.score == pytest.approx(240 / 500, abs=0.02)
    assert (dumbbell.support, dumbbell.reliable) == (5, False)


def test_a_product_is_never_its_own_complement(shop: ShopCounts) -> None:
    assert "mat" not in names(complements(shop, "mat", 10))


def test_a_product_that_never_sold_borrows_from_its_category(shop: ShopCounts) -> None:
    shop.put_category("new-kettlebell", "weights")
    shop.forget_popular()
    found = complements(shop, "new-kettlebell", 5)
    assert found[0].product_id == "mat"
    assert {(one.relation, one.support) for one in found if one.product_id in ("mat", "kettlebell")} == {
        ("category", 0)
    }


def test_a_product_without_category_borrows_from_the_whole_shop(shop: ShopCounts) -> None:
    found = complements(shop, "unheard-of", 2)
    assert found[0].product_id == "banana"
    assert {one.relation for one in found} == {"popular"}


def test_one_basket_in_common_does_not_beat_a_strong_category(shop: ShopCounts) -> None:
    shop.put("oddity", 1, {"rare-kettlebell": 1})
    shop.put("rare-kettlebell", 2, {"oddity": 1})
    shop.put_category("rare-kettlebell", "weights")
    shop.forget_popular()
    assert names(complements(shop, "rare-kettlebell", 1)) == ["mat"]


def test_an_empty_shop_proposes_nothing() -> None:
    assert complements(ShopCounts(), "a", 5) == ()


def test_newest_counts_replace_former_ones_whole(shop: ShopCounts) -> None:
    again, other = ShopCounts(), ShopCounts()
    for counts in (again, other):
        for product, category in shop.category.items():
            counts.put_category(product, category)
    again.put("kettlebell", 1, {"banana": 1, "mat": 1})
    for product, orders in shop.orders.items():
        again.put(product, orders, shop.pairs[product])
        other.put(product, orders, shop.pairs[product])
    assert [complements(again, one, 5) for one in shop.orders] == [
        complements(other, one, 5) for one in shop.orders
    ]


def test_categories_that_come_after_the_counts_count_as_if_they_had_been_first(shop: ShopCounts) -> None:
    late = ShopCounts()
    for product, orders in shop.orders.items():
        late.put(product, orders, shop.pairs[product])
    for product, category in shop.category.items():
        late.put_category(product, category)
    assert [complements(late, one, 5) for one in shop.orders] == [
        complements(shop, one, 5) for one in shop.orders
    ]


A, B = (Candidate(product_id=name, score=0.5, support=9, relation="pair") for name in "ab")


@pytest.mark.parametrize(
    ("new", "differs"),
    [
        ((A, B), False),
        ((A.model_copy(update={"score": 0.51, "support": 10}), B), False),
        ((A.model_copy(update={"score": 0.6}), B), True),
        ((A.model_copy(update={"reliable": True}), B), True),
        ((B, A), True),
        ((A,), True),
    ],
)
def test_only_what_matters_is_published_again(new: tuple[Candidate, ...], *, differs: bool) -> None:
    assert materially_different(new, (A, B)) is differs
