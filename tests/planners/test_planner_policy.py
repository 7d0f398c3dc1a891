from typing import Any

import gymnasium
import numpy as np
import pytest
import torch

from envs.errors import InputError
from envs.evaluate import evaluate
from envs.policy import join_rows, select_rows
from planners.configs import CEMConfig, MCTSConfig, PlannerConfig, RandomShootingConfig
from planners.planner_policy import PlannerPolicy, make_planner

SHOOTING = RandomShootingConfig(horizon=12, hold=4, num_sequences=8)
SEARCH = MCTSConfig(num_simulations=6, hold=5, horizon=12, num_rollouts=2, rollout_hold=12)
CROSS_ENTROPY = CEMConfig(num_sequences=16, iterations=2, elite_fraction=0.25, horizon=10)


@pytest.mark.parametrize("config", [SHOOTING, SEARCH, CROSS_ENTROPY], ids=["random_shooting", "mcts", "cem"])
def test_keeps_the_real_pole_up(cartpole, config: PlannerConfig) -> None:
    policy = PlannerPolicy(cartpole, make_planner(config))
    outcome = evaluate(policy, lambda: gymnasium.make("CartPole-v1", max_episode_steps=120), episodes=8)
    assert outcome.returns.tolist() == [120.0] * 8


@pytest.mark.slow
@pytest.mark.parametrize("config", [RandomShootingConfig(), CEMConfig(), MCTSConfig(), SHOOTING, SEARCH], ids=str)
def test_solves_cartpole_with_the_true_dynamics(cartpole, config: PlannerConfig) -> None:
    outcome = evaluate(PlannerPolicy(cartpole, make_planner(config)), "CartPole-v1", episodes=20)
    assert outcome.returns.mean() >= 495


@pytest.mark.parametrize("config", [SHOOTING, SEARCH, CROSS_ENTROPY], ids=["random_shooting", "mcts", "cem"])
def test_acting_is_a_function_of_observations_and_state(cartpole, config: PlannerConfig) -> None:
    policy = PlannerPolicy(cartpole, make_planner(config))
    observations = np.random.default_rng(0).normal(size=(5, 4), scale=0.05).astype(np.float32)
    actions, state = policy.act(observations, policy.initial_state(5, seed=1))
    assert actions.shape == (5,)
    assert actions.dtype == policy.spec.action_space.dtype
    first, again = (policy.act(observations, state)[0] for _ in range(2))
    np.testing.assert_array_equal(first, again)
    rows = np.array([0, 3])
    fewer, after = policy.act(observations[rows], select_rows(state, rows))
    assert fewer.shape == (2,)
    assert after["step"].tolist() == [2, 2]


@pytest.mark.parametrize("config", [SHOOTING, SEARCH, CROSS_ENTROPY], ids=["random_shooting", "mcts", "cem"])
def test_episodes_are_joined_before_their_first_step_and_later(cartpole, config: PlannerConfig) -> None:
    policy = PlannerPolicy(cartpole, make_planner(config))
    observations = np.random.default_rng(0).normal(size=(3, 4), scale=0.05).astype(np.float32)
    start = join_rows([policy.initial_state(1, seed) for seed in (7, 8, 9)])
    assert start["seed"].tolist() == [policy.initial_state(1, seed)["seed"][0] for seed in (7, 8, 9)]
    assert [start[name] for name in ("model", "action", "warm_start")] == [None] * 3
    _, state = policy.act(observations, start)
    joined = join_rows([select_rows(state, np.array([row])) for row in range(3)])
    actions = [policy.act(observations, whole)[0] for whole in (state, joined)]
    np.testing.assert_array_equal(*actions)


def test_seeds_and_steps_draw_differently(make_integrator) -> None:
    policy = PlannerPolicy(make_integrator(), make_planner(RandomShootingConfig(horizon=3, num_sequences=4)))
    observations = np.zeros((2, 2), np.float32)
    state, other = policy.initial_state(2, seed=0), policy.initial_state(2, seed=1)
    first, after = policy.act(observations, state)
    assert not np.array_equal(first, policy.act(observations, other)[0])
    later = {**state, "step": after["step"]}
    assert not np.array_equal(first, policy.act(observations, later)[0])


def test_the_model_filters_and_the_planner_goes_on(make_integrator) -> None:
    """encode gets the state before and what was done in it; the planner gets its own warm start back."""
    model, seen, given = make_integrator(), [], []

    def encode(observation: torch.Tensor, previous: Any = None, action: Any = None) -> dict[str, torch.Tensor]:
        seen.append((previous, action))
        return {"x": observation}

    model.encode, plan_fn = encode, make_planner(RandomShootingConfig(horizon=3, num_sequences=4))

    def planner(model: Any, state: Any, generator: Any, warm_start: Any) -> Any:
        given.append(warm_start)
        return plan_fn(model, state, generator, warm_start)

    policy = PlannerPolicy(model, planner)
    observations = np.ones((2, 2), np.float32)
    actions, state = policy.act(observations, policy.initial_state(2, seed=0))
    policy.act(observations, state)
    assert seen[0] == (None, None)
    np.testing.assert_array_equal(seen[1][1].numpy(), actions)
    np.testing.assert_array_equal(seen[1][0]["x"].numpy(), observations)
    assert given[0] is None
    assert given[1] is state["warm_start"]


def test_a_function_the_planner_does_not_take_is_refused() -> None:
    with pytest.raises(InputError, match="value_fn for trajectory planners only"):
        make_planner(MCTSConfig(), value_fn=lambda state: state["x"])
    with pytest.raises(InputError, match="evaluate_fn for MCTS only"):
        make_planner(CEMConfig(), evaluate_fn=lambda state: (state["x"], state["x"]))
