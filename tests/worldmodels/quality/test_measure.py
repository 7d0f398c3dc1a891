import json
import math
from pathlib import Path

import numpy as np
import pytest
from gymnasium import spaces

from envs.errors import InputError
from envs.logs import Episode, Log
from envs.spec import EnvSpec
from tests.worldmodels.quality.conftest import STEP, CountingMemory, DriftModel, all_of, write_log
from worldmodels.configs import FitConfig
from worldmodels.families.baselines import make_baselines
from worldmodels.quality.measure import Quality, measure
from worldmodels.training.split import Split, split_episodes


def measured(model: DriftModel, log: Log, **settings: int) -> Quality:
    return measure(model, make_baselines(log, all_of(log)), log, all_of(log), **settings)


def test_a_perfect_model_has_no_error(drift_log: Log) -> None:
    quality = measured(DriftModel(STEP), drift_log)
    assert quality.open_loop["model"].value == [0.0] * 6
    assert quality.num_starts == [13, 10, 7, 4, 2, 1]
    assert (quality.num_episodes, quality.num_steps, quality.num_rows) == (3, 13, 13)
    assert quality.unit == "standard deviations"


def test_errors_are_in_deviations_of_the_training_observations(drift_log: Log) -> None:
    split = Split(train=np.array([0, 1]), validation=np.array([0]), test=np.array([2]))
    quality = measure(DriftModel(STEP + 0.5), {"no_change": DriftModel(0.0)}, drift_log, split, horizon=3)
    std = drift_log.transitions(split.train).observation.std()
    np.testing.assert_allclose(quality.open_loop["model"].value, np.array([0.5, 1.0, 1.5]) / std, rtol=1e-6)
    np.testing.assert_allclose(quality.open_loop["no_change"].value, np.array([2.0, 4.0, 6.0]) / std, rtol=1e-6)
    assert quality.open_loop["model"].low == pytest.approx(quality.open_loop["model"].value)  # one episode alone


def test_all_contestants_are_measured_alike(drift_log: Log) -> None:
    quality = measured(DriftModel(0.0), drift_log)
    assert quality.open_loop["model"] == quality.open_loop["no_change"]
    for part in (quality.open_loop, quality.surprise, quality.coverage, quality.reward_error, quality.termination):
        assert list(part) == ["model", "no_change", "linear", "nearest"]
    assert quality.open_loop["nearest"].value[0] == pytest.approx(0.0, abs=1e-6)  # measured where it learned


def test_one_step_measures_are_hand_computed(drift_log: Log) -> None:
    quality = measured(DriftModel(STEP, width=2.0), drift_log)
    # The change never varies, so the reward alone counts: 7 of 13 are 1, as predicted, and 6 are 3; spread s.
    spread = np.sqrt(7 / 13 * 6 / 13) * 2
    assert quality.reward_spread == pytest.approx(spread)
    assert quality.reward_error["model"] == pytest.approx(np.sqrt(6 / 13 * 4))
    assert quality.reward_error["no_change"] == pytest.approx(spread)
    expected = 0.5 * math.log(2 * math.pi) + math.log(2.0 / spread) + 6 / 13 * 0.5
    assert quality.surprise["model"].value == pytest.approx(expected, rel=1e-6)
    covered = quality.coverage["model"]
    assert covered.numbers[0] is None
    assert covered.pooled.value[9] == pytest.approx(7 / 13)  # one deviation off is outside of 50%
    assert covered.pooled.value[13] == 1.0  # and inside of 70%
    ends = quality.termination["model"]
    assert (ends.num_terminated, ends.num_predicted) == (2, 2)  # 106 and 108 are above 105; -44 is missed
    assert (ends.precision, ends.recall, ends.f1) == (0.5, 0.5, 0.5)
    assert quality.termination_in_log


def test_models_that_remember_are_filtered(drift_log: Log) -> None:
    quality = measured(CountingMemory(), drift_log, horizon=1)
    std = drift_log.transitions().observation.std()
    assert quality.open_loop["model"].value == pytest.approx([np.sqrt(3 / 13 * STEP**2) / std])


