import warnings
from collections.abc import Callable
from pathlib import Path

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces
from gymnasium.utils.env_checker import check_env
from stable_baselines3 import PPO
from stable_baselines3.common.env_checker import check_env as check_sb3
from stable_baselines3.common.vec_env import DummyVecEnv

from envs.draw import draw_numbers, draw_state
from envs.errors import InputError
from envs.spec import EnvSpec
from envs.world_model import WorldModel
from worldmodels.configs import EpisodeConfig
from worldmodels.families.ensemble import Ensemble
from worldmodels.gym.env import WorldModelEnv, make_env
from worldmodels.gym.rules import EpisodeRules, make_rules
from worldmodels.saving import save_model


@pytest.fixture
def counting(counting_model: WorldModel, rules_from: Callable[..., EpisodeRules]) -> Callable[..., WorldModelEnv]:
    return lambda **rules: WorldModelEnv(counting_model, rules_from(counting_model, **rules))


@pytest.fixture
def saved(toy: Ensemble, tmp_path: Path) -> str:
    toy.parts.network.termination_weight.fill_(1e6)  # no episode of it is terminated
    save_model(toy, tmp_path / "model")
    return str(tmp_path / "model")


@pytest.mark.parametrize("action_space", [spaces.Discrete(2), spaces.Box(-1, 1, (2,), np.float32)])
def test_both_checkers_pass_without_a_warning(
    make_untrained: Callable[..., Ensemble], tmp_path: Path, action_space: spaces.Space
) -> None:
    spec = EnvSpec("Toy-v0", spaces.Box(-2, 2, (3,), np.float32), action_space, max_episode_steps=50)
    save_model(make_untrained(spec), tmp_path / "model")
    env = gymnasium.make("simulacra/WorldModel-v0", path=str(tmp_path / "model"))
    check_env(env.unwrapped)
    check_sb3(env)


def test_on_cartpole_gymnasium_warns_of_cartpoles_own_bounds_alone(make_untrained: Callable[..., Ensemble]) -> None:
    model = make_untrained(EnvSpec("CartPole-v1", gymnasium.make("CartPole-v1").observation_space, spaces.Discrete(2)))
    env = WorldModelEnv(model, make_rules(model, EpisodeConfig(horizon=10)))
    check_sb3(env)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        check_env(env, skip_render_check=True)
    assert ["infinity" in str(warning.message) for warning in caught] == [True, True]


def test_an_episode_is_truncated_at_the_horizon(counting: Callable[..., WorldModelEnv]) -> None:
    env = counting(horizon=2)
    env.reset(seed=0)
    assert env.step(1)[1:4] == (1.0, False, False)
    observation, reward, terminated, truncated, info = env.step(0)
    assert observation.tolist() == [2.0, 0.0]
    assert (reward, terminated, truncated) == (0.0, False, True)
    assert info == {"uncertainty": 0.0, "diverged": False}
    env.reset()
    assert env.step(1)[3] is False


def test_an_episode_is_terminated_where_the_model_says_so(counting: Callable[..., WorldModelEnv]) -> None:
    env = counting(start=(4.0, 0.0))
    env.reset(seed=0)
    assert env.step(1)[2:4] == (True, False)


def test_an_episode_is_truncated_where_the_model_is_uncertain(counting: Callable[..., WorldModelEnv]) -> None:
    env = counting(max_uncertainty=0.15)
    env.reset(seed=0)
    assert env.step(1)[2:4] == (False, False)
    *_, terminated, truncated, info = env.step(1)
    assert (terminated, truncated) == (False, True)
    assert info["uncertainty"] == pytest.approx(0.2)


def test_what_is_not_finite_ends_the_episode_at_the_last_finite_observation(
    counting: Callable[..., WorldModelEnv],
) -> None:
    env = counting()
    env.reset(seed=0)
    env.step(1)
    last, *_ = env.step(1)
    observation, reward, terminated, truncated, info = env.step(1)
    assert np.array_equal(observation, last)
    assert (reward, terminated, truncated) == (0.0, False, True)
    assert info == {"uncertainty": np.inf, "diverged": True}
    assert env.reset()[0].tolist() == [0.0, 0.0]
    assert env.step(1)[0].tolist() == [1.0, 1.0]


def test_a_wrong_action_changes_nothing(saved: str) -> None:
    def run(actions: list[int]) -> list[np.ndarray]:
        env = make_env(saved)
        seen = [env.reset(seed=3)[0]]
        for action in actions:
            if action == 9:
                with pytest.raises(InputError, match="got 9 in row 0"):
                    env.step(action)
            else:
                seen.append(env.step(action)[0])
        return seen

    assert all(map(np.array_equal, run([0, 1, 1]), run([0, 9, 1, 9, 1])))


