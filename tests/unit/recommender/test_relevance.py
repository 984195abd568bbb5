from dataclasses import replace
from itertools import accumulate, pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.recommender.domain.cooccurrence import Counts
from services.recommender.domain.learner import Learner, Purchase, contenders, next_renewal
from services.recommender.domain.model import Model
from services.recommender.domain.relevance import (
    DEFAULT,
    best,
    hint,
    score_complement,
    score_next,
    solve,
    solved,
    trend,
    unsolved,
    why_complement,
)
from services.recommender.domain.ridge import column
from services.recommender.domain.rows import FOLLOWS_HALF_LIFE, TOGETHER_HALF_LIFE, row
from services.recommender.domain.tally import BUCKET_DAYS, Counted
from services.recommender.domain.timeline import Entry, teach_all
from shared.events import PairCounts

SIZE = 6
ORDERS = st.lists(
    st.tuples(
        st.sampled_from(["ann", "bob", "cid", None]),
        st.sampled_from([0.0, 0.3, 1.0, 5.0, 20.0, 30.0, 90.0, 200.0]),
        st.lists(st.integers(0, SIZE - 1), max_size=5, unique=True),
    ),
    max_size=30,
)
Placed = list[tuple[str | None, float, list[int]]]


def placed(orders: Placed) -> Placed:
    """The same orders with the gaps between them summed to days."""
    days = accumulate(20_000 + gap if not number else gap for number, (_, gap, _) in enumerate(orders))
    return [(customer, day, products) for (customer, _, products), day in zip(orders, days, strict=True)]


def learnt(orders: Placed, size: int = SIZE) -> Counts:
    counts = Counts(size)
    for customer, day, products in orders:
        counts.learn(customer, day, products)
    return counts


def rows_of(orders: Placed, kept: int = 200) -> dict[int, PairCounts]:
    """What the stream publishes of the same orders."""
    timelines: dict[str, list[Entry]] = {}
    for number, (customer, day, products) in enumerate(orders):
        entry = Entry(round(day * 1440), f"{number:03}", sorted(map(str, products)))
        timelines.setdefault(customer or f"guest {number}", []).append(entry)
    counted: Counted = {}
    for entries in timelines.values():
        teach_all(counted, entries)
    return {
        int(product): PairCounts.model_validate({"product_id": product, **row(buckets, kept, 40_000.0)})
        for product, buckets in counted.items()
    }


def values(numbers: np.ndarray[tuple[int], np.dtype[np.float32]]) -> dict[str, float]:
    return {str(place): float(number) for place, number in enumerate(numbers) if number}


@settings(deadline=None, max_examples=60)
@given(ORDERS)
def test_tables_equal_the_rows_of_the_stream_item_by_item(orders: Placed) -> None:
    orders = placed(orders)
    counts, rows = learnt(orders), rows_of(orders)
    tables = counts.tables(np.arange(SIZE), 200)
    newest = max((one.bucket for one in rows.values()), default=0)
    for slot, one in rows.items():
        ago = (newest - one.bucket) * BUCKET_DAYS
        fade, follow_fade = 2.0 ** (-ago / TOGETHER_HALF_LIFE), 2.0 ** (-ago / FOLLOWS_HALF_LIFE)
        assert tables.orders[slot] == one.orders
        assert tables.buyers[slot] == one.buyers
        assert tables.bought[slot] == pytest.approx(one.bought * fade)
        assert tables.exposure[slot] == pytest.approx(one.exposure * follow_fade)
        assert values(tables.pairs[slot]) == one.pairs
        assert values(tables.together[slot]) == pytest.approx(
            {other: number * fade for other, number in one.together.items()}
        )
        assert values(tables.followers[slot]) == {other: number for other, (number, _) in one.follows.items()}
        assert values(tables.follows[slot]) == pytest.approx(
            {other: faded * follow_fade for other, (_, faded) in one.follows.items()}
        )
        recent, newly = counts.by_day(slot)
        assert one.recent.items() <= recent.items()
        assert one.newly.items() <= newly.items()
    assert sorted(rows) == np.flatnonzero(tables.orders).tolist()


@settings(deadline=None, max_examples=60)
@given(ORDERS, st.integers(1, 4))
def test_pruned_tables_keep_as_many_as_the_rows_and_the_heaviest(orders: Placed, kept: int) -> None:
    orders = placed(orders)
    tables = learnt(orders).tables(np.arange(SIZE), kept)
    for slot, one in rows_of(orders, kept).items():
        assert len(values(tables.together[slot])) == len(one.together)
        assert sorted(values(tables.followers[slot]).values()) == sorted(n for n, _ in one.follows.values())


@settings(deadline=None, max_examples=60)
@given(ORDERS, st.integers(0, SIZE - 1))
def test_the_live_order_beside_one_product_is_that_of_offline_scores(orders: Placed, slot: int) -> None:
    orders = placed(orders)
    counts, rows, model = learnt(orders), rows_of(orders), Model()
    for one in rows.values():
        model.put(one)
    offline = score_complement(counts, solve(counts), [slot], float(model.day))
    order = [int(other) for other in model.together(str(slot))]
    assert sorted(order) == np.flatnonzero(offline).tolist()
    assert all(offline[one] >= offline[next_] * (1 - 1e-5) for one, next_ in pairwise(order))


