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


def real_returns(config: PPOConfig, num_seeds: int) -> list[float]:
    """Returns the mean real return of every seed's agent."""
    env = PositionOnlyCartPole()
    training = make_compiled_training(env, config)
    train = jax.jit(jax.vmap(training.train, (0, None, None)))
    trained = train(jax.random.split(jax.random.key(0), num_seeds), env.default_params, training.hyper)
    policies = [AgentPolicy(env.spec, config, jax.tree.map(lambda x: x[row], trained)) for row in range(num_seeds)]  # noqa: B023
    return [evaluate(policy, ENV_ID, episodes=20, seed=9).returns.mean() for policy in policies]


@pytest.mark.slow
def test_a_memory_makes_up_for_hidden_velocities():
    """Of six seeds here five reach 440 to 500 and one 250; which one does depends on the processor's rounding."""
    assert sum(real_returns(CONFIG, 3)) / 3 >= 300
    assert max(real_returns(replace(CONFIG, total_steps=100_000, memory="none"), 1)) <= 100
