"""What the planners ask of an action space: checks that name an alternative, bounds, uniform draws.

Shape legend: ``A`` the action's shape.
"""

import numpy as np
import torch
from gymnasium import spaces
from torch import Tensor

from envs.errors import InputError
from envs.spec import EnvSpec
from planners.draws import Randomness, integers, uniform

_SERVED = {
    "random-shooting": ("Discrete", "bounded Box"),
    "cem": ("Discrete", "bounded Box"),
    "icem": ("Discrete", "bounded Box"),
    "mppi": ("Discrete", "bounded Box"),
    "gradient": ("bounded Box",),
    "mcts": ("Discrete", "bounded Box"),
}


def require_served(spec: EnvSpec, planner: str) -> None:
    """Raises `InputError` naming the planners that serve the action space of ``spec`` unless ``planner`` does."""
    space = spec.action_space
    kind = "Discrete" if isinstance(space, spaces.Discrete) else "bounded Box" if _is_bounded_box(space) else None
    if kind not in _SERVED[planner]:
        others = [name for name, served in _SERVED.items() if kind in served]
        hint = f"planners that serve it: {', '.join(others)}" if others else "no planner serves it"
        expected = " or ".join(_SERVED[planner])
        raise InputError(f"{planner} expects a {expected} action space, {spec.env_id} has {space}; {hint}")


def _is_bounded_box(space: spaces.Space) -> bool:
    return isinstance(space, spaces.Box) and space.is_bounded() and np.issubdtype(space.dtype, np.floating)


def box_bounds(spec: EnvSpec, device: torch.device) -> tuple[Tensor, Tensor]:
    """Returns the lowest and highest action, each ``[*A]``, of a bounded Box."""
    space = spec.action_space
    assert isinstance(space, spaces.Box)
    return torch.as_tensor(space.low, device=device), torch.as_tensor(space.high, device=device)


def num_actions(spec: EnvSpec) -> tuple[int, int]:
    """Returns the number of actions of a Discrete space and the first of them."""
    space = spec.action_space
    assert isinstance(space, spaces.Discrete)
    return int(space.n), int(space.start)


def draw_actions(spec: EnvSpec, shape: tuple[int, ...], device: torch.device, randomness: Randomness) -> Tensor:
    """Returns uniformly random actions ``[*shape, *A]`` of a Discrete or bounded Box space; rows are the first axis."""
    if isinstance(spec.action_space, spaces.Discrete):
        n, start = num_actions(spec)
        return integers(start, start + n, shape, device, randomness)
    low, high = box_bounds(spec, device)
    return torch.clamp(low + (high - low) * uniform((*shape, *low.shape), low.dtype, device, randomness), low, high)
