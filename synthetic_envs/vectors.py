"""How the spaces of a real environment enter the networks of a synthetic one: as vectors of floats.

Shape legend: ``A`` number of discrete actions or action size.
"""

import jax
import jax.numpy as jnp
from gymnasium import spaces

from envs.errors import InputError
from envs.spec import EnvSpec


def require_vectors(spec: EnvSpec, what: str) -> tuple[int, int]:
    """Returns the sizes of an observation and of an action as vectors.

    Args:
        spec: of the real environment.
        what: who needs them, for the message ("a bandit").

    Raises:
        InputError: an observation space other than a vector Box, or an action space other than Discrete or a vector
            Box.
    """
    observation, action = spec.observation_space, spec.action_space
    if not (isinstance(observation, spaces.Box) and len(observation.shape) == 1):
        raise InputError(f"expected a vector Box observation space of {spec.env_id} for {what}, got {observation}")
    vector_box = isinstance(action, spaces.Box) and len(action.shape) == 1
    if not (isinstance(action, spaces.Discrete) or vector_box):
        raise InputError(f"expected a Discrete or vector Box action space for {what}, got {action}")
    size = int(action.n) if isinstance(action, spaces.Discrete) else spaces.utils.flatdim(action)
    return observation.shape[0], size


def action_vector(space: spaces.Space, action: jax.Array) -> jax.Array:
    """Returns ``action`` ``[..., *A]`` as it enters a network ``[..., A]``: one-hot if discrete, else as it is."""
    if isinstance(space, spaces.Discrete):
        return jax.nn.one_hot(action - int(space.start), int(space.n))
    return jnp.asarray(action)
