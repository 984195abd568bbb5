"""Relevance from rows as they come, against what it is defined to be."""

from collections.abc import Mapping

import numpy as np
import pytest

from services.recommender.domain.model import Model
from services.recommender.domain.recency import Recency
from services.recommender.domain.relevance import DEFAULT
from services.recommender.domain.rows import together_fade
from shared.events import PairCounts
from tests.support.ranking import row

TODAY = 20_000
PAIRS = {("a", "b"): 30, ("a", "c"): 12, ("b", "c"): 6, ("b", "d"): 3}
ORDERS = {"a": 90, "b": 60, "c": 40, "d": 20}


def shop(**without: str) -> dict[str, PairCounts]:
    """Give four products' rows; `without` says which neighbour pruning took from which row."""
    pairs: dict[str, dict[str, int]] = {one: {} for one in ORDERS}
    for (one, other), number in PAIRS.items():
        pairs[one][other] = pairs[other][one] = number
    for one, other in without.items():
        del pairs[one][other]
    return {one: row(one, orders, pairs[one]) for one, orders in ORDERS.items()}


def learned(rows: Mapping[str, PairCounts]) -> Model:
    model = Model()
    for one in rows.values():
        model.put(one)
    return model


def common_of(orders: float) -> float:
    rare = (orders + DEFAULT.rare_prior) / (orders + DEFAULT.rare_prior + DEFAULT.rare_orders)
    return float((orders + DEFAULT.damping) ** DEFAULT.basket_alpha * rare**DEFAULT.rare_power)


def weights_for(product: str, near: str) -> dict[str, float]:
    """Solve by the definition: neighbours explain a product's purchases, less for what everybody takes."""
    both = {**PAIRS, **{(other, one): number for (one, other), number in PAIRS.items()}}
    gram = np.array([[ORDERS[i] if i == j else both.get((i, j), 0) for j in near] for i in near], float)
    cross = np.array([both[i, product] for i in near], float)
    solved = np.linalg.solve(gram + DEFAULT.basket_penalty * np.eye(len(near)), cross)
    common = common_of(ORDERS[product])
    return dict(zip(near, solved / common, strict=True))


def test_weights_are_those_of_a_ridge_solve_among_neighbours() -> None:
    model = learned(shop())
    assert model.baskets("c") == pytest.approx(weights_for("c", "ab"), rel=1e-4)
    assert model.baskets("b") == pytest.approx(weights_for("b", "acd"), rel=1e-4)
    assert model.baskets("unheard-of") == {}


def test_what_pruning_took_from_one_row_of_a_pair_stands_in_the_other() -> None:
    model = learned(shop(a="c"))
    assert model.baskets("c") == pytest.approx(weights_for("c", "ab"), rel=1e-4)
    assert model.baskets("a") == pytest.approx(weights_for("a", "b"), rel=1e-4)


def test_a_neighbour_one_way_only_speaks_by_what_its_share_is_above_the_expected() -> None:
    model = learned(shop(a="c"))
    expected = (12 + 6) * 90 / 210
    beyond = DEFAULT.beyond_part * (12 - expected) / (40 + DEFAULT.damping)
    common = common_of(90)
    assert model.beyond("c") == pytest.approx({"a": beyond / common}, rel=1e-4)
    assert model.beyond("b") == {}
    assert model.beyond("unheard-of") == {}


def test_a_row_of_an_older_bucket_counts_as_it_has_faded_since() -> None:
    rows = shop()
    rows["a"] = rows["a"].model_copy(update={"bucket": 0})
    grown = {
        one: said.model_copy(
            update={
                "bucket": 13,
                "bought": said.bought,
                "together": {other: n for other, n in said.together.items() if other != "a"},
            }
        )
        for one, said in rows.items()
        if one != "a"
    }
    model = learned({"a": rows["a"], **grown})
    faded = together_fade(13)
    gram = np.array([[60 + DEFAULT.basket_penalty, 6], [6, 40 + DEFAULT.basket_penalty]])
    solved = np.linalg.solve(gram, np.array([30 * faded, 12 * faded]))
    common = common_of(90 * faded)
    assert model.baskets("a") == pytest.approx({"b": solved[0] / common, "c": solved[1] / common}, rel=1e-4)


def test_owners_are_who_bought_the_other_later_either_way_and_those_who_bought_both_at_once() -> None:
    model = Model()
    model.put(row("a", 100, {"b": 10}, buyers=50, follows={"b": 20}))
    model.put(row("b", 80, {"a": 10}, buyers=40, follows={"a": 6}))
    both = 20 + 10 * 50 / 100 / 2 + 6 + 10 * 40 / 80 / 2
    weight = both / (40 + DEFAULT.customer_penalty) / (50 + DEFAULT.damping) ** DEFAULT.customer_alpha
    assert model.owners("a") == pytest.approx({"b": weight}, rel=1e-5)


def test_what_is_bought_together_is_ordered_by_share_popularity_and_trend() -> None:
    model = learned(shop())
    assert model.together("b") == ["a", "c", "d"]
    model.put(row("d", 20, {"b": 3}).model_copy(update={"recent": {str(TODAY): 2000}}))
    assert model.together("b") == ["a", "d", "c"]
    model.put(row("e", 20, {}).model_copy(update={"recent": {str(TODAY + 28): 1}}))
    assert (model.together("b"), model.day) == (["a", "c", "d"], TODAY + 28)
    assert model.together("unheard-of") == []


def test_orders_of_late_halve_in_a_fortnight_and_are_forgotten_in_four_weeks() -> None:
    recency = Recency()
    recency.put(0, {str(TODAY): 4, str(TODAY - 14): 4, str(TODAY - 28): 4})
    recency.put(70, {str(TODAY): 1})
    assert list(recency.faded(1)) == [6.0]
    assert recency.total == 7.0
    recency.put(0, {str(TODAY): 2})
    assert (recency.total, recency.faded(71)[70]) == (3.0, 1.0)
    assert recency.faded(200)[199] == 0.0
    recency.put(1, {str(TODAY + 14): 1})
    assert list(recency.faded(2)) == [1.0, 1.0]
