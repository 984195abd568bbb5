"""What a shop would otherwise use to recommend: each peer is fitted on baskets, or on customers for next novel.

The formulas turn counts [n, n] into weights [n, n]: row i, column j is how much having i speaks for j. `implicit` is
asked through its own models. Every peer has the same number of configurations to choose from, by shop and task.
"""

from collections.abc import Callable
from itertools import product
from typing import Any

import numpy as np
from implicit.als import AlternatingLeastSquares
from implicit.nearest_neighbours import ItemItemRecommender, bm25_weight
from scipy.linalg.lapack import spotrf, spotri
from scipy.sparse import csr_matrix
from threadpoolctl import threadpool_limits

from bench.relevance_data import Evidence, Floats, Sparse

Formula = Callable[[Floats, int, float], Floats]
Model = Callable[[Sparse], Floats]
Value = Any  # a number, a pair of numbers, or a configuration of ours

POPULAR, EASE, EASE_POPULAR = "popularity", "EASE^R", "EASE^R + popularity"
BM25, ALS = "implicit BM25", "implicit ALS"
BUDGET = 6
DENSE_FROM = 60
NEIGHBOURS = 200
SEED = 7


def count(gram: Floats, _total: int, power: float) -> Floats:
    """Co-purchase count, over a power of the given product's orders."""
    bought = np.diag(gram)
    return _off(gram / (bought[:, None] + 1.0) ** power)


def lift(gram: Floats, total: int, shrinkage: float) -> Floats:
    """Observed over expected, with `shrinkage` added to what is expected."""
    bought = np.diag(gram)
    return _off(gram / (bought[:, None] * bought[None] / total + max(shrinkage, 1e-9)))


def likelihood_ratio(gram: Floats, total: int, power: float) -> Floats:
    """Dunning's log-likelihood ratio of pairs seen more often than expected, to a power."""
    bought = np.diag(gram).astype(np.float64)
    rows, columns = np.nonzero(gram)
    both, row, column = gram[rows, columns].astype(np.float64), bought[rows], bought[columns]
    cells = _entropy(both) + _entropy(row - both) + _entropy(column - both)
    cells += _entropy(total - row - column + both) + total * np.log(total)
    margins = _entropy(bought) + _entropy(total - bought)
    ratio = 2 * (cells - margins[rows] - margins[columns])
    weights = np.zeros_like(gram)
    weights[rows, columns] = (np.maximum(ratio, 0) * (both * total > row * column)) ** power
    return _off(weights)


def jaccard(gram: Floats, _total: int, shrinkage: float) -> Floats:
    """Both over either, with `shrinkage` added to either."""
    bought = np.diag(gram)
    return _off(gram / np.maximum(bought[:, None] + bought[None] - gram + shrinkage, 1e-9))


def ease(gram: Floats, _total: int, penalty: float) -> Floats:
    """EASE^R (Steck 2019), by Cholesky: half the work of a general inverse."""
    ridge = np.asfortranarray(gram + np.float32(penalty) * np.eye(len(gram), dtype=np.float32))
    factor, wrong = spotrf(ridge, lower=1, overwrite_a=1)
    if wrong:
        message = f"counts with a penalty of {penalty} are not positive definite"
        raise ArithmeticError(message)
    half = spotri(factor, lower=1, overwrite_c=1)[0]
    inverse = np.tril(half) + np.tril(half, -1).T
    return _off(-inverse / np.diag(inverse))


def bm25(evidence: Evidence, value: tuple[float, float]) -> Model:
    """`implicit`'s item-kNN on BM25 weights, 200 neighbours: K1 and B."""
    model = ItemItemRecommender(K=NEIGHBOURS)
    # BM25Recommender.fit does the same, with a warning for the form of its own matrix.
    model.fit(csr_matrix(bm25_weight(evidence.rows.T, *value).T), show_progress=False)
    similarity = model.similarity.astype(np.float32)
    return lambda questions: np.asarray((questions @ similarity).toarray())


def als(evidence: Evidence, value: tuple[int, float]) -> Model:
    """`implicit`'s alternating least squares, at its own 15 iterations: factors and the weight of a purchase.

    Rows of one product say nothing of two, and cost as much as others: they are left out.
    """
    factors, alpha = value
    telling = evidence.rows[np.diff(evidence.rows.indptr) > 1]
    with threadpool_limits(1, "blas"):  # as implicit asks for: it has threads of its own
        model = AlternatingLeastSquares(factors=factors, alpha=alpha, random_state=SEED)
        model.fit(telling, show_progress=False)

    def answer(questions: Sparse) -> Floats:
        with threadpool_limits(1, "blas"):
            asking = model.recalculate_user(np.arange(questions.shape[0]), questions)
        return np.asarray(asking @ model.item_factors.T, np.float32)

    return answer


def fit(name: str, evidence: Evidence, value: Value) -> Model:
    """Fit a peer. The model answers questions (rows of what is given) by scores for every product."""
    if name == BM25:
        return bm25(evidence, value)
    if name == ALS:
        return als(evidence, value)
    weights = FORMULAS[name](evidence.together, evidence.rows.shape[0], value)
    return lambda questions: _speak(questions, weights)


def by_top(scores: Any) -> Any:  # noqa: ANN401  arrays
    """Scores [m, n] in units of the mean of each row's best 20."""
    return scores / np.maximum(np.partition(scores, -20, axis=1)[:, -20:].mean(axis=1, keepdims=True), 1e-12)


def _speak(questions: Sparse, weights: Floats) -> Floats:
    dense = questions.nnz > DENSE_FROM * questions.shape[0]
    return np.asarray((questions.toarray() if dense else questions) @ weights, np.float32)


def _entropy(cells: Any) -> Any:  # noqa: ANN401  arrays
    return cells * np.log(np.maximum(cells, 1e-9))


def _off(weights: Any) -> Floats:  # noqa: ANN401  an array
    found: Floats = np.asarray(weights, np.float32)
    np.fill_diagonal(found, 0)
    return found


FORMULAS: dict[str, Formula] = {
    "co-count": count,
    "lift": lift,
    "LLR": likelihood_ratio,
    "Jaccard": jaccard,
    EASE: ease,
}
CHOICES: dict[str, list[Value]] = {
    POPULAR: [3.5, 7.0, 14.0, 28.0, 90.0, 365.0],
    "co-count": [0.0, 0.25, 0.5, 0.65, 0.8, 1.0],
    "lift": [0.0, 1.0, 3.0, 10.0, 30.0, 100.0],
    "LLR": [0.2, 0.35, 0.5, 0.75, 1.0, 1.5],
    "Jaccard": [0.0, 10.0, 30.0, 100.0, 300.0, 1000.0],
    BM25: list(product([0.3, 1.2, 20.0], [0.25, 0.75])),
    ALS: list(product([64, 128], [1.0, 5.0, 20.0])),
    EASE: [10.0, 30.0, 100.0, 250.0, 600.0, 1500.0],
}
# Share and half-life in days of the popularity added, at the penalty that EASE^R alone has chosen.
ADDED_POPULARITY: list[tuple[float, float]] = list(product([0.5, 1.0, 2.0], [7.0, 14.0]))