def test_terminations_never_seen_are_told(tmp_path: Path) -> None:
    episode = Episode(
        np.arange(4, dtype=np.float32)[:, None], np.zeros(3, np.int64), np.ones(3, np.float32), False, True
    )
    log = write_log(tmp_path / "log", [episode] * 3)
    quality = measured(DriftModel(1.0), log)
    assert not quality.termination_in_log
    assert quality.termination["model"].f1 is None


def test_terminations_held_out_by_chance_are_still_seen_in_the_log(drift_log: Log) -> None:
    split = Split(train=np.array([1, 2]), validation=np.array([1]), test=np.array([0]))
    quality = measure(DriftModel(STEP), {}, drift_log, split)
    assert quality.termination_in_log
    assert quality.termination["model"].num_terminated == 0


def test_a_log_in_which_nothing_changes_is_measured(tmp_path: Path) -> None:
    still = Episode(np.full((4, 1), 7.0, np.float32), np.zeros(3, np.int64), np.ones(3, np.float32), False, True)
    quality = measured(DriftModel(0.0), write_log(tmp_path / "log", [still] * 3))
    assert quality.coverage == {}
    assert quality.surprise["model"].value == 0.0
    assert quality.open_loop["model"].value == [0.0, 0.0, 0.0]
    assert set(quality.uncertainty.one_step.values()) == {None}
    json.dumps(quality.to_json(), allow_nan=False)


def test_what_diverged_is_null_in_json(drift_log: Log) -> None:
    content = measured(DriftModel(float("inf")), drift_log, horizon=2).to_json()
    assert content["open_loop"]["model"]["value"] == [None, None]
    json.dumps(content, allow_nan=False)


def test_discrete_observations_are_judged_by_wrong_states(tmp_path: Path) -> None:
    """States 1, 2, 3 in a ring, counted from 1; action 1 goes on, action 0 stays. Half of the actions are 1."""
    spec = EnvSpec("Ring-v0", spaces.Discrete(3, start=1), spaces.Discrete(2), max_episode_steps=50)
    random, episodes = np.random.default_rng(0), []
    for _ in range(6):
        actions = random.integers(2, size=50)
        states = 1 + np.concatenate(([0], np.cumsum(actions))) % 3
        episodes.append(Episode(states, actions, actions.astype(np.float32), False, True))
    log = write_log(tmp_path / "log", episodes, spec)
    split = split_episodes(log.lengths, FitConfig())
    baselines = make_baselines(log, split)
    quality = measure(baselines["most_frequent"], baselines, log, split, horizon=3)
    assert quality.unit == "share of wrong states"
    assert quality.open_loop["model"].value == [0.0] * 3
    moved = log.transitions(split.test).action.mean()
    assert quality.open_loop["no_change"].value[0] == pytest.approx(moved)
    assert quality.surprise["model"].value < 0.1 < quality.surprise["no_change"].value
    assert quality.reliability["model"].brier < 0.01 < quality.reliability["no_change"].brier
    assert quality.coverage == {}
    assert quality.reward_error["model"] == pytest.approx(0.0, abs=1e-6)
    json.dumps(quality.to_json(), allow_nan=False)


def test_the_seed_decides_and_the_same_gives_the_same(drift_log: Log) -> None:
    one, two = (measured(DriftModel(1.0), drift_log, seed=seed) for seed in (3, 3))
    assert one.to_json() == two.to_json()


def test_wrong_questions_are_refused(drift_log: Log, counting_model: object) -> None:
    nothing = Split(np.arange(3), np.arange(3), np.array([], int))
    with pytest.raises(InputError, match="at least one episode"):
        measure(DriftModel(STEP), {}, drift_log, nothing)
    with pytest.raises(InputError, match="horizon of at least 1"):
        measure(DriftModel(STEP), {}, drift_log, all_of(drift_log), horizon=0)
    with pytest.raises(InputError, match="disagree on env_id"):
        measure(counting_model, {}, drift_log, all_of(drift_log))  # type: ignore[arg-type]
