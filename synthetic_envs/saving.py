"""Synthetic environments as artifacts of kind ``synthetic_env``."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from envs.artifact import Artifact, load_artifact, save_artifact
from envs.artifact_contents import config_from_json, require_finite
from envs.errors import InputError, unknown_name
from envs.named_tensors import flatten_tensors, nest_tensors
from synthetic_envs.bandit import Bandit, BanditParams
from synthetic_envs.configs import BanditConfig

FAMILIES = {Bandit.family: (Bandit, BanditConfig)}
"""What rebuilds each family: a class made from a spec and a configuration, and the configuration's class."""


def save_synthetic(
    path: Path | str, env: Bandit, params: BanditParams, provenance: dict[str, Any], overwrite: bool = False
) -> None:
    """Writes a synthetic environment and its evolved parameters as the folder ``path``."""
    artifact = Artifact("synthetic_env", env.family, env.spec, asdict(env.config), flatten_tensors(params), provenance)
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
    what = f"the {artifact.family} in {path}"
    require_finite(artifact.tensors, what)
    env = env_type(artifact.spec, config_from_json(config_type, artifact.config, what))
    params = nest_tensors(artifact.tensors)
    expected = jax.tree.map(lambda x: x.shape, jax.eval_shape(env.init_params, jax.random.key(0)))
    if jax.tree.map(np.shape, params) != expected:
        raise InputError(f"the tensors at {path} do not fit its configuration {env.config}: the artifact was edited")
    return env, jax.tree.map(jnp.asarray, params)
