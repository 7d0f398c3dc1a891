"""Which spaces an agent's networks can serve, told in one way by all of them."""

import numpy as np
from gymnasium import spaces

from envs.errors import InputError
from envs.spec import EnvSpec


class UnfitSpace(InputError):
    """An environment's observation or action space that an algorithm cannot serve."""


def observation_size(spec: EnvSpec) -> int:
    """Returns the length of the observations; raises `UnfitSpace` where they are no vectors."""
    space = spec.observation_space
    if not (isinstance(space, spaces.Box) and len(space.shape) == 1):
        raise UnfitSpace(f"expected a Box of vectors as observation space of {spec.env_id}, got {space}")
    return space.shape[0]


def num_observations(spec: EnvSpec) -> int:
    """Returns the number of Discrete observations; raises `UnfitSpace` for others."""
    space = spec.observation_space
    if not isinstance(space, spaces.Discrete):
        raise UnfitSpace(f"expected a Discrete observation space of {spec.env_id}, got {space}")
    return int(space.n)


def num_actions(spec: EnvSpec) -> int:
    """Returns the number of Discrete actions; raises `UnfitSpace` for others."""
    space = spec.action_space
    if not isinstance(space, spaces.Discrete):
        raise UnfitSpace(f"expected a Discrete action space of {spec.env_id}, got {space}")
    return int(space.n)


def action_size(spec: EnvSpec) -> int:
    """Returns the number of Discrete actions or the length of vectors of them; raises `UnfitSpace` for others."""
    space = spec.action_space
    if isinstance(space, spaces.Discrete):
        return int(space.n)
    if isinstance(space, spaces.Box) and len(space.shape) == 1:
        return space.shape[0]
    raise UnfitSpace(f"expected a Discrete or vector Box action space of {spec.env_id}, got {space}")


def action_bounds(spec: EnvSpec) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Returns lowest and highest of vectors of actions; raises `UnfitSpace` for others, or without finite bounds."""
    space = spec.action_space
    if not (isinstance(space, spaces.Box) and len(space.shape) == 1):
        raise UnfitSpace(f"expected a vector Box action space of {spec.env_id}, got {space}")
    if not (np.isfinite(space.low).all() and np.isfinite(space.high).all() and (space.low < space.high).all()):
        raise UnfitSpace(f"expected finite bounds of {spec.env_id}'s actions, low below high, got {space}")
    return tuple(space.low.tolist()), tuple(space.high.tolist())
