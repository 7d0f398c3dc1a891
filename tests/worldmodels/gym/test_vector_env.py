from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium.vector import AutoresetMode, SyncVectorEnv

from envs.errors import InputError
from envs.world_model import Imagined, WorldModel
from worldmodels.families.ensemble import Ensemble
from worldmodels.gym.env import WorldModelEnv
from worldmodels.gym.rules import EpisodeRules
from worldmodels.gym.vector_env import WorldModelVectorEnv, make_vector_env
from worldmodels.saving import save_model

MODES = list(AutoresetMode)


Rules = Callable[..., EpisodeRules]


@pytest.fixture
def limits(counting_model: WorldModel, rules_from: Rules) -> EpisodeRules:
    return rules_from(counting_model, start=(2.0, 0.0))


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
def test_it_is_sync_vector_env_but_faster(counting_model: WorldModel, rules_from: Rules, mode: AutoresetMode) -> None:
    """Ends by termination, horizon, uncertainty and divergence, at different times in 6 rows, over 60 steps."""
    limits = rules_from(counting_model, (0.5, 0.0), horizon=7, max_uncertainty=0.25, pessimism=0.5)
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


def test_next_step_ignores_the_action_after_an_end(counting_model: WorldModel, limits: EpisodeRules) -> None:
    env = WorldModelVectorEnv(counting_model, limits, 2)
    env.reset(seed=0)
    for _ in range(2):
        env.step(np.array([1, 0]))
    assert env.step(np.array([0, 0]))[2].tolist() == [True, True]
    observations, rewards, terminated, truncated, infos = env.step(np.array([99, -1]))
    assert observations.tolist() == [[2.0, 0.0], [2.0, 0.0]]
    assert (rewards.tolist(), rewards.dtype) == ([0.0, 0.0], np.float64)
    assert not (terminated | truncated).any()
    assert infos == {}


def test_a_wrong_action_is_told_by_its_row_and_changes_nothing(
    counting_model: WorldModel, limits: EpisodeRules
) -> None:
    env = WorldModelVectorEnv(counting_model, limits, 3)
    env.reset(seed=0)
    with pytest.raises(InputError, match="got 2 in row 1"):
        env.step(np.array([0, 2, 0]))
    assert env.step(np.array([0, 1, 0]))[0].tolist() == [[3.0, -1.0], [3.0, 1.0], [3.0, -1.0]]


def test_a_step_after_an_end_is_refused_where_autoreset_is_disabled(
    counting_model: WorldModel, limits: EpisodeRules
) -> None:
    env = WorldModelVectorEnv(counting_model, limits, 2, AutoresetMode.DISABLED)
    env.reset(seed=0)
    for _ in range(3):
        env.step(np.array([0, 0]))
    env.reset(options={"reset_mask": np.array([True, False])})
    with pytest.raises(InputError, match="reset of row 1"):
        env.step(np.array([0, 0]))


@pytest.mark.parametrize("mask", [np.zeros(2, bool), np.ones(3, bool), np.ones(2, int), [True, False]])
def test_a_wrong_reset_mask_is_refused(counting_model: WorldModel, limits: EpisodeRules, mask: Any) -> None:
    env = WorldModelVectorEnv(counting_model, limits, 2, AutoresetMode.DISABLED)
    with pytest.raises(InputError, match="reset_mask"):
        env.reset(seed=0, options={"reset_mask": mask})


def test_a_step_before_a_reset_is_refused(counting_model: WorldModel, limits: EpisodeRules) -> None:
    env = WorldModelVectorEnv(counting_model, limits, 2)
    with pytest.raises(InputError, match="expected a reset before this step"):
        env.step(np.array([0, 0]))


def test_a_first_reset_of_some_rows_is_refused(counting_model: WorldModel, limits: EpisodeRules) -> None:
    env = WorldModelVectorEnv(counting_model, limits, 2, AutoresetMode.DISABLED)
    with pytest.raises(InputError, match="first reset of all rows"):
        env.reset(seed=0, options={"reset_mask": np.array([True, False])})
    with pytest.raises(InputError, match="expected a reset before this step"):
        env.step(np.array([0, 0]))
    options = {"reset_mask": np.array([True, True])}
    assert env.reset(seed=0, options=options)[0].tolist() == [[2.0, 0.0], [2.0, 0.0]]
    assert list(options) == ["reset_mask"]


def test_unknown_reset_options_are_refused(counting_model: WorldModel, limits: EpisodeRules) -> None:
    env = WorldModelVectorEnv(counting_model, limits, 2)
    with pytest.raises(InputError, match=r"no reset option but reset_mask and start, got \['mask'\]"):
        env.reset(seed=0, options={"mask": "any", "reset_mask": np.ones(2, bool)})


