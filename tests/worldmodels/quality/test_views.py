import json

import numpy as np
import pytest

from envs.logs import Log
from tests.worldmodels.quality.conftest import STEP, CountingMemory, DriftModel
from worldmodels.quality.views import make_views, view_steps, view_trajectory


def test_the_longest_episode_is_followed(drift_log: Log) -> None:
    view = view_trajectory(DriftModel(STEP + 0.5, width=0.0), drift_log, np.array([1, 0, 2]))
    assert view.seen == 0
    np.testing.assert_allclose(np.array(view.real)[:, 0], STEP * np.arange(7))
    np.testing.assert_allclose(np.array(view.imagined)[:, 0], 2.5 * np.arange(7))
    assert view.low == view.high == view.imagined  # it draws no noise


def test_no_more_than_so_many_steps_are_followed(drift_log: Log) -> None:
    assert len(view_trajectory(DriftModel(STEP), drift_log, np.arange(3), max_steps=2).real) == 3


def test_the_band_holds_nine_in_ten(drift_log: Log) -> None:
    """Noise of 1 at each step: after k steps nine in ten lie within 1.645 sqrt(k)."""
    view = view_trajectory(DriftModel(STEP, width=1.0), drift_log, np.arange(3))
    half = (np.array(view.high) - np.array(view.low))[:, 0] / 2
    np.testing.assert_allclose(half, 1.645 * np.sqrt(np.arange(7)), rtol=0.2)
    assert view == view_trajectory(DriftModel(STEP, width=1.0), drift_log, np.arange(3))
    assert view != view_trajectory(DriftModel(STEP, width=1.0), drift_log, np.arange(3), seed=1)


def test_a_model_that_remembers_looks_before_it_imagines(drift_log: Log) -> None:
    view = view_trajectory(CountingMemory(), drift_log, np.arange(3))
    assert view.seen == 3
    np.testing.assert_allclose(np.array(view.real)[:, 0], STEP * np.arange(3, 7))
    assert view.imagined == view.real


def test_single_steps_are_changes_and_rewards(drift_log: Log) -> None:
    view = view_steps(DriftModel(STEP + 0.5), drift_log, np.array([0]))
    np.testing.assert_allclose(view.real, [[2, 1], [2, 3]] * 3)
    np.testing.assert_allclose(view.predicted, [[2.5, 1]] * 6)


def test_many_steps_are_thinned_out(drift_log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("worldmodels.quality.views._MAX_POINTS", 5)
    assert len(view_steps(DriftModel(STEP), drift_log, np.arange(3)).real) == 5


def test_views_are_json(drift_log: Log) -> None:
    views = make_views(DriftModel(STEP), drift_log, np.arange(3))
    assert set(views) == {"step", "trajectory"}
    json.dumps(views, allow_nan=False)
