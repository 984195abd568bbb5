import numpy as np
import pytest

from bench.relevance import Scored, compare
from bench.relevance_data import Instance, Log, instances
from bench.relevance_peers import jaccard, lift, likelihood_ratio

GRAM = np.array([[10, 4, 0], [4, 8, 2], [0, 2, 5]], np.float32)
BASKETS = [[0, 1], [1, 2], [0, 2], [0, 1, 2], [1, 2], [0, 1]]
LOG = Log(
    "made", 3, [np.array(basket) for basket in BASKETS], np.array([0, 1, 0, 1, 2, 2]), np.arange(6.0), 3, 4
)


def test_peers_follow_their_formulas() -> None:
    assert jaccard(GRAM, 20, 0.0)[0, 1] == pytest.approx(4 / 14)
    assert lift(GRAM, 20, 0.0)[0, 1] == pytest.approx(4 / (10 * 8 / 20))
    assert lift(GRAM, 20, 0.0)[0, 0] == 0


def test_the_likelihood_ratio_is_that_of_the_two_by_two_table() -> None:
    together, rows, columns, total = 6.0, 10.0, 8.0, 20.0
    gram = np.array([[rows, together], [together, columns]], np.float32)
    observed = np.array([[6, 4], [2, 8]])
    expected = np.outer(observed.sum(1), observed.sum(0)) / total
    ratio = 2 * (observed * np.log(observed / expected)).sum()
    assert likelihood_ratio(gram, int(total), 1.0)[0, 1] == pytest.approx(ratio)


@pytest.mark.parametrize("task", ["C", "S", "N"])
def test_questions_come_from_their_part_and_never_give_what_is_right(task: str) -> None:
    asked = instances(LOG, task, 3, 6, 50)
    assert asked
    for item in asked:
        assert 3 <= item.order < 6
        assert set(item.right) <= set(LOG.baskets[item.order])
        assert not set(item.right) & set(item.given)
    assert instances(LOG, task, 3, 6, 50)[0].order == asked[0].order


def test_what_is_owned_is_what_the_customer_bought_before() -> None:
    first = instances(LOG, "N", 3, 6, 50)[0]
    assert (first.order, list(first.given), list(first.right)) == (3, [1, 2], [0])


def test_a_hit_counts_by_its_place_and_what_is_given_is_never_shown() -> None:
    scored = Scored()
    scores = np.arange(12.0)
    scored.take(scores, Instance(0, np.array([11]), np.array([9])))
    assert scored.ndcg == [pytest.approx(1 / np.log2(3))]
    assert scored.first3 == [True]
    assert scored.shown == {10, 9, 8}


def test_the_interval_holds_the_difference() -> None:
    ours, peer = Scored(), Scored()
    ours.ndcg, peer.ndcg = [0.2, 0.4, 0.6, 0.8] * 25, [0.1, 0.4, 0.5, 0.6] * 25
    value, low, high = compare(ours, peer, np.arange(100))
    assert value == pytest.approx(0.25)
    assert low < value < high
