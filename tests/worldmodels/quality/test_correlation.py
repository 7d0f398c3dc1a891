import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import rankdata, spearmanr

from worldmodels.quality.correlation import average_ranks, spearman


def test_hand_computed() -> None:
    # Ranks 1 2 3 4 5 against 2 1 4 3 5: the sum of squared differences is 4, so 1 - 6 * 4 / (5 * 24) = 0.8.
    assert spearman(np.array([1.0, 2, 3, 4, 5]), np.array([20.0, 10, 40, 30, 50])) == pytest.approx(0.8)
    assert spearman(np.array([1.0, 2, 3]), np.array([9.0, 4, 1])) == pytest.approx(-1.0)
    assert average_ranks(np.array([3.0, 1.0, 3.0, 7.0])).tolist() == [2.5, 1.0, 2.5, 4.0]


@given(st.lists(st.tuples(st.integers(-4, 4), st.integers(-4, 4)), min_size=2, max_size=40))
def test_it_is_scipys_with_ties(pairs: list[tuple[int, int]]) -> None:
    first, second = (np.array(column, float) for column in zip(*pairs, strict=True))
    np.testing.assert_array_equal(average_ranks(first), rankdata(first))
    if np.ptp(first) == 0 or np.ptp(second) == 0:
        assert spearman(first, second) is None
    else:
        assert spearman(first, second) == pytest.approx(spearmanr(first, second).statistic, abs=1e-12)


def test_only_ranks_matter() -> None:
    random = np.random.default_rng(0)
    first, second = random.normal(size=50), random.normal(size=50)
    assert spearman(np.exp(first), second**3) == pytest.approx(spearman(first, second))


@pytest.mark.parametrize("column", [[1.0], [1.0, np.nan, 2.0], [1.0, np.inf, 2.0], [2.0, 2.0, 2.0]])
def test_where_it_is_not_defined_there_is_none(column: list[float]) -> None:
    other = np.arange(len(column), dtype=float)
    assert spearman(np.array(column), other) is None
    assert spearman(other, np.array(column)) is None
