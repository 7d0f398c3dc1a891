"""Steps of models in torch's inference mode, but for those that are to be differentiated."""

import functools
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from envs.world_model import Imagined, ModelState


def is_differentiated(action: Tensor, state: ModelState) -> bool:
    """Whether gradients are on and ``action`` or a part of ``state`` needs one."""
    return torch.is_grad_enabled() and any(one.requires_grad for one in (action, *state.values()))


def inference_unless_differentiated(step: Callable[..., Imagined]) -> Callable[..., Imagined]:
    """Makes a model's ``step`` compute in inference mode unless gradients are on and its state or action needs one."""

    @functools.wraps(step)
    def run(self: Any, state: ModelState, action: Tensor, generator: torch.Generator | None = None) -> Imagined:
        if is_differentiated(action, state):
            return step(self, state, action, generator)
        with torch.inference_mode():
            return step(self, state, action, generator)

    return run
