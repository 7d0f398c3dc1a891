"""Synthetic environments as artifacts of kind ``synthetic_env``."""

from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from envs.artifact import Artifact, load_artifact, save_artifact
from envs.errors import InputError, unknown_name
from envs.named_tensors import flatten_tensors, nest_tensors
from synthetic_envs.bandit import Bandit, BanditParams
from synthetic_envs.configs import BanditConfig

FAMILIES = {"bandit": (Bandit, BanditConfig)}


def save_synthetic(
    path: Path | str, env: Bandit, params: BanditParams, provenance: dict[str, Any], overwrite: bool = False
) -> None:
    """Writes a synthetic environment and its evolved parameters as the folder ``path``."""
    artifact = Artifact("synthetic_env", "bandit", env.spec, env.config_json(), flatten_tensors(params), provenance)
    save_artifact(path, artifact, overwrite)


def load_synthetic(path: Path | str) -> tuple[Bandit, BanditParams]:
    """Reads a synthetic environment and its parameters.

    Raises:
        InputError: another kind, an unknown family, or tensors that do not fit the configuration.
    """
    artifact = load_artifact(path, kind="synthetic_env")
    if artifact.family not in FAMILIES:
        raise unknown_name("family of synthetic environment", artifact.family, FAMILIES)
    env_type, config_type = FAMILIES[artifact.family]
    try:
        config = config_type(**{key: tuple(value) for key, value in artifact.config.items()})
    except TypeError as error:
        raise InputError(f"expected the configuration of a {artifact.family} in {path}: {error}") from None
    env = env_type(artifact.spec, config)
    params = nest_tensors(artifact.tensors)
    expected = jax.tree.map(lambda x: x.shape, jax.eval_shape(env.init_params, jax.random.key(0)))
    if jax.tree.map(np.shape, params) != expected:
        raise InputError(f"the tensors at {path} do not fit its configuration {config}: the artifact was edited")
    return env, jax.tree.map(jnp.asarray, params)
