"""Each product's purchases explained by those of its neighbours: the linear model behind relevance.

For a product j with neighbours N it solves (G_NN + penalty * I) w = G_Nj, where G counts how often two products occur
together (the diagonal: each by itself). With all others as neighbours that is EASE^R (Steck, "Embarrassingly shallow
autoencoders for sparse data", WWW 2019), which inverts the whole of G; of its neighbours alone, a product is solved in a
few milliseconds from their rows. So the counters are all it needs, faded or not, and no order is read again.
"""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]


_MARGIN = np.float32(0.25)


def column(gram: Floats, cross: Floats, penalty: float) -> Floats:
    """Weights [m]: how much having each of a product's m neighbours speaks for it.

    `gram` [m, m] is that of the neighbours (its diagonal each by itself), `cross` [m] how often each came with the product.
    Needs only the neighbours' rows; so when counts change, only what they belong to is solved again. Costs 2 m³ / 3.
    Where pruned rows left so much out of `gram` that it is no longer one of counts (with the penalty not clearly positive
    definite, so that weights would explode), the penalty is doubled until it is.
    """
    identity = np.eye(len(gram), dtype=np.float32)
    enough = np.float32(penalty)
    while not _positive(gram + (enough * _MARGIN) * identity):
        enough *= 2
    return np.asarray(np.linalg.solve(gram + enough * identity, cross), np.float32)


def _positive(matrix: Floats) -> bool:
    try:
        np.linalg.cholesky(matrix)
    except np.linalg.LinAlgError:
        return False
    return True
