import numpy as np
import pytest

from envs.logs import Log
from tests.worldmodels.quality.conftest import STEP, CountingMemory, DriftModel
from worldmodels.quality.held_out import HeldOut, Scales, hold_out
from worldmodels.quality.open_loop import OpenLoop, open_loop
from worldmodels.saved_model import PredictiveModel

UNIT = Scales(np.ones(1), np.ones(2))


@pytest.fixture
def held_out(drift_log: Log) -> HeldOut:
    return hold_out(drift_log, np.arange(3), 0)


def imagine(model: PredictiveModel, held_out: HeldOut, horizon: int) -> OpenLoop:
    return open_loop(model, held_out.states(model), held_out, UNIT, horizon)


def test_errors_grow_as_they_must(held_out: HeldOut) -> None:
    found = imagine(DriftModel(STEP + 0.5), held_out, 6)
    assert found.inside.sum(0).tolist() == [13, 10, 7, 4, 2, 1]
    for k in range(6):
        np.testing.assert_allclose(found.error[found.inside[:, k], k], (0.5 * (k + 1)) ** 2)


def test_errors_are_in_units_of_the_scale(held_out: HeldOut) -> None:
    model = DriftModel(STEP + 0.5)
    found = open_loop(model, held_out.states(model), held_out, Scales(np.array([4.0]), np.ones(2)), 1)
    np.testing.assert_allclose(found.error, (0.5 / 4) ** 2)
    constant = open_loop(model, held_out.states(model), held_out, Scales(np.zeros(1), np.ones(2)), 1)
    np.testing.assert_allclose(constant.error, 0.0)


def test_a_model_that_remembers_starts_from_what_it_has_seen(held_out: HeldOut) -> None:
    """Right wherever it has seen a change; at first observations it stays, and is off by 2 after each step more."""
    found = imagine(CountingMemory(), held_out, 3)
    first = np.isin(held_out.starts, [0, 6, 10])
    assert first.sum() == 3
    for k in range(3):
        np.testing.assert_allclose(found.error[~first & found.inside[:, k], k], 0.0)
        np.testing.assert_allclose(found.error[first, k], (STEP * (k + 1)) ** 2)


def test_uncertainty_is_summed_along_the_way(held_out: HeldOut, counting_model: object) -> None:
    class Unsure(DriftModel):
        def step(self, state, action, generator=None):  # type: ignore[no-untyped-def]
            imagined = super().step(state, action, generator)
            ones = imagined.reward
            return type(imagined)(*(imagined.state, imagined.observation, ones, ones, 3 * ones, 4 * ones))

    found = imagine(Unsure(STEP), held_out, 3)
    np.testing.assert_allclose(found.uncertainty[:, 0], [[3, 6, 9], [4, 8, 12], [5, 10, 15]])


def test_starts_are_thinned_out_where_there_are_many(drift_log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("worldmodels.quality.held_out.MAX_STARTS", 4)
    one, two, other = (hold_out(drift_log, np.arange(3), seed) for seed in (0, 0, 1))
    assert len(one.starts) == 4
    assert len(one.rows) == 13
    assert (np.diff(one.starts) > 0).all()
    assert one.starts.tolist() == two.starts.tolist() != other.starts.tolist()
