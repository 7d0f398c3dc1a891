"""A trained agent as a `Policy`, and as an artifact on disk."""

from collections.abc import Mapping
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

    The state is what each row needs for itself: ``keys`` ``[B, 2]`` when sampling, ``memory`` of networks that have
    one, and None where there is neither. Batches are padded to powers of two, so that few sizes are compiled.
    """

    def __init__(self, spec: EnvSpec, config: AgentConfig, params: Params, stochastic: bool = False):
        self.spec, self.config, self.params, self.stochastic = spec, config, params, stochastic
        self.networks = make_networks(spec, config)
        self._act = jax.jit(partial(_act, networks=self.networks, spec=spec))

    def initial_state(self, num_rows: int, seed: int) -> dict[str, Any] | None:
        state: dict[str, Any] = {}
        if self.stochastic:
            state["keys"] = np.random.SeedSequence(seed).generate_state(2 * num_rows).reshape(num_rows, 2)
        memory = self.networks.initial_memory(num_rows)
        if jax.tree.leaves(memory):
            state["memory"] = jax.tree.map(np.asarray, memory)
        return state or None

    def act(self, observations: np.ndarray, state: dict[str, Any] | None) -> tuple[np.ndarray, dict[str, Any] | None]:
        num_rows = len(observations)
        padding = (1 << (num_rows - 1).bit_length()) - num_rows
        given = (observations, state or {})
        padded = jax.tree.map(lambda x: np.concatenate([x, np.repeat(x[-1:], padding, axis=0)]), given)
        action, state = jax.tree.map(lambda x: np.asarray(x)[:num_rows], self._act(self.params, *padded))
        space = self.spec.action_space
        action = action.astype(space.dtype)
        if isinstance(space, spaces.Box):
            action = np.clip(action, space.low, space.high)  # bounds of 0.1 in float64 lie below 0.1 in float32
        return action, state or None


def _act(
    params: Params, observations: jax.Array, state: dict[str, Any], networks: PolicyNetworks, spec: EnvSpec
) -> tuple[jax.Array, dict[str, Any]]:
    memory = state.get("memory", ())
    if "keys" not in state:
        action, memory = networks.mode(params, observations, memory)
        state = {"memory": memory}
    else:
        both = jax.vmap(jax.random.split)(jax.random.wrap_key_data(state["keys"]))
        sample = jax.vmap(networks.sample, in_axes=(None, 0, 0, 0))
        action, memory = sample(params, observations, memory, both[:, 0])
        state = {"keys": jax.random.key_data(both[:, 1]), "memory": memory}
    if not jax.tree.leaves(memory):
        del state["memory"]
    return to_env_action(spec, action), state


def save_policy(
    path: Path | str,
    policy: AgentPolicy,
    provenance: dict[str, Any],
    overwrite: bool = False,
    beside: Mapping[str, str | bytes] | None = None,
) -> None:
    """Writes a policy as an artifact of kind ``policy``, whose family is the name of its algorithm.

    What is ``beside`` it are files by their names, see `envs.artifact.save_artifact`.
    """
    tensors, config = flatten_tensors(policy.params), asdict(policy.config)
    family = name_of(policy.config)
    save_artifact(path, Artifact("policy", family, policy.spec, config, tensors, provenance), overwrite, beside)


def load_policy(path: Path | str, stochastic: bool = False) -> AgentPolicy:
    """Reads a policy artifact; raises `InputError` where it is none, or was edited so that it no longer fits."""
    artifact = load_artifact(path, kind="policy")
    algorithm = algorithm_named(artifact.family, "policy family")
    what = f"the {artifact.family.upper()} policy in {path}"
    config: Any = config_from_json(algorithm.config_type, artifact.config, what)
    require_finite(artifact.tensors, what)
    params = nest_tensors(artifact.tensors)
    networks = make_networks(artifact.spec, config)
    expected = jax.eval_shape(networks.init, jax.random.key(0))
    found = jax.tree.map(np.shape, params)
    if found != jax.tree.map(lambda x: x.shape, expected):
        raise InputError(f"expected tensors for hidden layers {config.hidden} in {path}, found others: {found}")
    return AgentPolicy(artifact.spec, config, params, stochastic)