def test_a_step_outside_an_episode_is_refused(counting: Callable[..., WorldModelEnv]) -> None:
    env = counting(horizon=2)
    with pytest.raises(InputError, match="expected a reset before this step"):
        env.step(1)
    env.reset(seed=0)
    env.step(1)
    env.step(1)
    with pytest.raises(InputError, match="expected a reset before this step"):
        env.step(1)
    assert env.reset()[0].tolist() == [0.0, 0.0]
    assert env.step(1)[0].tolist() == [1.0, 1.0]


def test_wrong_resets_are_refused_and_change_nothing(counting: Callable[..., WorldModelEnv]) -> None:
    env = counting()
    env.reset(seed=0, options={})
    env.step(1)
    with pytest.raises(InputError, match=r"no reset option but start, got \['reset_mask'\]"):
        env.reset(options={"reset_mask": np.ones(1, bool)})
    for start, message in (([0.0, 11.0], "in row 0"), ([0.0], r"shape \(1, 2\)"), ([np.nan, 0.0], "got")):
        with pytest.raises(InputError, match=f"expected observations .*{message}"):
            env.reset(options={"start": start})
    for seed in ([1], -1, 0.5):
        with pytest.raises(InputError, match="one seed of at least 0"):
            env.reset(seed=seed)  # type: ignore[arg-type]
    assert env.step(1)[0].tolist() == [2.0, 2.0]


def test_seeds_fix_the_trajectory_and_a_reset_without_one_goes_on(saved: str) -> None:
    def run(seed: int) -> np.ndarray:
        env, seen = make_env(saved, start="any"), []
        for reset_seed in (seed, None):
            seen.append(env.reset(seed=reset_seed)[0])
            seen.extend(env.step(action)[0] for action in (0, 1, 0))
        return np.stack(seen)

    assert np.array_equal(run(5), run(5))
    assert not np.array_equal(run(5), run(6))
    assert not np.array_equal(run(5)[:4], run(5)[4:])


def test_returned_observations_can_be_written_to(saved: str) -> None:
    def run(scribble: bool) -> list[list[float]]:
        env = make_env(saved)
        observation, _ = env.reset(seed=0)
        seen = []
        for action in (0, 1, 1, 0):
            if scribble:
                observation[:] = 77.0
            observation = env.step(action)[0]
            seen.append(observation.tolist())
        return seen

    assert run(scribble=True) == run(scribble=False)


def test_settings_reach_the_model(saved: str, tmp_path: Path) -> None:
    env = make_env(saved, start="any", horizon=1, propagation="ts1")
    env.reset(seed=0)
    assert env.step(0)[3] is True
    with pytest.raises(InputError, match="found none"):
        make_env(str(tmp_path / "nothing"))


@pytest.mark.slow
def test_ppo_of_stable_baselines3_trains_unchanged(saved: str) -> None:
    for env in (make_env(saved), DummyVecEnv([lambda: make_env(saved)] * 2)):
        PPO("MlpPolicy", env, n_steps=64, batch_size=32, n_epochs=1, device="cpu").learn(256)


def best_return(env: WorldModelEnv, depth: int) -> float:
    """The best sum of rewards within ``depth`` steps: a full tree search by getting and setting the state."""
    root, found = env.get_state(), []
    for action in (0, 1):
        env.set_state(root)
        _, reward, terminated, truncated, _ = env.step(action)
        over = terminated or truncated or depth == 1
        found.append(reward + (0.0 if over else best_return(env, depth - 1)))
    env.set_state(root)
    return max(found)


def test_a_tree_search_runs_on_the_face(counting: Callable[..., WorldModelEnv]) -> None:
    """The episode ends after 5 steps, and a third step up (reward 1) more than down (0) diverges and pays nothing."""
    env = counting(horizon=9)
    env.reset(seed=0)
    assert best_return(env, 9) == 3.0
    assert best_return(env, 2) == 2.0
    assert env.step(1)[0].tolist() == [1.0, 1.0]


def test_a_search_between_the_steps_changes_nothing(saved: str) -> None:
    def run(search: bool) -> list[list[float]]:
        env = make_env(saved, start="any", propagation="ts1")
        seen = [env.reset(seed=0)[0]]
        for action in (0, 1, 1, 0):
            if search:
                best_return(env, 3)
            seen.append(env.step(action)[0])
        return [observation.tolist() for observation in [*seen, env.reset()[0]]]

    assert run(search=True) == run(search=False)


