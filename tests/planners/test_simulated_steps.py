"""The quick search on a real environment is the search on any model: same draws, visits, values and counts."""

from dataclasses import replace
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch

from envs.spec import make_real
from envs.world_model import Imagination, Imagined, ModelState, join_states
from planners.configs import MCTSConfig
from planners.mcts import mcts
from planners.simulator import SimulatorModel

CONFIGS = {
    "plain": MCTSConfig(num_simulations=40, num_rollouts=1, rollout_hold=1, horizon=8),
    "several held rollouts": MCTSConfig(num_simulations=40, num_rollouts=3, rollout_hold=4, horizon=12, discount=0.9),
    "held actions, cut short": MCTSConfig(num_simulations=40, hold=3, horizon=10, num_rollouts=2, discount=1.0),
    "counted from the leaf": MCTSConfig(num_simulations=40, hold=2, horizon=5, horizon_from="leaf", discount=0.95),
    "all distinct rollouts": MCTSConfig(num_simulations=20, horizon=4, num_rollouts=4, rollout_hold=2),
    "deeper than the horizon": MCTSConfig(num_simulations=60, horizon=2, num_rollouts=1),
    "Gumbel": MCTSConfig(num_simulations=32, select="gumbel", horizon=6),
    "UCT": MCTSConfig(num_simulations=40, select="uct", horizon=6, discount=1.0),
    "best values": MCTSConfig(num_simulations=40, backup="best", horizon=6, discount=1.0),
    "two players": MCTSConfig(num_simulations=40, discount=-1.0, horizon=6, num_rollouts=2),
}


def late_states(model: SimulatorModel, env_id: str) -> ModelState:
    """States at the start and of random play, of which some are about to end and one has ended."""
    env = make_real(env_id)
    found = []
    for seed in range(3):
        observation, _ = env.reset(seed=seed)
        env.action_space.seed(seed)
        for _ in range(8 * seed):
            observation, _, terminated, _, _ = env.step(env.action_space.sample())
            if terminated:
                break
        found.append(model.capture([env], np.asarray(observation)[None]))
    ended = {**found[0], "ended": torch.tensor([True])}
    return join_states([*found, ended])


@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
@pytest.mark.parametrize("env_id", ["CartPole-v1", "MountainCar-v0", "CliffWalking-v1"])
def test_it_is_the_search_on_any_model(env_id: str, config: MCTSConfig) -> None:
    model = SimulatorModel(env_id)
    state = late_states(model, env_id)
    quick, plain = (
        mcts(model, state, replace(config, fused=fused), torch.Generator().manual_seed(5)) for fused in (True, False)
    )
    assert torch.equal(quick.visits, plain.visits)
    assert torch.equal(quick.action, plain.action)
    torch.testing.assert_close(quick.action_values, plain.action_values, rtol=1e-5, atol=1e-5, equal_nan=True)
    assert quick.statistics.model_calls == plain.statistics.model_calls
    assert quick.statistics.model_steps == plain.statistics.model_steps


class Upside(SimulatorModel):
    """Pays the opposite."""

    def step(self, state: ModelState, action: torch.Tensor, generator: torch.Generator | None = None) -> Imagined:
        imagined = super().step(state, action, generator)
        return replace(imagined, reward=-imagined.reward)

    def imagine(self, *given: Any) -> Imagination:
        imagined = super().imagine(*given)
        return replace(imagined, reward=-imagined.reward)


def test_a_subclass_keeps_its_own_way() -> None:
    model = Upside("CartPole-v1")
    found = mcts(model, model.encode(torch.zeros(1, 4)), CONFIGS["plain"], torch.Generator().manual_seed(5))
    assert found.value.item() < -1


def test_actions_may_start_elsewhere() -> None:
    def make() -> gymnasium.Env:
        return Shifted(gymnasium.make("CartPole-v1"))

    model = SimulatorModel(make)
    state = model.encode(torch.zeros(1, 4))
    quick, plain = (
        mcts(model, state, replace(CONFIGS["plain"], fused=fused), torch.Generator().manual_seed(5))
        for fused in (True, False)
    )
    assert torch.equal(quick.visits, plain.visits)
    assert quick.action.item() in (3, 4)


class Shifted(gymnasium.ActionWrapper):
    """Actions 3 and 4."""

    def __init__(self, env: gymnasium.Env):
        super().__init__(env)
        self.action_space = gymnasium.spaces.Discrete(2, start=3)

    def action(self, action: Any) -> Any:
        return action - 3


def test_a_return_without_end_is_never_followed() -> None:
    def make() -> gymnasium.Env:
        return gymnasium.wrappers.TransformReward(gymnasium.make("CartPole-v1"), lambda _: float("inf"))

    model = SimulatorModel(make)
    state = model.encode(torch.zeros(1, 4))
    config = CONFIGS["plain"]
    quick, plain = (
        mcts(model, state, replace(config, fused=fused), torch.Generator().manual_seed(5)) for fused in (True, False)
    )
    assert torch.equal(quick.visits, plain.visits)
