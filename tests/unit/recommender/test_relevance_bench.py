from dataclasses import replace

import numpy as np
import pytest

from bench.relevance_cost import Meter
from bench.relevance_data import Evidence, Instance, Log, instances, sparse
from bench.relevance_ours import CONFIGS, FRONTIER, OURS
from bench.relevance_peers import (
    ADDED_POPULARITY,
    BUDGET,
    CHOICES,
    EASE,
    EASE_POPULAR,
    POPULAR,
    ease,
    fit,
    jaccard,
    lift,
    likelihood_ratio,
)
from bench.relevance_run import Exam, Setting, ask
from bench.relevance_score import Scored, compare, compare_coverage
from services.recommender.domain.relevance import DEFAULT

GRAM = np.array([[10, 4, 0], [4, 8, 2], [0, 2, 5]], np.float32)
BASKETS = [[0, 1], [1, 2], [0, 2], [0, 1, 2], [1, 2], [0, 1]]
LOG = Log(
    "made", 3, [np.array(basket) for basket in BASKETS], np.array([0, 1, 0, 1, 2, 2]), np.arange(6.0), 3, 4
)
ALL_EQUAL = np.zeros(12)


def shop(orders: int = 200, size: int = 24) -> Log:
    """Customers who buy an even product with the odd one after it, and now and then something else."""
    rng = np.random.default_rng(3)
    baskets = []
    for _ in range(orders):
        first = 2 * int(rng.integers(size // 2))
        baskets.append(np.unique([first, first + 1, int(rng.integers(size))]))
    return Log("made", size, baskets, rng.integers(40, size=orders), np.arange(orders) / 4, 120, 150)


def scored(ndcg: list[float], top3: list[list[int]]) -> Scored:
    found = Scored([Instance(0, np.array([0]), np.array([1]))] * len(ndcg))
    found.ndcg[:], found.top3[:] = ndcg, top3
    return found


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


def test_ease_explains_each_product_by_all_others() -> None:
    weights = ease(GRAM, 20, 2.0)
    others = [0, 2]
    solved = np.linalg.solve(GRAM[np.ix_(others, others)] + 2 * np.eye(2), GRAM[others, 1])
    assert weights[others, 1] == pytest.approx(solved, rel=1e-5)
    assert GRAM[0, 0] == 10, "the counts are still the counts"


def test_peers_are_fitted_on_baskets_or_on_all_that_a_customer_bought() -> None:
    baskets = Evidence(LOG, 4, customers=False)
    assert baskets.together.tolist() == [[3, 2, 2], [2, 3, 2], [2, 2, 3]]
    customers = Evidence(LOG, 4, customers=True)
    assert customers.rows.toarray().tolist() == [[1, 1, 1], [1, 1, 1]]


@pytest.mark.parametrize("name", [name for name in CHOICES if name != POPULAR])
def test_every_peer_finds_what_is_bought_together(name: str) -> None:
    log = shop()
    for value in CHOICES[name]:
        model = fit(name, Evidence(log, 150, customers=False), value)
        scores = model(sparse([np.array([4]), np.array([9])], log.size))
        assert scores.shape == (2, log.size)
        scores[[0, 1], [4, 9]] = -np.inf
        assert scores.argmax(axis=1).tolist() == [5, 8], (name, value)


def test_every_method_has_as_many_configurations_to_choose_from() -> None:
    assert {name: len(values) for name, values in CHOICES.items()} == dict.fromkeys(CHOICES, BUDGET)
    assert len(ADDED_POPULARITY) == BUDGET
    assert {len(set(configs)) for configs in CONFIGS.values()} == {BUDGET}
    assert all(DEFAULT in configs for configs in CONFIGS.values())


def test_every_frontier_shows_the_default_among_its_points() -> None:
    for sweep in FRONTIER:
        assert list(sweep.configs.values()).count(DEFAULT) == 1


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


def test_popularity_counts_what_came_before_the_question_and_fades() -> None:
    log = shop()
    exam = Exam(log, {"C": instances(log, "C", 150, 200, 40), "S": [], "N": []})
    setting = Setting("C", POPULAR, 7.0)
    found = ask(exam, [setting], 7.0, Meter(), lambda _: None)[setting]
    for place, item in enumerate(exam.asked["C"]):
        recent = np.zeros(log.size)
        for order in range(item.order):
            recent[log.baskets[order]] += 2 ** ((log.days[order] - log.days[item.order]) / 7)
        recent[item.given] = -1
        assert recent[found.top3[place]] == pytest.approx(np.sort(recent)[:-4:-1], rel=1e-4)


def test_ours_uses_all_that_came_before_the_question_and_nothing_after() -> None:
    log = shop()
    asked = {task: instances(log, task, 150, 160, 20) for task in "CSN"}
    settings = [Setting(task, OURS, DEFAULT) for task in "CSN"]
    found = ask(Exam(log, asked), settings, 7.0, Meter(), lambda _: None)
    short = replace(log, baskets=log.baskets[:160])
    again = ask(Exam(short, asked), settings, 7.0, Meter(), lambda _: None)
    for setting in settings:
        assert (found[setting].top3 == again[setting].top3).all()
    assert found[settings[0]].first3.mean() > 0.6


def test_every_question_is_answered_across_refits() -> None:
    log = shop()
    exam = Exam(log, {task: instances(log, task, 150, 200, 30) for task in "CSN"})
    settings = [Setting("C", EASE, 10.0), Setting("N", EASE_POPULAR, (10.0, 1.0, 7.0))]
    answered: list[int] = []
    meter = Meter()
    results = ask(exam, settings, 4.0, meter, answered.append)
    assert sum(answered) == exam.answers(settings)
    assert all((found.top3 >= 0).all() for found in results.values())
    assert results[settings[0]].first10.mean() > 0.8
    assert meter.costs[EASE].fits == 2 * 3, "on baskets and on customers, every 4 days of 12"


def test_a_hit_counts_by_its_place_and_what_is_given_is_never_shown() -> None:
    found = Scored([Instance(0, np.array([11]), np.array([9]))])
    found.take(0, np.arange(12, dtype=np.float32)[None], ALL_EQUAL)
    assert found.ndcg[0] == pytest.approx(1 / np.log2(3))
    assert found.first3[0]
    assert found.top3.tolist() == [[10, 9, 8]]


def test_of_equals_the_more_popular_is_shown_first() -> None:
    found = Scored([Instance(0, np.array([11]), np.array([9]))])
    found.take(0, np.ones((1, 12), np.float32), np.arange(12) / 12)
    assert found.top3.tolist() == [[10, 9, 8]]


def test_the_interval_holds_the_difference() -> None:
    ours = scored([0.2, 0.4, 0.6, 0.8] * 25, [[0, 1, 2]] * 100)
    peer = scored([0.1, 0.4, 0.5, 0.6] * 25, [[0, 1, 2]] * 100)
    found = compare(ours, peer, np.arange(100))
    assert found.value == pytest.approx(0.25)
    assert found.low < found.value < found.high


def test_coverage_is_compared_by_what_is_shown_to_anyone() -> None:
    ours = scored([0.0] * 40, [[0, 1, place % 8 + 2] for place in range(40)])
    peer = scored([0.0] * 40, [[0, 1, place % 3 + 2] for place in range(40)])
    found = compare_coverage(ours, peer, np.arange(40))
    assert found.value == 10 / 5
    assert found.low <= found.value <= found.high


def test_a_cost_counts_its_fits_and_what_they_share() -> None:
    meter = Meter()
    for _ in range(2):
        with meter.measure("a", seconds=5.0, memory=1000):
            pass
    assert meter.costs["a"].fits == 2
    assert meter.costs["a"].seconds >= 10.0
    assert meter.costs["a"].memory >= 1000
