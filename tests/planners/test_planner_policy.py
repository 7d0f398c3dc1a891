import re
from dataclasses import replace
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium import spaces

from envs.errors import InputError
from envs.evaluate import evaluate
from envs.policy import join_rows, select_rows
from planners.configs import (
    PLANNERS,
    CEMConfig,
    GradientConfig,
    ICEMConfig,
    MCTSConfig,
    MPPIConfig,
    PlannerConfig,
    RandomShootingConfig,
)
from planners.planner_policy import PlannerPolicy, make_planner

SHOOTING = RandomShootingConfig(horizon=12, hold=4, num_sequences=8)
SEARCH = MCTSConfig(num_simulations=6, hold=5, horizon=12, num_rollouts=2, rollout_hold=12)
CROSS_ENTROPY = CEMConfig(num_sequences=16, iterations=2, elite_fraction=0.25, horizon=10)
COLORED = ICEMConfig(num_sequences=32, iterations=2, horizon=12)
PATH_INTEGRAL = MPPIConfig(num_sequences=32, iterations=2, horizon=12, noise_exponent=2.0)


@pytest.mark.parametrize("config", [settings() for settings in PLANNERS.values()], ids=PLANNERS)
@pytest.mark.parametrize(
    "state", [{}, {"x": [[0.0, 0.0]]}, torch.zeros(1, 2), {"x": torch.zeros(1, 2), "y": torch.zeros(2)}]
)
def test_a_state_that_cannot_be_copied_is_refused(make_integrator, config: PlannerConfig, state: Any) -> None:
    with pytest.raises(InputError, match="expected a state of the model of LQR-v0 that can be copied"):
        make_planner(config)(make_integrator(), state, None, None)


@pytest.mark.parametrize("name", PLANNERS)
def test_an_action_space_that_nobody_serves_is_refused(make_integrator, name: str) -> None:
    model = make_integrator()
    model.spec = replace(model.spec, action_space=spaces.MultiDiscrete([2, 2]))
    with pytest.raises(
        InputError, match=f"{name} expects a .* action space, LQR-v0 has MultiDiscrete.*no planner serves"
    ):
        make_planner(PLANNERS[name]())(model, {"x": torch.zeros(1, 2)}, None, None)


@pytest.mark.parametrize(
    "config",
    [SHOOTING, SEARCH, CROSS_ENTROPY, COLORED, PATH_INTEGRAL],
    ids=["random_shooting", "mcts", "cem", "icem", "mppi"],
)
def test_keeps_the_real_pole_up(cartpole, config: PlannerConfig) -> None:
    policy = PlannerPolicy(cartpole, make_planner(config))
    outcome = evaluate(policy, lambda: gymnasium.make("CartPole-v1", max_episode_steps=120), episodes=8)
    assert outcome.returns.tolist() == [120.0] * 8


@pytest.mark.slow
@pytest.mark.parametrize("config", [RandomShootingConfig(), CEMConfig(), MCTSConfig(), SHOOTING, SEARCH], ids=str)
def test_solves_cartpole_with_the_true_dynamics(cartpole, config: PlannerConfig) -> None:
    outcome = evaluate(PlannerPolicy(cartpole, make_planner(config)), "CartPole-v1", episodes=20)
    assert outcome.returns.mean() >= (500 if isinstance(config, CEMConfig) else 495)


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


def test_the_batched_pendulum_is_gymnasiums(pendulum) -> None:
    env, random = gymnasium.make("Pendulum-v1").unwrapped, np.random.default_rng(0)
    starts = np.stack([random.uniform(-9, 9, 50), random.uniform(-8, 8, 50)], axis=1)
    torques = random.uniform(-2, 2, (50, 1)).astype(np.float32)
    state = {"angle": torch.from_numpy(starts[:, 0]), "speed": torch.from_numpy(starts[:, 1])}
    env.reset(seed=0)
    imagined = pendulum.step(state, torch.from_numpy(torques))
    for row, (start, torque) in enumerate(zip(starts, torques, strict=True)):
        env.state = start.copy()
        observation, reward, *_ = env.step(torque)
        np.testing.assert_allclose(imagined.observation[row].numpy(), observation, atol=1e-6)
        assert imagined.reward[row].item() == pytest.approx(reward, rel=1e-6)
        np.testing.assert_allclose([imagined.state[key][row] for key in ("angle", "speed")], env.state, atol=1e-9)


