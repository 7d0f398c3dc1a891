"""Observations and actions as the flat float32 features that networks read, and the checks that they can be.

Shape legend: ``B`` rows, ``D`` observation dimensions, ``A`` action features.
"""

from collections.abc import Callable

import numpy as np
import torch
from gymnasium import spaces
from torch import Tensor

from envs.errors import InputError
from envs.spec import EnvSpec


def vector_space(spec: EnvSpec) -> spaces.Box:
    """Returns the observation space, which must be a Box of vectors; raises `InputError` naming it otherwise."""
    space = spec.observation_space
    if not isinstance(space, spaces.Box) or len(space.shape) != 1:
        raise InputError(f"a world model of vectors needs Box vectors as observations, but {spec.env_id} has {space}")
    return space


def require_vectors(observation: Tensor, num_dims: int) -> Tensor:
    """Returns ``observation``; raises `InputError` unless it is ``[B, D]``."""
    if observation.dim() != 2 or observation.shape[1] != num_dims:
        raise InputError(f"expected observations of shape [B, {num_dims}], got {list(observation.shape)}")
    return observation


def num_action_features(spec: EnvSpec) -> int:
    """Returns ``A``: the number of actions for Discrete, of numbers for Box; raises `InputError` for other spaces."""
    match spec.action_space:
        case spaces.Discrete() as space:
            return int(space.n)
        case spaces.Box() as space:
            return int(np.prod(space.shape))
    expected = "a world model of vectors needs Discrete or Box actions"
    raise InputError(f"{expected}, but {spec.env_id} has {spec.action_space}")


def make_action_features(space: spaces.Space, device: torch.device) -> Callable[[Tensor], Tensor]:
    """Returns the function from actions ``[B, *A]`` to ``[B, A]`` float32: one-hot rows for Discrete, flat for Box."""
    if not isinstance(space, spaces.Discrete):
        return lambda action: action.reshape(len(action), -1).float()
    rows, start = torch.eye(int(space.n), device=device), int(space.start)
    return lambda action: rows.index_select(0, action - start)


class ObservationBounds:
    """Brings float32 predictions into a Box: rounded for integers, clamped to the bounds, in its dtype.

    Attributes:
        dtype: of the Box.
        unbounded: whether it has no bounds, so that nothing is clamped.
    """

    def __init__(self, space: spaces.Box, device: torch.device):
        self.dtype = torch.from_numpy(np.empty(0, space.dtype)).dtype
        self._integers = not self.dtype.is_floating_point
        self._exact = torch.float64 if self._integers else self.dtype
        self._low = torch.from_numpy(space.low).to(device, self._exact)
        self._high = torch.from_numpy(space.high).to(device, self._exact)
        self.unbounded = not (np.isfinite(space.low).any() or np.isfinite(space.high).any())

    def apply(self, values: Tensor) -> Tensor:
        """``[B, D]`` float32 to ``[B, D]`` inside the space. NaN stays NaN where the dtype has it."""
        exact = values.to(self._exact)
        if self.unbounded:
            return exact
        clamped = torch.clamp(exact, self._low, self._high)
        return clamped.round().to(self.dtype) if self._integers else clamped


def available_device(name: str) -> torch.device:
    """Returns the torch device of that name; raises `InputError` where this machine does not have it."""
    try:
        return torch.empty(0, device=name).device
    except (RuntimeError, AssertionError) as error:
        first_line = str(error).splitlines()[0]
        raise InputError(
            f"expected a device that torch has here, for example cpu, got {name!r}: {first_line}"
        ) from None
