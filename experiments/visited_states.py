"""Where states lie: those that a synthetic environment shows, and those that a policy visits on the real one.

Shape legend: ``N`` states, ``O`` observation size.
"""

import tempfile
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from agents.agent import to_env_action
from agents.agent_policy import AgentPolicy
from envs.functional import Params
from envs.functional_batch import restarted
from envs.policy import Policy
from envs.record import record
from synthetic_envs.fitting import energy_distance
from synthetic_envs.synthetic_env import SyntheticEnv

_NUM_ENVS = 20


def own_states(env: SyntheticEnv, params: Params, policy: AgentPolicy, num_states: int, seed: int) -> np.ndarray:
    """Returns states ``[N, O]`` that ``policy``, acting greedily, meets in ``env``, where episodes follow each other.

    A bandit's are its contexts, whatever the policy does.
    """
    num_steps = -(-num_states // _NUM_ENVS)
    start_key, key = jax.random.split(jax.random.key(seed))
    start = jax.vmap(env.reset, (0, None))(jax.random.split(start_key, _NUM_ENVS), params)

    def step(carry: Any, key: jax.Array) -> tuple[Any, jax.Array]:
        observation, state, memory = carry
        step_key, reset_key = jax.random.split(key)
        action, memory = policy.networks.mode(policy.params, observation, memory)
        led_to, state, _, terminated, truncated, _ = jax.vmap(env.step, (0, 0, 0, None))(
            jax.random.split(step_key, _NUM_ENVS), state, to_env_action(env.spec, action), params
        )
        after = restarted(env, jax.random.split(reset_key, _NUM_ENVS), terminated | truncated, led_to, state, params)
        return (*after, memory), observation

    run = jax.jit(lambda start, keys: jax.lax.scan(step, start, keys)[1])
    met = run((*start, policy.networks.initial_memory(_NUM_ENVS)), jax.random.split(key, num_steps))
    return np.asarray(met).reshape(num_steps * _NUM_ENVS, -1)[:num_states]


def real_states(policy: Policy, num_states: int, seed: int, progress: str | None = None) -> np.ndarray:
    """Returns states ``[N, O]`` that ``policy`` visits on Gymnasium's own environment, those that end episodes too."""
    with tempfile.TemporaryDirectory() as folder:
        log = record(policy, policy.spec.env_id, num_states, seed, Path(folder) / "log", progress=progress)
        return np.array(log.observations, np.float32)


def distance(states: np.ndarray, real: np.ndarray) -> float:
    """Returns the energy distance of two samples, ``[N, O]`` and ``[M, O]``, in standard deviations of ``real``."""
    mean, deviation = real.mean(0), real.std(0) + 1e-6
    return float(energy_distance(jnp.asarray((states - mean) / deviation), jnp.asarray((real - mean) / deviation)))


class States(NamedTuple):
    """Samples of states, each ``[N, O]``.

    Attributes:
        own: of the synthetic environment.
        best: that a good policy visits on the real environment.
        strayed: that it visits there when it acts at random now and then, or always.
        optimal: whether the good policy is the optimal one, not a trained agent.
    """

    own: np.ndarray
    best: np.ndarray
    strayed: np.ndarray
    optimal: bool

    @property
    def real(self) -> np.ndarray:
        """All those of the real environment."""
        return np.concatenate([self.best, self.strayed])
