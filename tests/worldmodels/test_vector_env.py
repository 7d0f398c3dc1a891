from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode, SyncVectorEnv

from envs.errors import InputError
from envs.world_model import WorldModel
from worldmodels.ensemble import Ensemble
from worldmodels.env import WorldModelEnv
from worldmodels.imagination import EpisodeLimits
from worldmodels.saving import save_model
from worldmodels.vector_env import WorldModelVectorEnv, make_vector_env

LIMITS = EpisodeLimits(np.array([[2.0, 0.0]], np.float32), horizon=4)
MODES = list(AutoresetMode)


@pytest.fixture
def saved(toy: Ensemble, tmp_path: Path) -> str:
    save_model(toy, tmp_path / "model")
    return str(tmp_path / "model")


def assert_same(left: Any, right: Any) -> None:
    """Equal values, types and dtypes, through dicts and object arrays."""
    assert type(left) is type(right)
    if isinstance(left, dict):
        assert left.keys() == right.keys()
        for key in left:
            assert_same(left[key], right[key])
    elif isinstance(left, np.ndarray) and left.dtype == object:
        assert right.dtype == object
        assert len(left) == len(right)
        for one, other in zip(left, right, strict=True):
            assert_same(one, other)
    elif isinstance(left, np.ndarray):
        assert left.dtype == right.dtype
        np.testing.assert_allclose(left, right, rtol=1e-6)
    else:
        assert left == right


def reset_ended(env: WorldModelVectorEnv, ended: np.ndarray) -> None:
    """Does what the caller has to do in the mode DISABLED."""
    if env.autoreset_mode == AutoresetMode.DISABLED and ended.any():
        env.reset(options={"reset_mask": ended})


@pytest.mark.parametrize("mode", MODES)
def test_it_is_sync_vector_env_but_faster(counting_model: WorldModel, mode: AutoresetMode) -> None:
    """Ends by termination, horizon, uncertainty and divergence, at different times in 6 rows, over 60 steps."""
    limits = EpisodeLimits(np.array([[0.5, 0.0]], np.float32), horizon=7, max_uncertainty=0.25)
    ours = WorldModelVectorEnv(counting_model, limits, 6, mode)
    theirs = SyncVectorEnv([lambda: WorldModelEnv(counting_model, limits)] * 6, autoreset_mode=mode)
    for one, other in zip(ours.reset(seed=0), theirs.reset(seed=0), strict=True):
        assert_same(one, other)
    random, ended, num_ends = np.random.default_rng(0), np.zeros(6, bool), 0
    for _ in range(60):
        if mode == AutoresetMode.DISABLED and ended.any():
            masks = [{"reset_mask": ended.copy()} for _ in range(2)]
            for one, other in zip(ours.reset(options=masks[0]), theirs.reset(options=masks[1]), strict=True):
                assert_same(one, other)
        actions = random.integers(2, size=6)
        results = ours.step(actions), theirs.step(actions)
        for one, other in zip(*results, strict=True):
            assert_same(one, other)
        ended = results[0][2] | results[0][3]
        num_ends += ended.sum()
    assert num_ends > 40
    assert ours.metadata["autoreset_mode"] == mode
    assert_same(ours.observation_space.sample().shape, theirs.observation_space.sample().shape)
    assert ours.action_space == theirs.action_space


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("propagation", ["mean", "ts1", "tsinf"])
def test_a_seed_fixes_everything_and_rows_are_independent(saved: str, mode: AutoresetMode, propagation: str) -> None:
    def run(others: int, seed: int = 4) -> list[np.ndarray]:
        """The trajectory of row 1, while the other rows take ``others`` as actions (they end at other times)."""
        env = make_vector_env(4, saved, start="any", horizon=3, propagation=propagation, autoreset_mode=mode)
        env.reset(seed=seed)
        seen = []
        for step in range(12):
            if others:
                env._imagination._elapsed[[0, 2]] += step % 2  # the others reach their horizon sooner
            actions = np.full(4, others)
            actions[1] = step % 2
            observations, rewards, terminated, truncated, infos = env.step(actions)
            uncertainty = infos["uncertainty"] if "uncertainty" in infos else np.zeros(4)
            columns = (observations, rewards, terminated, truncated, uncertainty)
            seen.append(np.hstack([column[1] for column in columns]))
            reset_ended(env, terminated | truncated)
        return seen

    alone = run(others=0)
    assert all(map(np.array_equal, alone, run(others=0)))
    assert all(map(np.array_equal, alone, run(others=1)))
    assert not all(map(np.array_equal, alone, run(others=0, seed=5)))