@settings(deadline=None, max_examples=60)
@given(ORDERS, st.sampled_from([2, 200]))
def test_weights_offline_equal_those_of_the_live_model_item_by_item(orders: Placed, neighbours: int) -> None:
    orders = placed(orders)
    config = replace(DEFAULT, kept=neighbours, neighbours=neighbours)
    weights, model = solve(learnt(orders), config), Model(config)
    rows = rows_of(orders, neighbours)
    for one in rows.values():
        model.put(one)
    assert weights.basket is not None
    assert weights.customer is not None
    basket = np.zeros((SIZE, SIZE))
    for slot in rows:
        for other, weight in model.baskets(str(slot)).items():
            basket[int(other), slot] += weight
        for other, weight in model.beyond(str(slot)).items():
            basket[slot, int(other)] += weight
    assert weights.basket == pytest.approx(basket, rel=1e-3, abs=1e-5)
    for slot in rows if neighbours > SIZE else ():  # of equal neighbours either may be the last one kept
        assert values(weights.customer[:, slot]) == pytest.approx(
            {other: w for other, w in model.owners(str(slot)).items() if w}, rel=1e-3, abs=1e-6
        )


@settings(deadline=None, max_examples=60)
@given(ORDERS, ORDERS)
def test_what_is_learnt_anew_leaves_nothing_of_what_was_before(before: Placed, after: Placed) -> None:
    counts, plain = learnt([("ann", day, slots) for _, day, slots in placed(before)]), Counts(SIZE)
    mine = [(day, slots) for _, day, slots in placed(after)]
    counts.relearn("ann", mine)
    for day, slots in mine:
        plain.learn("ann", day, slots)
    both = [one.tables(np.arange(SIZE), 200) for one in (counts, plain)]
    for name in ("orders", "bought", "buyers", "exposure", "pairs", "together", "followers", "follows"):
        first, second = (getattr(one, name) for one in both)
        assert first == pytest.approx(second, abs=1e-9)
    assert counts.owned_by("ann") == plain.owned_by("ann")
    assert counts.orders == plain.orders


def test_a_column_solves_the_ridge_of_one_product_from_its_neighbours() -> None:
    rng = np.random.default_rng(1)
    baskets = (rng.random((60, 7)) < 0.4).astype(np.float32)
    gram = baskets.T @ baskets
    found = column(gram[1:, 1:], gram[1:, 0], 3.0)
    dense = np.linalg.solve(gram[1:, 1:] + 3.0 * np.eye(6), gram[1:, 0])
    assert found == pytest.approx(dense, abs=1e-4)


def test_what_is_bought_with_all_of_a_basket_comes_first_and_says_why() -> None:
    orders: Placed = [(None, n / 10, [0, 1, 2] if n % 2 else [3, 4]) for n in range(40)]
    counts = learnt(orders)
    weights = solve(counts)
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
    weights = solve(counts)
    assert best(score_next(counts, weights, "me", (), 31.0), 1, [0]) == [1]
    assert best(score_next(counts, weights, None, (2,), 31.0), 1, [2]) == [3]


def test_what_sells_more_of_late_is_raised_and_less_is_lowered() -> None:
    found = trend(np.array([30.0, 10.0, 20.0]), np.array([200.0, 200.0, 200.0]), DEFAULT)
    assert found[0] > found[2] > found[1]
    assert found[2] == pytest.approx(1.0)


def test_scores_need_the_weights_that_they_stand_on() -> None:
    counts = learnt([(None, 1.0, [0, 1, 2])])
    weights = unsolved(counts)
    with pytest.raises(ValueError, match="not solved"):
        score_complement(counts, weights, [0, 1], 2.0)
    again = solved(solved(weights, customers=False), baskets=False)
    assert again.basket is not None
    assert replace(again, customer=None).customer is None


def test_the_best_are_never_the_excluded_and_no_more_than_there_are() -> None:
    assert best(np.array([3.0, 1.0, 2.0, 2.0]), 10, [0]) == [2, 3, 1]
    assert best(np.array([3.0, 1.0]), 1, [0, 1]) == []


def test_only_the_most_ordered_are_in_the_catalogue_and_those_may_change() -> None:
    items = ["a", "a", "b", "b", "c", "d"]
    orders = [Purchase(str(number), "x", float(number), {item: 1.0}) for number, item in enumerate(items)]
    orders += [Purchase(f"more{number}", "y", 10.0, {"c": 1.0}) for number in range(3)]
    learner = Learner(contenders(orders, 2), limit=2)
    assert learner.products == ["a", "b", "c"]
    catalogues = []
    for number, purchase in enumerate(orders, 1):
        learner.learn(purchase)
        if number in {6, 9}:
            learner.renew()
            catalogues.append(learner.weights().tables.catalogue.tolist())
    assert catalogues == [[0, 1], [0, 2]]


def test_a_return_of_all_units_leaves_nothing_of_the_purchase() -> None:
    with_return, without = Learner({"mat", "bell", "band"}), Learner({"mat", "bell", "band"})
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
    returned, plain = with_return.weights().tables, without.weights().tables
    for name in ("catalogue", "orders", "pairs", "together", "followers", "follows"):
        assert np.array_equal(getattr(returned, name), getattr(plain, name))


def test_renewals_are_due_sooner_or_later_whatever_the_size() -> None:
    assert [next_renewal(orders) for orders in (1, 10, 100, 1000)] == [2, 11, 105, 1050]
