"""Each product's purchases explained by those of all others: the linear model behind relevance.

For every product j it solves (G' + penalty * I) w_j = g_j, where G counts how often two products occur together (the
diagonal: each by itself), G' is G without j's row and column, and g_j is j's column of G. All n solutions come out of
one inverse P of G + penalty * I: w_ij = -P_ij / P_jj (Steck, "Embarrassingly shallow autoencoders for sparse data",
WWW 2019). So the counters are all it needs, faded or not, and no order is read again.
"""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]


def explain(gram: Floats, penalty: float) -> Floats:
    """Weights [n, n]: how much having product i (row) speaks for product j (column); the diagonal is zero.

    `gram` is symmetric and positive semi-definite, `penalty` above zero and in units of `gram`. Costs n³.
    """
    inverse = np.linalg.inv(gram + np.float32(penalty) * np.eye(len(gram), dtype=np.float32))
    weights = np.asarray(-inverse / np.diag(inverse), np.float32)
    np.fill_diagonal(weights, 0)
    return weights


def column(gram: Floats, cross: Floats, penalty: float) -> Floats:
    """Weights [m]: how much having each of a product's m neighbours speaks for it.

    `gram` [m, m] is that of the neighbours (its diagonal each by itself), `cross` [m] how often each came with the product.
    Needs only the neighbours' rows; so when counts change, only what they belong to is solved again. Costs m³ / 3.
    """
    regular = gram + np.float32(penalty) * np.eye(len(gram), dtype=np.float32)
    return np.asarray(np.linalg.solve(regular, cross), np.float32)