def test_a_state_is_a_copy(saved: str) -> None:
    env = make_env(saved)
    env.reset(seed=0)
    state = env.get_state()
    kept = [state.imagination.observation.tolist(), state.imagination.model["observation"].tolist()]
    env.step(1)[0][:] = 7
    env.set_state(state)
    env.step(0)
    assert [state.imagination.observation.tolist(), state.imagination.model["observation"].tolist()] == kept
    assert state.imagination.elapsed.tolist() == [0]


def test_an_ended_episode_comes_back_to_life_with_its_state(counting: Callable[..., WorldModelEnv]) -> None:
    env = counting(horizon=1)
    env.reset(seed=0)
    state = env.get_state()
    env.step(1)
    ended = env.get_state()
    env.set_state(state)
    assert env.step(0)[3] is True
    env.set_state(ended)
    with pytest.raises(InputError, match="expected a reset before this step"):
        env.step(0)


def test_a_state_knows_the_last_finite_observation(counting: Callable[..., WorldModelEnv]) -> None:
    env = counting(horizon=9)
    env.reset(seed=0)
    env.step(1)
    env.step(1)
    state = env.get_state()
    env.step(0)
    env.set_state(state)
    observation, *_, info = env.step(1)
    assert (observation.tolist(), info["diverged"]) == ([2.0, 2.0], True)


def test_states_of_other_models_are_refused(saved: str, counting: Callable[..., WorldModelEnv]) -> None:
    env, other = make_env(saved, propagation="tsinf"), counting()
    for one in (env, other, plain := make_env(saved)):
        one.reset(seed=0)
    with pytest.raises(InputError, match="expected a state of this model"):
        other.set_state(env.get_state())
    with pytest.raises(InputError, match=r"expected a state of this model.*member"):
        env.set_state(plain.get_state())
    assert other.step(1)[0].tolist() == [1.0, 1.0]


def test_pessimism_takes_uncertainty_off_the_reward(counting: Callable[..., WorldModelEnv]) -> None:
    env = counting(pessimism=3.0)
    env.reset(seed=0)
    assert env.step(1)[1] == pytest.approx(1 - 3 * 0.1)
    _, reward, *_, info = env.step(1)
    assert (reward, info["uncertainty"]) == (pytest.approx(1 - 3 * 0.2), pytest.approx(0.2))
    assert env.step(1)[1] == 0.0  # diverged, whose uncertainty is infinite


def test_the_kind_of_uncertainty_is_chosen(saved: str) -> None:
    def uncertainty(kind: str) -> float:
        env = make_env(saved, uncertainty=kind)  # type: ignore[arg-type]
        env.reset(seed=0)
        return env.step(1)[4]["uncertainty"]

    epistemic, aleatoric, total = map(uncertainty, ("epistemic", "aleatoric", "total"))
    assert epistemic > 0
    assert aleatoric > 0
    assert epistemic != aleatoric
    assert total == pytest.approx(np.hypot(epistemic, aleatoric), rel=1e-5)


def test_uncertainty_that_is_not_measured_is_nan_and_no_divergence(saved: str) -> None:
    env = make_env(saved, propagation="ts1", epistemic=False, horizon=3)
    env.reset(seed=0)
    for _ in range(2):
        *_, truncated, info = env.step(1)
        assert np.isnan(info["uncertainty"])
        assert (truncated, info["diverged"]) == (False, False)
    with pytest.raises(InputError, match="made with epistemic=False"):
        make_env(saved, propagation="ts1", epistemic=False, pessimism=1.0)


def test_the_real_environment_is_drawn_where_it_can_be(make_untrained: Callable[..., Ensemble], tmp_path: Path) -> None:
    observations = gymnasium.make("CartPole-v1").observation_space
    save_model(make_untrained(EnvSpec("CartPole-v1", observations, spaces.Discrete(2), 500)), tmp_path / "model")
    env = gymnasium.make("simulacra/WorldModel-v0", path=str(tmp_path / "model"), render_mode="rgb_array")
    observation, _ = env.reset(seed=0)
    assert np.array_equal(env.render(), draw_state("CartPole-v1", observation))
    observation = env.step(1)[0]
    assert np.array_equal(env.render(), draw_state("CartPole-v1", observation))
    with pytest.raises(InputError, match="unknown render mode 'human'"):
        make_env(str(tmp_path / "model"), render_mode="human")


def test_numbers_are_drawn_over_their_logged_range(saved: str, toy: Ensemble) -> None:
    env = make_env(saved, render_mode="rgb_array")
    observation, _ = env.reset(seed=0)
    logged = toy.trained.starts.any.observation.numpy()
    assert np.array_equal(env.render(), draw_numbers(observation, logged.min(0), logged.max(0)))


def test_a_picture_before_a_reset_is_refused(saved: str) -> None:
    with pytest.raises(InputError, match="expected a reset before this picture"):
        make_env(saved, render_mode="rgb_array").render()
