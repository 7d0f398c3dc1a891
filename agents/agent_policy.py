"""A trained agent as a `Policy`, and as an artifact on disk."""

from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import jax
import numpy as np
from gymnasium import spaces

from agents.agent import Params, PolicyNetworks, to_env_action
from agents.configs import AgentConfig
from agents.table import algorithm_named, make_networks, name_of
from envs.artifact import Artifact, load_artifact, save_artifact
from envs.artifact_contents import config_from_json, require_finite
from envs.errors import InputError
from envs.named_tensors import flatten_tensors, nest_tensors
from envs.spec import EnvSpec


class AgentPolicy:
    """Acts with trained networks: greedily (the most likely action), or by sampling.

    The state is one random key a row ``[B, 2]`` when sampling, None otherwise. Batches are padded to powers of two,
    so that few sizes are compiled.
    """

    def __init__(self, spec: EnvSpec, config: AgentConfig, params: Params, stochastic: bool = False):
        self.spec, self.config, self.params, self.stochastic = spec, config, params, stochastic
        self.networks = make_networks(spec, config)
        self._act = jax.jit(partial(_act, networks=self.networks, spec=spec))

    def initial_state(self, num_rows: int, seed: int) -> np.ndarray | None:
        if not self.stochastic:
            return None
        return np.random.SeedSequence(seed).generate_state(2 * num_rows).reshape(num_rows, 2)

    def act(self, observations: np.ndarray, state: np.ndarray | None) -> tuple[np.ndarray, np.ndarray | None]:
        num_rows = len(observations)
        padding = (1 << (num_rows - 1).bit_length()) - num_rows
        padded = np.concatenate([observations, np.repeat(observations[-1:], padding, axis=0)])
        keys = None if state is None else np.concatenate([state, np.repeat(state[-1:], padding, axis=0)])
        action, keys = self._act(self.params, padded, keys)
        space = self.spec.action_space
        action = np.asarray(action)[:num_rows].astype(space.dtype)
        if isinstance(space, spaces.Box):
            action = np.clip(action, space.low, space.high)  # bounds of 0.1 in float64 lie below 0.1 in float32
        return action, None if keys is None else np.asarray(keys)[:num_rows]


def _act(
    params: Params, observations: jax.Array, keys: jax.Array | None, networks: PolicyNetworks, spec: EnvSpec
) -> tuple[jax.Array, jax.Array | None]:
    if keys is None:
        return to_env_action(spec, networks.mode(params, observations)), None
    both = jax.vmap(jax.random.split)(jax.random.wrap_key_data(keys))
    actions = jax.vmap(networks.sample, in_axes=(None, 0, 0))(params, observations, both[:, 0])
    return to_env_action(spec, actions), jax.random.key_data(both[:, 1])


def save_policy(path: Path | str, policy: AgentPolicy, provenance: dict[str, Any], overwrite: bool = False) -> None:
    """Writes a policy as an artifact of kind ``policy``, whose family is the name of its algorithm."""
    tensors, config = flatten_tensors(policy.params), asdict(policy.config)
    family = name_of(policy.config)
    save_artifact(path, Artifact("policy", family, policy.spec, config, tensors, provenance), overwrite)


def load_policy(path: Path | str, stochastic: bool = False) -> AgentPolicy:
    """Reads a policy artifact; raises `InputError` where it is none, or was edited so that it no longer fits."""
    artifact = load_artifact(path, kind="policy")
    algorithm = algorithm_named(artifact.family, "policy family")
    what = f"the {artifact.family.upper()} policy in {path}"
    config: Any = config_from_json(algorithm.config_type, artifact.config, what)
    require_finite(artifact.tensors, what)
    params = nest_tensors(artifact.tensors)
    networks = algorithm.make_networks(artifact.spec, config)
    expected = jax.eval_shape(networks.init, jax.random.key(0))
    found = jax.tree.map(np.shape, params)
    if found != jax.tree.map(lambda x: x.shape, expected):
        raise InputError(f"expected tensors for hidden layers {config.hidden} in {path}, found others: {found}")
    return AgentPolicy(artifact.spec, config, params, stochastic)
