"""PPO with a memory on CartPole whose velocities are hidden: far better than without, on Gymnasium's own dynamics."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import pytest

from agents.agent_policy import AgentPolicy
from agents.configs import PPOConfig
from agents.training.compiled import make_compiled_training
from envs.evaluate import evaluate
from envs.gymnax_adapter import make_classic_control
from envs.spec import spec_of

ENV_ID = "simulacra/PositionOnlyCartPole-v1"
CONFIG = PPOConfig(
    total_steps=200_000, num_steps=128, num_epochs=4, num_minibatches=4, hidden=(64,), gamma=0.99, gae_lambda=0.95,
    normalise_observations=True, memory="gru", memory_size=32,
)  # fmt: skip


class PositionOnlyCartPole:
    """The compiled copy of CartPole, showing position and angle only."""

    def __init__(self) -> None:
        self.spec, self.inner = spec_of(ENV_ID), make_classic_control("CartPole-v1")

    @property
    def default_params(self):
        return self.inner.default_params

    def reset(self, key, params):
        observation, state = self.inner.reset(key, params)
        return observation[jnp.array([0, 2])], state

    def step(self, key, state, action, params):
        observation, *others = self.inner.step(key, state, action, params)
        return observation[jnp.array([0, 2])], *others


def real_return(config: PPOConfig) -> float:
    env = PositionOnlyCartPole()
    training = make_compiled_training(env, config)
    params = jax.jit(training.train)(jax.random.key(0), env.default_params, training.hyper)
    return evaluate(AgentPolicy(env.spec, config, params), ENV_ID, episodes=20, seed=9).returns.mean()


@pytest.mark.slow
def test_a_memory_makes_up_for_hidden_velocities():
    assert real_return(CONFIG) >= 400
    assert real_return(replace(CONFIG, total_steps=100_000, memory="none")) <= 100
