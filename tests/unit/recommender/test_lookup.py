"""What people are shown of the counts: lift, neighbours, the matrix and its picture."""

from io import StringIO
from itertools import product as every
from xml.etree import ElementTree as ET

import pytest
from rich.console import Console

from services.recommender.domain.lookup import Affinities, ladder, matrix, neighbourhood, side_by_side
from services.recommender.heatmap import svg
from services.recommender.telling import as_data, tell
from shared.events import Candidate, Complements, Timing
from tests.support.ranking import row
from tests.support.serving import candidate

GAP = Timing(support=400, share=0.6, days=(10.0, 40.0, 50.0), mean_days=35.0)
EARLIER = Timing(support=300, share=0.6, days=(5.0, 20.0, 30.0), mean_days=18.0)


def said(*candidates: Candidate, upgrades: tuple[Candidate, ...] = ()) -> Complements:
    return Complements(product_id="bun", version=1, candidates=candidates, upgrades=upgrades)


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
    counts.complements["bun"] = said(candidate("milk", 4, 0.1))
    milk, sausage = neighbourhood(counts, "bun", 20)
    assert (milk.product, milk.support, milk.score, milk.reliable) == ("milk", 4, 0.1, False)
    assert (sausage.product, sausage.support, sausage.orders, sausage.score) == ("sausage", 60, 100, None)
    assert sausage.lift == pytest.approx(60 / (125 / 6), abs=0.001)
    assert len(neighbourhood(counts, "bun", 1)) == 1


def test_a_neighbour_comes_with_who_bought_it_later_and_when(counts: Affinities) -> None:
    pairs = {"sausage": 60, "milk": 4}
    counts.put("bun", row("bun", 100, pairs, follows={"milk": 30}, timing={"milk": GAP, "sausage": GAP}))
    mustard = candidate("milk", 30, 0.3).model_copy(update={"relation": "sequence", "gap": EARLIER})
    counts.complements["bun"] = said(mustard)
    milk, sausage = neighbourhood(counts, "bun", 20)
    assert (milk.relation, milk.support, milk.later, milk.evidence, milk.gap) == (
        "sequence",
        4,
        30,
        30,
        EARLIER,
    )
    assert (sausage.relation, sausage.later, sausage.evidence, sausage.gap) == (None, 0, None, GAP)


def test_upgrades_are_listed_in_their_order(counts: Affinities) -> None:
    counts.complements["bun"] = said(upgrades=(candidate("oats", 3, 0.2), candidate("milk", 9, 0.1)))
    assert [one.product for one in ladder(counts, "bun")] == ["oats", "milk"]
    assert ladder(counts, "milk") == []


def test_a_row_that_is_gone_leaves_nothing(counts: Affinities) -> None:
    counts.put("bun", row("bun", 100, {"milk": 1}, follows={"milk": 30}, repurchase=GAP))
    counts.put("bun", None)
    for known in (counts.orders, counts.pairs, counts.later, counts.timing, counts.repurchase):
        assert "bun" not in known


def test_people_are_told_of_sequences_gaps_repurchases_and_upgrades(counts: Affinities) -> None:
    counts.put("bun", row("bun", 100, {"milk": 4}, follows={"milk": 300}, repurchase=GAP))
    later = candidate("milk", 300, 0.3).model_copy(update={"relation": "sequence", "gap": EARLIER})
    counts.complements["bun"] = said(later, upgrades=(candidate("oats", 3, 0.2),))
    console = Console(width=152, record=True, file=StringIO())
    tell(console, counts, "bun", 5)
    shown = " ".join(console.export_text().split())
    assert "bought again by 60% of its buyers, half of these within 40 days (quartiles 10 / 40 / 50" in shown
    assert "milk 4 300 100 100" in shown
    assert "sequence 5 / 20 / 30" in shown
    assert "upgrades, by customers who bought them later" in shown
    assert as_data(counts, "grocer", "bun", 5)["neighbours"][0]["gap"]["days"] == [5.0, 20.0, 30.0]


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
