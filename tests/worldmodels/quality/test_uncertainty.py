import numpy as np
import pytest

from worldmodels.quality.open_loop import OpenLoop
from worldmodels.quality.uncertainty import uncertainty_quality

RANDOM = np.random.default_rng(0)


def rollouts(error: np.ndarray, inside: np.ndarray | None = None) -> OpenLoop:
    """Whose epistemic uncertainty is the error, whose aleatoric one is its opposite, and whose total is constant."""
    inside = np.ones(error.shape, bool) if inside is None else inside
    return OpenLoop(error, inside, np.stack((error, -error, np.ones(error.shape))))


def test_kinds_are_told_apart() -> None:
    error = RANDOM.random(100)
    found = uncertainty_quality(np.stack((error**2, -error, np.ones(100))), error, rollouts(RANDOM.random((50, 2))))
    assert found.one_step == {"epistemic": pytest.approx(1.0), "aleatoric": pytest.approx(-1.0), "total": None}
    assert found.accumulated["epistemic"] == pytest.approx([1.0, 1.0])
    assert found.accumulated["aleatoric"] == pytest.approx([-1.0, -1.0])
    assert found.accumulated["total"] == [None, None]


def test_few_starts_tell_nothing() -> None:
    error, inside = RANDOM.random((40, 2)), np.ones((40, 2), bool)
    inside[19:, 1] = False
    found = uncertainty_quality(np.ones((3, 5)), np.ones(5), rollouts(error, inside))
    assert found.accumulated["epistemic"] == [pytest.approx(1.0), None]


def test_bins_go_from_sure_to_unsure() -> None:
    error = np.arange(100.0)
    shuffled = RANDOM.permutation(100)
    found = uncertainty_quality(
        np.stack([2 * error] * 3)[:, shuffled], error[shuffled], rollouts(RANDOM.random((30, 1)))
    )
    bins = found.bins["total"]
    assert bins is not None
    assert bins.error == [4.5 + 10 * i for i in range(10)]
    assert bins.uncertainty == [9.0 + 20 * i for i in range(10)]


def test_unknown_uncertainty_is_told_as_unknown() -> None:
    found = uncertainty_quality(np.full((3, 30), np.nan), RANDOM.random(30), rollouts(RANDOM.random((30, 1))))
    assert set(found.one_step.values()) == {None}
    assert set(found.bins.values()) == {None}