def test_next_step_ignores_the_action_after_an_end(counting_model: WorldModel) -> None:
    env = WorldModelVectorEnv(counting_model, LIMITS, 2)
    env.reset(seed=0)
    for _ in range(2):
        env.step(np.array([1, 0]))
    assert env.step(np.array([0, 0]))[2].tolist() == [True, True]
    observations, rewards, terminated, truncated, infos = env.step(np.array([99, -1]))
    assert observations.tolist() == [[2.0, 0.0], [2.0, 0.0]]
    assert (rewards.tolist(), rewards.dtype) == ([0.0, 0.0], np.float64)
    assert not (terminated | truncated).any()
    assert infos == {}


def test_a_wrong_action_is_told_by_its_row_and_changes_nothing(counting_model: WorldModel) -> None:
    env = WorldModelVectorEnv(counting_model, LIMITS, 3)
    env.reset(seed=0)
    with pytest.raises(InputError, match="got 2 in row 1"):
        env.step(np.array([0, 2, 0]))
    assert env.step(np.array([0, 1, 0]))[0].tolist() == [[3.0, -1.0], [3.0, 1.0], [3.0, -1.0]]


def test_a_step_after_an_end_is_refused_where_autoreset_is_disabled(counting_model: WorldModel) -> None:
    env = WorldModelVectorEnv(counting_model, LIMITS, 2, AutoresetMode.DISABLED)
    env.reset(seed=0)
    for _ in range(3):
        env.step(np.array([0, 0]))
    env.reset(options={"reset_mask": np.array([True, False])})
    with pytest.raises(InputError, match="reset of row 1"):
        env.step(np.array([0, 0]))


@pytest.mark.parametrize("mask", [np.zeros(2, bool), np.ones(3, bool), np.ones(2, int), [True, False]])
def test_a_wrong_reset_mask_is_refused(counting_model: WorldModel, mask: Any) -> None:
    env = WorldModelVectorEnv(counting_model, LIMITS, 2, AutoresetMode.DISABLED)
    with pytest.raises(InputError, match="reset_mask"):
        env.reset(seed=0, options={"reset_mask": mask})


def test_a_step_before_a_reset_is_refused(counting_model: WorldModel) -> None:
    env = WorldModelVectorEnv(counting_model, LIMITS, 2)
    with pytest.raises(InputError, match="expected a reset before this step"):
        env.step(np.array([0, 0]))


def test_a_first_reset_of_some_rows_is_refused(counting_model: WorldModel) -> None:
    env = WorldModelVectorEnv(counting_model, LIMITS, 2, AutoresetMode.DISABLED)
    with pytest.raises(InputError, match="first reset of all rows"):
        env.reset(seed=0, options={"reset_mask": np.array([True, False])})
    with pytest.raises(InputError, match="expected a reset before this step"):
        env.step(np.array([0, 0]))
    options = {"reset_mask": np.array([True, True])}
    assert env.reset(seed=0, options=options)[0].tolist() == [[2.0, 0.0], [2.0, 0.0]]
    assert list(options) == ["reset_mask"]


def test_unknown_reset_options_are_refused(counting_model: WorldModel) -> None:
    env = WorldModelVectorEnv(counting_model, LIMITS, 2)
    with pytest.raises(InputError, match=r"no reset option but reset_mask, got \['start'\]"):
        env.reset(seed=0, options={"start": "any", "reset_mask": np.ones(2, bool)})


@pytest.mark.parametrize("seed", [[1, 2], -1, 0.5])
def test_one_seed_serves_all_rows(counting_model: WorldModel, seed: Any) -> None:
    env = WorldModelVectorEnv(counting_model, LIMITS, 2)
    with pytest.raises(InputError, match="one seed of at least 0 that the randomness of all environments follows"):
        env.reset(seed=seed)


def test_a_seed_of_numpy_is_the_same_seed(saved: str) -> None:
    env = make_vector_env(4, saved, start="any")
    assert np.array_equal(env.reset(seed=np.int64(3))[0], env.reset(seed=3)[0])  # type: ignore[arg-type]


def test_resets_in_a_row_draw_anew(saved: str) -> None:
    """With a mask, without one, and after a step; and the seed fixes it all."""
    masks: list[dict[str, Any] | None] = [None] + [{"reset_mask": np.ones(8, bool)}] * 3

    def run(seed: int) -> list[np.ndarray]:
        env = make_vector_env(8, saved, start="any", autoreset_mode=AutoresetMode.DISABLED)
        env.reset(seed=seed)
        seen = [env.reset(options=options)[0] for options in masks]
        env.step(np.zeros(8, np.int64))
        return seen + [env.reset(options=options)[0] for options in masks[1:]]

    seen = run(0)
    assert len({starts.tobytes() for starts in seen}) == len(seen)
    assert all(map(np.array_equal, seen, run(0)))
    assert not any(map(np.array_equal, seen, run(1)))