@pytest.mark.parametrize("seed", [[1, 2], -1, 0.5])
def test_one_seed_serves_all_rows(counting_model: WorldModel, limits: EpisodeRules, seed: Any) -> None:
    env = WorldModelVectorEnv(counting_model, limits, 2)
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


def test_the_last_finite_observation_survives_what_the_caller_does(
    counting_model: WorldModel, rules_from: Rules
) -> None:
    env = WorldModelVectorEnv(counting_model, rules_from(counting_model, (0.0, 2.0)), 2, AutoresetMode.DISABLED)
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
    starts, logged = np.concatenate(seen), toy.trained.starts.any.observation.numpy()
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


def test_states_of_another_number_of_rows_are_refused(saved: str) -> None:
    env, other = make_vector_env(2, saved), make_vector_env(3, saved)
    for one in (env, other):
        one.reset(seed=0)
    with pytest.raises(InputError, match="expected a state of 3 rows, got 2"):
        other.set_state(env.get_state())


def test_a_state_from_before_the_first_reset_needs_one(saved: str) -> None:
    env = make_vector_env(2, saved)
    before = env.get_state()
    env.reset(seed=0)
    env.set_state(before)
    with pytest.raises(InputError, match="expected a reset before this step"):
        env.step(np.zeros(2, np.int64))


def test_pessimism_and_divergence_row_by_row(counting_model: WorldModel, rules_from: Rules) -> None:
    rules = rules_from(counting_model, pessimism=2.0)
    env = WorldModelVectorEnv(counting_model, rules, 2, AutoresetMode.DISABLED)
    env.reset(seed=0)
    assert env.step(np.array([1, 0]))[1].tolist() == pytest.approx([0.8, -0.2])
    env.step(np.array([1, 0]))
    _, rewards, terminated, truncated, infos = env.step(np.array([1, 0]))
    assert rewards.tolist() == pytest.approx([0.0, -0.6])
    assert (terminated.tolist(), truncated.tolist()) == ([False, False], [True, False])
    assert infos["uncertainty"].tolist() == pytest.approx([np.inf, 0.3])


def test_a_price_on_what_is_not_measured_diverges_loudly(counting_model: WorldModel, rules_from: Rules) -> None:
    """`make_rules` refuses it; who makes rules by hand sees it at once."""

    class Unmeasured(type(counting_model)):  # type: ignore[misc]
        def step(self, *arguments: Any) -> Imagined:
            return replace(super().step(*arguments), uncertainty=torch.full((2,), torch.nan))

    env = WorldModelVectorEnv(Unmeasured(), rules_from(counting_model, pessimism=1.0), 2)
    env.reset(seed=0)
    *_, truncated, infos = env.step(np.array([0, 1]))
    assert (truncated.tolist(), infos["diverged"].tolist()) == ([True, True], [True, True])


@pytest.mark.parametrize(
    ("start", "message"),
    [
        (
            [[0, 0], [0, 11]],
            r"expected observations inside .* from the start of a reset of Counting-v0, got .* in row 1",
        ),
        ([[0, 0], [np.nan, 0]], "in row 1"),
        ([0, 0], r"shape \(2, 2\)"),
    ],
)
def test_wrong_starts_are_refused_and_change_nothing(
    counting_model: WorldModel, limits: EpisodeRules, start: list, message: str
) -> None:
    env = WorldModelVectorEnv(counting_model, limits, 2, AutoresetMode.DISABLED)
    env.reset(seed=0)
    with pytest.raises(InputError, match=message):
        env.reset(seed=1, options={"start": start})
    assert env.step(np.array([0, 1]))[0].tolist() == [[3.0, -1.0], [3.0, 1.0]]
    rows = np.array([True, False])
    observations, _ = env.reset(options={"start": np.array([[1.0, 1.0], [99.0, 99.0]]), "reset_mask": rows})
    assert observations.tolist() == [[1.0, 1.0], [3.0, 1.0]]  # of rows that are not reset it does not matter


def test_a_hundred_thousand_rows_restart_in_every_mode(saved: str) -> None:
    for mode in MODES:
        env = make_vector_env(100_000, saved, start="learned", horizon=2, epistemic=False, autoreset_mode=mode)
        env.reset(seed=0)
        for _ in range(3):
            observations, _, terminated, truncated, _ = env.step(np.zeros(100_000, np.int64))
            reset_ended(env, terminated | truncated)
        assert observations.shape == (100_000, 3)
