"""Synthetic environments behind Gymnasium: what ``gymnasium.make("simulacra/Synthetic-v0", path=...)`` calls."""

from pathlib import Path

from gymnasium.vector import AutoresetMode

from envs.functional_gym import FunctionalGymEnv, FunctionalVectorEnv
from synthetic_envs.saving import load_synthetic


def make_env(path: Path | str) -> FunctionalGymEnv:
    """Returns the synthetic environment of an artifact folder as a `gymnasium.Env`."""
    return FunctionalGymEnv(*load_synthetic(path))


def make_vector_env(
    path: Path | str, num_envs: int = 1, autoreset_mode: AutoresetMode | str = AutoresetMode.NEXT_STEP
) -> FunctionalVectorEnv:
    """Returns ``num_envs`` copies of the synthetic environment of an artifact folder as one `VectorEnv`."""
    env, params = load_synthetic(path)
    return FunctionalVectorEnv(env, num_envs, params, autoreset_mode)
