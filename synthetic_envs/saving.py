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
from envs.functional import Params
from envs.named_tensors import flatten_tensors, nest_tensors
from synthetic_envs.bandit import Bandit
from synthetic_envs.configs import BanditConfig, MDPConfig, RewardNetworkConfig, SyntheticConfig, TargetBanditConfig
from synthetic_envs.mdp import SyntheticMDP
from synthetic_envs.reward_network import RewardNetwork
from synthetic_envs.synthetic_env import SyntheticEnv, make_synthetic
from synthetic_envs.target_bandit import TargetBandit

FAMILIES: dict[str, type[SyntheticConfig]] = {
    Bandit.family: BanditConfig,
    TargetBandit.family: TargetBanditConfig,
    SyntheticMDP.family: MDPConfig,
    RewardNetwork.family: RewardNetworkConfig,
}
"""The class of each family's settings, from which `make_synthetic` makes one."""


def save_synthetic(
    path: Path | str, env: SyntheticEnv, params: Params, provenance: dict[str, Any], overwrite: bool = False
) -> None:
    """Writes a synthetic environment and its evolved parameters as the folder ``path``."""
    artifact = Artifact("synthetic_env", env.family, env.spec, asdict(env.config), flatten_tensors(params), provenance)
    save_artifact(path, artifact, overwrite)


def load_synthetic(path: Path | str) -> tuple[SyntheticEnv, Params]:
    """Reads a synthetic environment and its parameters.

    Raises:
        InputError: another kind, an unknown family, tensors or a spec that do not fit the configuration, or no
            functional copy of the real environment where one is needed.
    """
    artifact = load_artifact(path, kind="synthetic_env")
    if artifact.family not in FAMILIES:
        raise unknown_name("family of synthetic environment", artifact.family, FAMILIES)
    what = f"the {artifact.family} in {path}"
    require_finite(artifact.tensors, what)
    env = make_synthetic(artifact.spec, config_from_json(FAMILIES[artifact.family], artifact.config, what))
    params = nest_tensors(artifact.tensors)
    expected = jax.tree.map(_kind_of, jax.eval_shape(env.init_params, jax.random.key(0)))
    if jax.tree.map(_kind_of, params) != expected:
        raise InputError(f"the tensors at {path} do not fit its configuration {env.config}: the artifact was edited")
    if env.spec != artifact.spec:
        raise InputError(f"the spec at {path} is not that of {what} and its configuration: the artifact was edited")
    return env, jax.tree.map(jnp.asarray, params)


def _kind_of(leaf: Any) -> tuple[tuple[int, ...], str]:
    return leaf.shape, np.dtype(leaf.dtype).name
