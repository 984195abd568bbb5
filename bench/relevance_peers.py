"""What a shop would otherwise use to recommend: each peer turns counts [n, n] into weights [n, n].

Row i, column j: how much having i speaks for j. `total` is the number of baskets, or of customers for next novel.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

Peer = Callable[[Any, int, float], Any]


def count(gram: Any, _total: int, power: float) -> Any:  # noqa: ANN401  arrays
    """Co-purchase count, over a power of the given product's orders."""
    bought = np.diag(gram)
    return _off(gram / (bought[:, None] + 1.0) ** power)


def lift(gram: Any, total: int, shrinkage: float) -> Any:  # noqa: ANN401  arrays
    """Observed over expected, with `shrinkage` added to what is expected."""
    bought = np.diag(gram)
    return _off(gram / (bought[:, None] * bought[None] / total + shrinkage))


def likelihood_ratio(gram: Any, total: int, power: float) -> Any:  # noqa: ANN401  arrays
    """Dunning's log-likelihood ratio of pairs seen more often than expected, to a power."""
    bought = np.diag(gram).astype(np.float64)
    rows, columns, both = bought[:, None], bought[None], gram.astype(np.float64)
    cells = _entropy(both) + _entropy(rows - both) + _entropy(columns - both)
    cells += _entropy(total - rows - columns + both) + total * np.log(total)
    ratio = 2 * (
        cells - _entropy(rows) - _entropy(columns) - _entropy(total - rows) - _entropy(total - columns)
    )
    return _off((np.maximum(ratio, 0) * (both * total > rows * columns)) ** power)


def jaccard(gram: Any, _total: int, shrinkage: float) -> Any:  # noqa: ANN401  arrays
    """Both over either, with `shrinkage` added to either."""
    bought = np.diag(gram)
    return _off(gram / np.maximum(bought[:, None] + bought[None] - gram + shrinkage, 1e-9))


def ease(gram: Any, _total: int, penalty: float) -> Any:  # noqa: ANN401  arrays
    """EASE^R (Steck 2019)."""
    inverse = np.linalg.inv(gram + penalty * np.eye(len(gram), dtype=np.float32))
    return _off(-inverse / np.diag(inverse))


def _entropy(cells: Any) -> Any:  # noqa: ANN401  arrays
    return np.where(cells > 0, cells * np.log(np.maximum(cells, 1e-9)), 0.0)


def _off(weights: Any) -> Any:  # noqa: ANN401  arrays
    weights = weights.astype(np.float32)
    np.fill_diagonal(weights, 0)
    return weights


# Three configurations each, as many as any peer gets.
PEERS: dict[str, tuple[Peer, tuple[float, ...]]] = {
    "co-count": (count, (0.0, 0.5, 1.0)),
    "lift": (lift, (0.0, 1.0, 10.0)),
    "LLR": (likelihood_ratio, (0.3, 0.5, 1.0)),
    "Jaccard": (jaccard, (0.0, 10.0, 100.0)),
    "EASE^R": (ease, (30.0, 100.0, 400.0)),
}
POPULARITY_SHARES = (0.3, 1.0, 3.0)
