"""What a bandit pays, as numbers for a figure."""

from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from gymnasium import spaces

from envs.errors import InputError
from envs.logs import Log
from synthetic_envs.bandit import Bandit
from synthetic_envs.saving import load_synthetic


def bandit_rewards(path: Path, log: Log, axes: tuple[int, int], num_points: int = 60) -> dict[str, Any]:
    """Returns what a bandit pays over two dimensions of the observation (the others 0), and where its contexts lie.

    Args:
        path: the bandit's artifact.
        log: real observations, which set the ranges.
        axes: the two dimensions.
        num_points: grid points an axis, ``G``.

    Returns:
        JSON with ``axes``, ``x`` ``[G]``, ``y`` ``[G]``, ``advantage`` ``[G][G]`` (the last action's reward minus the
        first's; for Box actions the upper bound's minus the lower's), ``contexts`` and ``real`` ``[N][2]``.
    """
    env, params = load_synthetic(path)
    if not isinstance(env, Bandit):
        raise InputError(f"expected a bandit at {path}, found a synthetic environment of the family {env.family}")
    size = spaces.utils.flatdim(env.spec.observation_space)
    observed = np.asarray(log.observations)[:: max(1, len(log.observations) // 2000)]
    low, high = np.percentile(observed[:, axes], [0.5, 99.5], axis=0)
    x, y = (np.linspace(low[i], high[i], num_points, dtype=np.float32) for i in range(2))
    grid = np.zeros((num_points, num_points, size), np.float32)
    grid[..., axes[0]], grid[..., axes[1]] = x[None, :], y[:, None]
    first, last = _extreme_actions(env.spec.action_space)
    pays = [
        env.reward(params, jnp.asarray(grid), jnp.broadcast_to(a, (*grid.shape[:2], *a.shape))) for a in (first, last)
    ]
    keys = jax.random.split(jax.random.key(0), 1000)
    contexts, _ = jax.vmap(env.reset, in_axes=(0, None))(keys, params)
    return {
        "axes": list(axes),
        "x": x.tolist(),
        "y": y.tolist(),
        "advantage": np.asarray(pays[1] - pays[0]).tolist(),
        "contexts": np.asarray(contexts)[:, axes].tolist(),
        "real": observed[:, axes].tolist(),
    }


def _extreme_actions(space: spaces.Space) -> tuple[jax.Array, jax.Array]:
    if isinstance(space, spaces.Discrete):
        start = int(space.start)
        return jnp.int32(start), jnp.int32(start + int(space.n) - 1)
    assert isinstance(space, spaces.Box)
    return jnp.asarray(space.low), jnp.asarray(space.high)
