"""From what evolution and its judges draw the numeric settings of an agent: lists of Liesen et al. 2024, and like them.

Shape legend: scalars throughout; vmap over keys for several draws.
"""

from typing import Any

import jax
import jax.numpy as jnp

_RATES = (1e-2, 5e-3, 1e-3, 5e-4, 1e-4)
_DISCOUNTS = (1.0, 0.99, 0.95, 0.9, 0.8)
_REPLAY: dict[str, tuple[float, ...]] = {
    "learning_rate": _RATES, "gamma": _DISCOUNTS, "tau": (0.1, 0.05, 0.02, 0.01, 0.005),
}  # fmt: skip

RANGES: dict[str, dict[str, tuple[float, ...]]] = {
    "ppo": {
        "learning_rate": _RATES, "gamma": _DISCOUNTS, "gae_lambda": (1.0, 0.98, 0.95, 0.9, 0.8, 0.5),
        "clip": (0.1, 0.2, 0.3, 0.5), "entropy_coefficient": (0.0, 0.01, 0.05, 0.1, 0.5),
        "value_coefficient": (0.0, 0.5, 1.0, 1.5, 2.0),
    },
    "dqn": _REPLAY,
    "sac": _REPLAY,
    "td3": {**_REPLAY, "exploration_noise": (0.1, 0.2, 0.3, 0.5), "target_noise": (0.0, 0.1, 0.2)},
    "ddpg": {**_REPLAY, "exploration_noise": (0.1, 0.2, 0.3, 0.5)},
}  # fmt: skip
"""By algorithm and setting, each value as likely as the others."""


def sample_hyperparameters(key: jax.Array, algorithm: str, hyper: Any) -> Any:
    """Returns numeric settings with those that `RANGES` names drawn anew.

    Args:
        key: random key.
        algorithm: a key of `RANGES`.
        hyper: the algorithm's, a NamedTuple of scalars; the discount of those with a replay is in its field ``replay``.
    """
    ranges = RANGES[algorithm]
    drawn = {
        name: jax.random.choice(one, jnp.array(values, jnp.float32))
        for one, (name, values) in zip(jax.random.split(key, len(ranges)), ranges.items(), strict=True)
    }
    if "gamma" not in hyper._fields:
        hyper = hyper._replace(replay=hyper.replay._replace(gamma=drawn.pop("gamma")))
    return hyper._replace(**drawn)
