"""The synthetic MDP (Ferreira et al. 2022, "Learning Synthetic Environments and Reward Networks for RL").

Three networks of state and action tell the next state, the reward and whether the episode ends (an output above 0.5);
a state is an observation. Their weights are the parameters of the functional environment, so that a population of
MDPs is one vmapped call. Episodes start where the real environment's do, or where a fourth network sends Gaussian
noise.

Departures: discrete actions enter one-hot; states are clipped to the real observation space, so that a policy fits
both; a step whose numbers are not finite ends the episode where it was, with reward 0, so that candidates that blow up
stay inside the space; the first network may tell the change of the state instead; starts may be learned.

Shape legend: ``O`` observation size, ``A`` the action's shape, ``I`` size of observation and action as one vector.
"""

from dataclasses import replace
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from gymnasium import spaces

from envs.errors import InputError
from envs.functional import FunctionalEnv
from envs.mlp import MLPParams
from envs.spec import EnvSpec
from synthetic_envs.configs import MDPConfig
from synthetic_envs.networks import apply_network, init_network
from synthetic_envs.vectors import action_vector, require_vectors

MDPParams = dict[str, MLPParams]

END_THRESHOLD = 0.5
"""Outputs of the termination network above this end the episode."""
_CHANGE_SCALE = 0.1
"""Gain of the last layer of fresh networks that tell changes: at 1 a state would double within a few steps."""


class MDPState(NamedTuple):
    """State of a `SyntheticMDP`.

    Attributes:
        observation: ``[O]`` float32.
        time: steps of this episode, int32.
    """

    observation: jax.Array
    time: jax.Array


class SyntheticMDP:
    """An MDP with the spaces of the real environment that ``spec`` names; a `FunctionalEnv`.

    Args:
        spec: of the real environment.
        config: networks, starts and step cap.
        real: the real environment as pure functions, where episodes start as its do; otherwise not needed.

    Raises:
        InputError: spaces other than vectors (see `require_vectors`), no or another environment to start in, or no
            step cap where the real environment has no limit.

    Attributes:
        config: the settings, the step cap filled in.
    """

    family = "mdp"

    def __init__(self, spec: EnvSpec, config: MDPConfig, real: FunctionalEnv | None = None):
        self._observation_size, self._action_size = require_vectors(spec, "a synthetic MDP")
        if config.starts == "real" and real is None:
            raise InputError(f"expected the functional copy of {spec.env_id}, where the synthetic MDP starts, got none")
        if real is not None:
            real.spec.require_same(spec, "the environment to start in", "the synthetic MDP")
        max_steps = config.max_steps or spec.max_episode_steps
        if max_steps is None:
            raise InputError(f"expected max_steps for a synthetic MDP of {spec.env_id}, which has no limit, got None")
        observation = spec.observation_space
        assert isinstance(observation, spaces.Box)
        self.spec = EnvSpec(spec.env_id, observation, spec.action_space, max_steps)
        self.config = replace(config, max_steps=max_steps)
        self._max_steps = max_steps
        self._real = real
        self._low, self._high = jnp.asarray(observation.low), jnp.asarray(observation.high)

    @property
    def default_params(self) -> MDPParams:
        """Fresh random weights from a fixed key: an MDP that nobody has evolved yet."""
        return self.init_params(jax.random.key(0))

    def init_params(self, key: jax.Array) -> MDPParams:
        """Returns random weights: networks ``next``, ``reward``, ``end`` and, where starts are learned, ``start``."""
        config, size = self.config, self._observation_size
        next_key, reward_key, end_key, start_key = jax.random.split(key, 4)
        layers = (size + self._action_size, *config.hidden)
        scale = _CHANGE_SCALE if config.predicts == "change" else 1.0
        params = {
            "next": init_network(next_key, (*layers, size), config.activation, scale),
            "reward": init_network(reward_key, (*layers, 1), config.activation),
            "end": init_network(end_key, (*layers, 1), config.activation),
        }
        if config.starts == "learned":
            params["start"] = init_network(start_key, (size, *config.start_hidden, size), config.activation)
        return params

    def reset(self, key: jax.Array, params: MDPParams) -> tuple[jax.Array, MDPState]:
        """Returns the first observation ``[O]`` and state of an episode."""
        if self.config.starts == "real":
            assert self._real is not None
            observation, _ = self._real.reset(key, self._real.default_params)
        else:
            noise = jax.random.normal(key, (self._observation_size,))
            started = apply_network(params["start"], noise, self.config.activation)
            # Where a network overflows, an infinity is clipped, but NaN would be shown.
            observation = jnp.clip(jnp.nan_to_num(started), self._low, self._high)
        return observation, MDPState(observation, jnp.int32(0))

    def step(
        self, key: jax.Array, state: MDPState, action: jax.Array, params: MDPParams
    ) -> tuple[jax.Array, MDPState, jax.Array, jax.Array, jax.Array, dict[str, Any]]:
        """Steps once; nothing in it is random. The step cap truncates."""
        del key
        observation, reward, terminated = self.transition(params, state.observation, action)
        time = state.time + 1
        return observation, MDPState(observation, time), reward, terminated, time >= self._max_steps, {}

    def transition(
        self, params: MDPParams, observation: jax.Array, action: jax.Array
    ) -> tuple[jax.Array, jax.Array, jax.Array]:
        """Returns what actions ``[..., *A]`` bring in states ``[..., O]``.

        Returns:
            Next states ``[..., O]``, rewards ``[...]`` and whether the episode terminates ``[...]`` bool.
        """
        inputs = jnp.concatenate([observation, action_vector(self.spec.action_space, action)], axis=-1)
        told = {name: apply_network(params[name], inputs, self.config.activation) for name in ("next", "reward", "end")}
        after = observation + told["next"] if self.config.predicts == "change" else told["next"]
        reward = told["reward"][..., 0]
        sound = jnp.isfinite(after).all(-1) & jnp.isfinite(reward)
        after = jnp.where(sound[..., None], jnp.clip(after, self._low, self._high), observation)
        return after, jnp.where(sound, reward, 0.0), (told["end"][..., 0] > END_THRESHOLD) | ~sound
