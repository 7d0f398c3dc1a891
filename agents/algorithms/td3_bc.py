"""TD3+BC (Fujimoto and Gu 2021, "A Minimalist Approach to Offline Reinforcement Learning").

TD3 whose policy also imitates the log: it makes ``-lambda Q(s, pi(s)) + (pi(s) - a)^2`` small (eq. 4), with lambda the
``value_weight`` over the minibatch's mean ``|Q|`` (eq. 5), on observations normalised by the log's moments.

It goes on by collecting as it is, imitating what is in its replay; TD3 takes over its brain without that.

Shape legend: ``N`` rows of a minibatch.
"""

from functools import cache
from typing import NamedTuple

import jax
import jax.numpy as jnp

from agents.agent import Agent, Params
from agents.algorithms import td3
from agents.algorithms.off_policy import ReplayHyper, replay_agent
from agents.configs import TD3BCConfig
from agents.networks.deterministic import DeterministicNetworks, make_deterministic_networks
from agents.replay.ring import Transitions
from envs.spec import EnvSpec


class Hyperparameters(NamedTuple):
    """The numeric settings of an update, each a scalar; see `TD3BCConfig` for their meaning."""

    td3: td3.Hyperparameters
    value_weight: jax.Array

    @property
    def exploration_noise(self) -> jax.Array:
        """TD3's."""
        return self.td3.exploration_noise

    @property
    def replay(self) -> ReplayHyper:
        """TD3's."""
        return self.td3.replay


def make_td3_bc(spec: EnvSpec, config: TD3BCConfig) -> Agent:
    """Returns TD3+BC as an agent; raises `InputError` for spaces that it cannot serve."""
    return _agent(make_deterministic_networks(spec, config), config)


@cache  # the same functions for the same settings, so that what was compiled of them serves again
def _agent(networks: DeterministicNetworks, config: TD3BCConfig) -> Agent:
    def step(
        brain: td3.Brain, batch: Transitions, weight: jax.Array, key: jax.Array, hyper: Hyperparameters
    ) -> tuple[td3.Brain, jax.Array, dict[str, jax.Array]]:
        policy_loss = make_policy_loss(networks, hyper.value_weight)
        return td3.gradient_step(brain, batch, weight, key, networks, hyper.td3, config.policy_delay, policy_loss)

    hyper = Hyperparameters(td3.hyperparameters_of(config), jnp.float32(config.value_weight))
    return replay_agent(td3.replay_algorithm(networks, config, hyper, step))


def make_policy_loss(networks: DeterministicNetworks, value_weight: jax.Array) -> td3.PolicyLoss:
    """Returns the policy's loss, imitation of the scaled-back action included."""

    def policy_loss(params: Params, critics: Params, batch: Transitions) -> jax.Array:
        chosen, value = td3.first_value(params, critics, batch, networks)
        scale = value_weight / jax.lax.stop_gradient(jnp.abs(value).mean())
        imitation = ((chosen - networks.bounds.scaled_back(batch.action)) ** 2).mean()
        return imitation - scale * value.mean()

    return policy_loss