def test_a_row_does_not_notice_that_another_is_reset_twice(toy: Ensemble, tmp_path: Path) -> None:
    toy.parts.network.termination_weight.fill_(1e6)  # no episode of it is terminated
    path = str(tmp_path / "lasting")
    save_model(toy, path)

    def run(num_resets: int) -> list[np.ndarray]:
        env = make_vector_env(2, path, start="any", propagation="ts1", autoreset_mode=AutoresetMode.DISABLED)
        seen = [env.reset(seed=0)[0]]
        for _ in range(num_resets):
            env.reset(options={"reset_mask": np.array([True, False])})
        seen += [env.step(np.array([0, 1]))[0] for _ in range(3)]
        seen += [env.reset(options={"reset_mask": np.array([False, True])})[0] for _ in range(2)]
        return [observations[1] for observations in seen]

    assert all(map(np.array_equal, run(0), run(3)))


@pytest.mark.parametrize("mode", MODES)
def test_returned_arrays_are_the_callers_own(saved: str, mode: AutoresetMode) -> None:
    def run(scribble: bool) -> list[list]:
        env = make_vector_env(3, saved, horizon=2, autoreset_mode=mode)
        results: list[np.ndarray] = [env.reset(seed=0)[0]]
        seen = []
        for _ in range(8):
            if scribble:
                for array in results:
                    array[:] = 1
            *results, infos = env.step(np.array([0, 1, 0]))
            reset_ended(env, results[2] | results[3])
            results += [value for value in infos.values() if isinstance(value, np.ndarray) and value.dtype != object]
            seen.append([array.tolist() for array in results])
        return seen

    assert run(scribble=True) == run(scribble=False)


def test_the_last_finite_observation_survives_what_the_caller_does(counting_model: WorldModel) -> None:
    limits = EpisodeLimits(np.array([[0.0, 2.0]], np.float32), horizon=4)
    env = WorldModelVectorEnv(counting_model, limits, 2, AutoresetMode.DISABLED)
    env.reset(seed=0)[0][:] = 77.0
    assert env.step(np.array([1, 0]))[0].tolist() == [[0.0, 2.0], [1.0, 1.0]]


@pytest.mark.parametrize("mode", MODES)
def test_each_episode_starts_at_a_logged_observation_drawn_anew(saved: str, toy: Ensemble, mode: AutoresetMode) -> None:
    env = make_vector_env(2, saved, start="any", horizon=1, autoreset_mode=mode)
    seen = [env.reset(seed=0)[0]]
    for _ in range(20):
        observations, _, terminated, truncated, _ = env.step(np.zeros(2, np.int64))
        if mode == AutoresetMode.NEXT_STEP:
            observations, *_ = env.step(np.zeros(2, np.int64))
        elif mode == AutoresetMode.DISABLED:
            observations, _ = env.reset(options={"reset_mask": terminated | truncated})
        seen.append(observations)
    starts, logged = np.concatenate(seen), toy.parts.starts.any.numpy()
    assert (starts[:, None] == logged).all(-1).any(-1).all()
    assert len(np.unique(starts, axis=0)) > 10  # of 20


@pytest.mark.parametrize("num_envs", [1, 2, 100_000])
def test_any_number_of_rows(saved: str, num_envs: int) -> None:
    env = make_vector_env(num_envs, saved, start="any")
    observations, _ = env.reset(seed=0)
    observations, rewards, terminated, *_ = env.step(np.zeros(num_envs, np.int64))
    assert observations.shape == (num_envs, 3)
    assert (rewards.shape, terminated.dtype) == ((num_envs,), bool)


def test_no_rows_are_refused(saved: str) -> None:
    with pytest.raises(InputError, match="at least 1 environment, got 0"):
        make_vector_env(0, saved)


def test_modes_by_name(saved: str) -> None:
    assert make_vector_env(1, saved, autoreset_mode="SameStep").metadata["autoreset_mode"] == AutoresetMode.SAME_STEP
    with pytest.raises(InputError, match="autoreset mode 'Sometimes'"):
        make_vector_env(1, saved, autoreset_mode="Sometimes")


def test_gymnasium_makes_it(saved: str) -> None:
    env = gymnasium.make_vec("simulacra/WorldModel-v0", num_envs=3, path=saved)
    assert isinstance(env.unwrapped, WorldModelVectorEnv)
    assert env.reset(seed=0)[0].shape == (3, 3)
