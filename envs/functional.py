"""The functional environment contract (JAX), with the signature of gymnax 1.0.

An environment is an object of pure functions; its parameters are an argument, so that one compiled function serves a
whole population of them. Everything here is for one environment: batches come from ``jax.vmap``.
"""

from typing import Any, Protocol

import jax
import jax.numpy as jnp

from envs.spec import EnvSpec

Params = Any
"""Parameters of a functional environment: a pytree of arrays."""
EnvState = Any
"""State of a functional environment: a pytree of arrays."""


class FunctionalEnv(Protocol):
    """An environment as pure functions. It never resets itself: `envs.functional_batch` does."""

    spec: EnvSpec

    @property
    def default_params(self) -> Params:
        """The parameters that make it the environment its spec names."""
        ...

    def reset(self, key: jax.Array, params: Params) -> tuple[jax.Array, EnvState]:
        """Returns the first observation and state of an episode."""
        ...

    def step(
        self, key: jax.Array, state: EnvState, action: jax.Array, params: Params
    ) -> tuple[jax.Array, EnvState, jax.Array, jax.Array, jax.Array, dict[str, Any]]:
        """Returns observation, state, reward (float32), terminated (bool), truncated (bool) and info."""
        ...


def strongly_typed(tree: Any) -> Any:
    """Returns ``tree`` with plain arrays as leaves: Python numbers become arrays, weak JAX types firm ones.

    An environment that passes its outputs through this gives the same types at reset and at every step, so that what
    is compiled for the one serves the other.
    """
    return jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.result_type(leaf)), tree)