@pytest.mark.slow
def test_icem_swings_the_real_pendulum_up(pendulum) -> None:
    """The optimum of these 20 starts is -138.1 (value iteration on a fine grid); of all starts -138.3."""
    config = ICEMConfig(horizon=50, num_sequences=200, iterations=3, hold=5, initial_std=0.5, noise_exponent=1.0)
    outcome = evaluate(PlannerPolicy(pendulum, make_planner(config)), "Pendulum-v1", episodes=20, seed=4)
    assert outcome.returns.mean() >= -145


@pytest.mark.parametrize(
    "config",
    [
        RandomShootingConfig(horizon=4, num_sequences=6, hold=1),
        CEMConfig(horizon=4, num_sequences=6, hold=1),
        ICEMConfig(horizon=4, num_sequences=6),
        MPPIConfig(horizon=4, num_sequences=6),
        GradientConfig(horizon=4, num_sequences=2, iterations=2),
    ],
    ids=lambda config: type(config).__name__,
)
def test_a_row_plans_as_it_would_alone(make_integrator, config: PlannerConfig) -> None:
    """Each draws from a stream of its own, at the first step and, with its warm start, at the next."""
    policy = PlannerPolicy(make_integrator(), make_planner(config))
    observations = np.random.default_rng(0).normal(size=(3, 2)).astype(np.float32)
    starts = [policy.initial_state(1, seed) for seed in (5, 6, 7)]
    together, alone = join_rows(starts), starts
    for _ in range(2):
        actions, together = policy.act(observations, together)
        each = [policy.act(observations[row : row + 1], alone[row]) for row in range(3)]
        alone = [state for _, state in each]
        np.testing.assert_allclose(actions, np.concatenate([one for one, _ in each]), atol=1e-5)
    same = np.ones((2, 2), np.float32)
    actions, _ = policy.act(same, join_rows(starts[:2]))
    assert actions[0] != actions[1]


def test_nothing_is_kept_from_one_episode_to_the_next(make_integrator) -> None:
    """The elites of iCEM live in the policy's state alone: a new episode plans as the first one did."""
    policy = PlannerPolicy(make_integrator(), make_planner(ICEMConfig(horizon=4, num_sequences=20)))
    observations = np.ones((2, 2), np.float32)
    first, state = policy.act(observations, policy.initial_state(2, seed=3))
    policy.act(-observations, state)
    again, _ = policy.act(observations, policy.initial_state(2, seed=3))
    np.testing.assert_array_equal(first, again)


def test_what_planning_costs_is_counted(make_integrator) -> None:
    model, calls = make_integrator(), []
    step = model.step
    model.step = lambda *given: calls.append(1) or step(*given)
    for config in (CEMConfig(hold=1), ICEMConfig(), MPPIConfig(), RandomShootingConfig(), GradientConfig(iterations=3)):
        policy = PlannerPolicy(model, make_planner(config))
        calls.clear()
        state = policy.initial_state(2, seed=0)
        for _ in range(2):
            _, state = policy.act(np.ones((2, 2), np.float32), state)
        cost = policy.cost
        assert (cost.decisions, cost.batches, cost.model_calls) == (4, 2, len(calls))
        assert cost.seconds > 0
        told = rf"^\d+\.\d\d ms a decision, {len(calls) // 2} model calls for 2.0 decisions at once$"
        assert re.match(told, cost.told())
