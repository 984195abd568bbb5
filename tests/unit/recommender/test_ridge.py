"""One product solved from its neighbours' counts."""

import numpy as np
import pytest

from services.recommender.domain.ridge import column


def test_a_solve_is_that_of_the_definition() -> None:
    gram = np.array([[40, 12, 3], [12, 30, 5], [3, 5, 20]], np.float32)
    cross = np.array([9, 4, 1], np.float32)
    found = column(gram, cross, 25.0)
    assert (gram + 25 * np.eye(3)) @ found == pytest.approx(cross, rel=1e-5)


@pytest.mark.parametrize("together", [29, 30, 31, 40])
def test_weights_stay_small_when_pruning_left_a_matrix_that_is_none_of_counts(together: int) -> None:
    gram = np.array([[5, together], [together, 5]], np.float32)
    found = column(gram, np.array([6, 2], np.float32), 25.0)
    assert np.abs(found).max() < 0.5
    assert found[0] > found[1]
