"""What people are shown of the counts: lift, neighbours, the matrix and its picture."""

from itertools import product as every
from xml.etree import ElementTree as ET

import pytest

from services.recommender.domain.lookup import Affinities, matrix, neighbourhood, side_by_side
from services.recommender.heatmap import svg
from tests.support.serving import candidate


@pytest.fixture
def counts() -> Affinities:
    """Give two couples that are bought together, and hardly across."""
    pairs = {("bun", "sausage"): 60, ("milk", "oats"): 60, ("bun", "milk"): 4, ("sausage", "oats"): 1}
    made = Affinities(orders=dict.fromkeys(("bun", "milk", "sausage", "oats"), 100))
    for (one, other), number in pairs.items():
        made.pairs.setdefault(one, {})[other] = number
        made.pairs.setdefault(other, {})[one] = number
    return made


def test_lift_is_one_for_what_ordinary_products_have_in_common() -> None:
    orders = {"a": 10, "b": 20, "c": 40}
    even = Affinities(
        orders,
        {one: {other: orders[one] * orders[other] for other in orders if other != one} for one in orders},
    )
    lifts = even.lifts()
    assert {lifts.of(one, other) for one, other in every(orders, orders) if one != other} == {1.0}


def test_lift_is_unknown_where_no_basket_with_both_is(counts: Affinities) -> None:
    assert counts.lifts().of("bun", "oats") is None
    assert counts.lifts().of("bun", "unheard-of") is None


def test_a_pair_that_one_side_pruned_is_taken_from_the_other(counts: Affinities) -> None:
    del counts.pairs["bun"]["sausage"]
    assert counts.support("bun", "sausage") == 60


def test_neighbours_are_the_ranked_ones_then_the_frequent_ones(counts: Affinities) -> None:
    counts.complements["bun"] = (candidate("milk", 4, 0.1),)
    milk, sausage = neighbourhood(counts, "bun", 20)
    assert (milk.product, milk.support, milk.score, milk.reliable) == ("milk", 4, 0.1, False)
    assert (sausage.product, sausage.support, sausage.orders, sausage.score) == ("sausage", 60, 100, None)
    assert sausage.lift == pytest.approx(60 / (125 / 6), abs=0.001)
    assert len(neighbourhood(counts, "bun", 1)) == 1


def test_what_goes_together_stands_together(counts: Affinities) -> None:
    assert counts.most_bought(4) == ["sausage", "oats", "milk", "bun"]
    assert side_by_side(counts, counts.most_bought(4)) == ["sausage", "bun", "milk", "oats"]
    assert side_by_side(counts, []) == []


def test_the_matrix_is_symmetric(counts: Affinities) -> None:
    for measure in ("lift", "count"):
        rows = matrix(counts, counts.most_bought(4), measure)
        assert rows == [list(column) for column in zip(*rows, strict=True)]


def test_the_heat_map_is_an_image_with_a_cell_and_a_story_for_each_pair(counts: Affinities) -> None:
    products = counts.most_bought(4)
    names = ['Sausage <hot> & "long"', *products[1:]]
    image = svg("what & what", names, matrix(counts, products, "lift"), "lift")
    told = [title.text or "" for title in ET.fromstring(image).iter("{http://www.w3.org/2000/svg}title")]  # noqa: S314  our own
    assert len([text for text in told if " with " in text]) == 16
    assert 'Sausage <hot> & "long" with bun: lift 2.88' in told
    assert "bun with oats: -" in told


@pytest.mark.parametrize("size", [0, 1, 3, 120])
def test_a_heat_map_of_any_size_can_be_drawn(size: int) -> None:
    names = [f"product {number}" for number in range(size)]
    rows: list[list[int | None]] = [[0] * size for _ in names]
    assert ET.fromstring(svg("nothing sold", names, rows, "count")).tag.endswith("svg")  # noqa: S314  our own
