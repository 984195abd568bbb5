"""The recommendation API scores as the offline ranker does, though it only knows what is published."""

from datetime import UTC, datetime, timedelta
from itertools import accumulate

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.recommender.domain.cooccurrence import Counts
from services.recommender.domain.relevance import Weights, score_complement, score_next, solve
from services.recommender.domain.rows import row
from services.recommender.domain.scored import basket_scores, next_scores
from services.recommender.domain.shelf import Shelf
from services.recommender.domain.tally import Counted
from services.recommender.domain.timeline import Entry, teach_all
from services.recommender.domain.votes import Votes
from services.recommender.domain.wish import Owned
from shared.events import Complements, PairCounts

SIZE = 6
FIRST_DAY = 20_000
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
PRODUCTS = [str(slot) for slot in range(SIZE)]
Orders = list[tuple[str, float, list[int]]]
ORDERS = st.lists(
    st.tuples(
        st.sampled_from(["ann", "bob", "cid"]),
        st.sampled_from([0.5, 1.0, 5.0, 20.0, 60.0]),
        st.lists(st.integers(0, SIZE - 1), min_size=1, max_size=4, unique=True),
    ),
    min_size=1,
    max_size=25,
)


def learnt(orders: Orders) -> tuple[Counts, Shelf]:
    """Learn the same orders offline, and as rows and weights that are published."""
    counts, timelines = Counts(SIZE), dict[str, list[Entry]]()
    for number, (customer, day, slots) in enumerate(orders):
        counts.learn(customer, day, slots)
        entry = Entry(round(day * 1440), f"{number:03}", sorted(map(str, slots)))
        timelines.setdefault(customer, []).append(entry)
    counted = Counted()
    for entries in timelines.values():
        teach_all(counted, entries)
    shelf = Shelf()
    for product in PRODUCTS:
        shelf.put_counts(product, PairCounts(product_id=product, orders=0, pairs={}))
    for product, buckets in counted.items():
        shelf.put_counts(
            product, PairCounts.model_validate({"product_id": product, **row(buckets, 200, 40_000.0)})
        )
    return counts, shelf


def publish(shelf: Shelf, weights: Weights) -> None:
    """Put the weights on the shelf as the ranker publishes them."""
    assert weights.basket is not None
    assert weights.customer is not None
    for slot, product in enumerate(PRODUCTS):
        said = Complements(
            product_id=product,
            version=1,
            candidates=(),
            weights=dict(zip(PRODUCTS, map(float, weights.basket[slot]), strict=True)),
            later=dict(zip(PRODUCTS, map(float, weights.customer[slot]), strict=True)),
        )
        shelf.put_complements(product, said)


@given(ORDERS, st.lists(st.integers(0, SIZE - 1), min_size=2, max_size=3, unique=True))
def test_both_score_alike(orders: Orders, basket: list[int]) -> None:
    days = accumulate((gap for _, gap, _ in orders), initial=FIRST_DAY)
    orders = [(customer, day, slots) for (customer, _, slots), day in zip(orders, days, strict=False)]
    counts, shelf = learnt(orders)
    weights = solve(counts)
    publish(shelf, weights)
    today = orders[-1][1]
    votes = Votes([shelf.around[str(slot)].weights for slot in basket], [1.0] * len(basket))
    assert basket_scores(shelf, votes) == pytest.approx(
        score_complement(counts, weights, basket, today), rel=1e-3, abs=1e-6
    )
    owned = sorted(counts.owned_by("ann").items(), key=lambda item: -item[1])
    has = {str(slot): Owned(EPOCH + timedelta(days=day), None) for slot, day in owned}
    _, _, scores = next_scores(shelf, has)
    assert scores == pytest.approx(score_next(counts, weights, "ann", (), today), rel=1e-3, abs=1e-5)
    assert np.isfinite(scores).all()
