"""What is shown beside a product or a basket, and what is not."""

from decimal import Decimal

import pytest

from services.recommender.domain.serving import recommend
from services.recommender.domain.shelf import Shelf
from services.recommender.domain.wish import LeftOut, Wish
from tests.support.serving import baskets, candidate, product, shelf

MAT = candidate("mat", 240, 0.48)
BANANA = candidate("banana", 250, 0.5)
CHALK = candidate("chalk", 40, 0.3)
CATALOGUE = tuple(
    product(name, category, price)
    for name, category, price in (
        ("kettlebell", "weights", "40"),
        ("dumbbell", "weights", "30"),
        ("mat", "floor", "20"),
        ("banana", None, "0.50"),
        ("chalk", "grip", "5"),
    )
)


def shown(made: Shelf, *basket: str, k: int = 10, **wish: object) -> list[str]:
    answer = recommend(made, Wish(basket, k, **wish))  # type: ignore[arg-type]  # a test names one field at a time
    return [pick.product for pick in answer.picks]


def test_one_products_complements_keep_the_rankers_order() -> None:
    made = shelf({"kettlebell": (MAT, BANANA, CHALK)}, mat=300, banana=5000)
    assert shown(made, "kettlebell", k=3) == ["mat", "banana", "chalk"]


def test_what_goes_with_several_of_the_basket_leads() -> None:
    made = shelf(
        {
            "kettlebell": (candidate("mat", 50, 0.3), candidate("chalk", 50, 0.2)),
            "bar": (candidate("rack", 50, 0.3), candidate("chalk", 60, 0.2)),
        },
        mat=200,
        chalk=200,
        rack=200,
    )
    (chalk, *_) = recommend(made, Wish(("kettlebell", "bar"), 3)).picks
    assert (chalk.product, chalk.support, chalk.because) == ("chalk", 60, "bar")
    assert chalk.voices == ("kettlebell", "bar")


def test_what_everybody_buys_anyway_is_weighed_down_in_a_basket() -> None:
    made = shelf({"kettlebell": (MAT, BANANA), "bar": (BANANA, MAT)}, mat=300, banana=90_000)
    assert shown(made, "kettlebell", "bar", k=2) == ["mat", "banana"]


def test_the_basket_twice_is_the_basket_once() -> None:
    made = shelf({"kettlebell": (MAT, CHALK), "bar": (CHALK,)}, mat=300, chalk=300)
    once = recommend(made, Wish(("kettlebell", "bar"), 5))
    assert recommend(made, Wish(("kettlebell", "bar", "kettlebell"), 5)).picks == once.picks


def test_under_a_hundred_baskets_nothing_is_called_reliable() -> None:
    made = shelf({"kettlebell": (MAT, candidate("chalk", 99, 0.3))})
    found = recommend(made, Wish(("kettlebell",), 5)).picks
    assert [(pick.support, pick.reliable) for pick in found] == [(240, True), (99, False)]


def test_what_is_in_the_basket_or_excluded_is_not_shown() -> None:
    made = shelf({"kettlebell": (MAT, BANANA, CHALK), "mat": (CHALK,)})
    answer = recommend(made, Wish(("kettlebell", "mat"), 5, frozenset({"banana"})))
    assert [pick.product for pick in answer.picks] == ["chalk"]
    assert answer.left_out == {"mat": LeftOut.IN_BASKET, "banana": LeftOut.EXCLUDED}


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        (product("mat", in_stock=False), LeftOut.OUT_OF_STOCK),
        (product("mat", price="26"), LeftOut.TOO_DEAR),
        (product("mat"), LeftOut.PRICE_UNKNOWN),
        (product("mat", price="20", currency="EUR"), LeftOut.OTHER_CURRENCY),
        (product("rope", price="9"), LeftOut.NOT_IN_CATALOGUE),
        (product("mat", price="25"), None),
    ],
)
def test_what_cannot_be_bought_within_the_limit_is_left_out_with_its_reason(
    said: object, reason: LeftOut | None
) -> None:
    made = shelf({"kettlebell": (MAT,)}, (said,))  # type: ignore[arg-type]  # parametrized values are objects
    answer = recommend(made, Wish(("kettlebell",), 5, max_price=Decimal(25), currency="USD"))
    assert answer.left_out.get("mat") is reason
    assert [pick.product for pick in answer.picks] == ([] if reason else ["mat"])


def test_a_shop_without_catalogue_shows_what_is_bought_together() -> None:
    assert shown(shelf({"kettlebell": (MAT, CHALK)}), "kettlebell") == ["mat", "chalk"]


def test_a_product_that_nobody_bought_falls_back_on_its_category_then_on_the_shop() -> None:
    made = shelf(
        {"bar": (CHALK,)}, (*CATALOGUE, product("new", "weights")), kettlebell=30, dumbbell=70, banana=100
    )
    found = recommend(made, Wish(("new",), 3)).picks
    assert [(pick.product, pick.relation) for pick in found] == [
        ("dumbbell", "category"),
        ("kettlebell", "category"),
        ("banana", "popular"),
    ]
    assert [pick.score for pick in found] == [0.7, 0.3, 0.5]
    assert {(pick.support, pick.reliable, pick.because) for pick in found} == {(0, False, None)}


def test_an_unheard_of_product_falls_back_on_the_shop() -> None:
    made = shelf({}, CATALOGUE, mat=5, banana=100)
    assert shown(made, "unheard-of") == ["banana", "mat"]


def test_places_left_open_are_filled_without_repeating() -> None:
    made = shelf({"kettlebell": (MAT,)}, CATALOGUE, mat=900, dumbbell=70, banana=100)
    assert shown(made, "kettlebell", k=3) == ["mat", "dumbbell", "banana"]


def test_a_category_that_changes_takes_its_popularity_along() -> None:
    made = shelf({}, CATALOGUE, kettlebell=3, banana=100)
    made.put_listing("banana", product("banana", "weights"))
    made.forget_popular()
    assert made.popular(("category", "weights"))[0][0] == "banana"
    made.put_listing("banana", None)
    made.forget_popular()
    assert [name for name, _ in made.popular(("category", "weights"))] == ["kettlebell"]


def test_what_was_taken_back_entirely_is_not_popular() -> None:
    made = shelf({}, banana=100, mat=5)
    made.put_counts("banana", baskets("banana", 0))
    made.put_counts("mat", None)
    assert made.popular() == []


def test_what_is_popular_changes_when_it_is_looked_at_again() -> None:
    made = shelf({}, banana=100)
    assert [name for name, _ in made.popular()] == ["banana"]
    made.put_counts("mat", baskets("mat", 500))
    assert [name for name, _ in made.popular()] == ["banana"]
    made.forget_popular()
    assert [name for name, _ in made.popular()] == ["mat", "banana"]
