from collections import defaultdict
from itertools import accumulate, product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.recommender.domain import cooccurrence
from services.recommender.domain.cooccurrence import Counts
from services.recommender.domain.learner import Learner, Purchase, next_renewal
from services.recommender.domain.relevance import (
    best,
    hint,
    score_complement,
    score_next,
    solve,
    why_complement,
)
from services.recommender.domain.ridge import explain

ORDERS = st.lists(
    st.tuples(
        st.sampled_from(["ann", "bob", None]),
        st.floats(0, 5),
        st.lists(st.integers(0, 4), min_size=1, max_size=4, unique=True),
    ),
    max_size=12,
)


def test_one_inverse_solves_the_ridge_of_every_product() -> None:
    rng = np.random.default_rng(1)
    baskets = (rng.random((60, 7)) < 0.4).astype(np.float32)
    weights = explain(baskets.T @ baskets, 3.0)
    for one in range(7):
        others = [other for other in range(7) if other != one]
        taken = baskets[:, others]
        dense = np.linalg.solve(taken.T @ taken + 3.0 * np.eye(6), taken.T @ baskets[:, one])
        assert weights[others, one] == pytest.approx(dense, abs=1e-4)
        assert weights[one, one] == 0


Placed = list[tuple[str | None, float, list[int]]]


def placed(orders: Placed) -> Placed:
    """The same orders with the gaps between them summed to days."""
    days = accumulate(gap for _, gap, _ in orders)
    return [(customer, day, products) for (customer, _, products), day in zip(orders, days, strict=True)]


def learnt(orders: Placed) -> Counts:
    counts = Counts(5)
    for customer, day, products in orders:
        counts.learn(customer, day, products)
    return counts


@given(ORDERS)
def test_basket_counters_equal_a_plain_recount(orders: Placed) -> None:
    orders = placed(orders)
    now, counts = (orders[-1][1] if orders else 0.0), learnt(orders)
    together = counts.together / counts.growth(now, cooccurrence.TOGETHER_HALF_LIFE)
    for one, other in product(range(5), repeat=2):
        both = [day for _, day, products in orders if one in products and other in products]
        assert counts.baskets[one, other] == len(both)
        faded = sum(0.5 ** ((now - day) / cooccurrence.TOGETHER_HALF_LIFE) for day in both)
        assert together[one, other] == pytest.approx(faded, rel=1e-4)


@given(ORDERS)
def test_customer_counters_equal_a_plain_recount(orders: Placed) -> None:
    orders = placed(orders)
    now, counts = (orders[-1][1] if orders else 0.0), learnt(orders)
    follows: dict[tuple[int, int], float] = defaultdict(float)
    owned: dict[str, dict[int, float]] = {}
    for customer, day, products in orders:
        mine = owned.setdefault(customer, {}) if customer else {}
        for (one, last), other in product(mine.items(), products):
            if other not in mine:
                lag = (day - last) / cooccurrence.LAG_HALF_LIFE
                follows[one, other] += 0.5 ** (lag + (now - day) / cooccurrence.FOLLOWS_HALF_LIFE)
        mine.update(dict.fromkeys(products, day))
    following = counts.follows / counts.growth(now, cooccurrence.FOLLOWS_HALF_LIFE)
    for one, other in product(range(5), repeat=2):
        assert following[one, other] == pytest.approx(follows[one, other], rel=1e-4)
        assert counts.owners[one, other] == sum(one in mine and other in mine for mine in owned.values())


def test_what_is_bought_with_all_of_a_basket_comes_first_and_says_why() -> None:
    counts = Counts(5)
    for number in range(40):
        counts.learn(None, number / 10, [0, 1, 2] if number % 2 else [3, 4])
    weights = solve(counts, 4.0)
    scores = score_complement(counts, weights, [0, 1], 4.0) + hint(counts, 4.0)
    assert best(scores, 2, [0, 1])[0] == 2
    because = why_complement(counts, weights, [0, 1], 2)
    assert (because.kind, because.support) == ("pair", 20)


def test_a_customers_next_is_what_others_bought_after_the_same() -> None:
    counts = Counts(4)
    for number in range(30):
        counts.learn(f"c{number}", number, [0] if number % 2 else [2])
        counts.learn(f"c{number}", number + 0.5, [1] if number % 2 else [3])
    counts.learn("me", 30.5, [0])
    weights = solve(counts, 31.0)
    assert best(score_next(counts, weights, "me", (), 31.0), 1, [0]) == [1]
    assert best(score_next(counts, weights, None, (2,), 31.0), 1, [2]) == [3]


def test_the_best_are_never_the_excluded_and_no_more_than_there_are() -> None:
    assert best(np.array([3.0, 1.0, 2.0, 2.0]), 10, [0]) == [2, 3, 1]
    assert best(np.array([3.0, 1.0]), 1, [0, 1]) == []


def test_a_product_beyond_the_limit_has_no_slot_until_it_is_among_the_most_bought() -> None:
    learner = Learner(limit=2)
    for number, item in enumerate(["a", "a", "b", "b", "c"]):
        learner.learn(Purchase(str(number), "x", float(number), {item: 1.0}))
    learner.renew()
    assert learner.products == ["a", "b"]
    for number in range(3):
        learner.learn(Purchase(f"more{number}", "y", 10.0, {"c": 1.0}))
    learner.renew()
    assert learner.products == ["a", "c"]
    assert learner.counts.baskets[1, 1] == 4


def test_a_return_of_all_units_leaves_nothing_of_the_purchase() -> None:
    with_return, without = Learner(), Learner()
    for number in range(6):
        for learner in (with_return, without):
            products = {"mat": 1.0, "bell": 2.0}
            if learner is with_return and number == 3:
                products["band"] = 2.0
            learner.learn(Purchase(str(number), f"c{number}", float(number), products))
    with_return.take_back("c3", "band", 1.0)
    assert "band" in with_return.owned_by("c3")
    with_return.take_back("c3", "band", 5.0)
    for learner in (with_return, without):
        learner.renew()
    assert with_return.products == without.products
    for name in ("baskets", "together", "owners", "follows"):
        assert np.array_equal(getattr(with_return.counts, name), getattr(without.counts, name))


def test_renewals_are_due_sooner_or_later_whatever_the_size() -> None:
    assert [next_renewal(orders) for orders in (1, 10, 100, 1000)] == [2, 11, 105, 1050]
