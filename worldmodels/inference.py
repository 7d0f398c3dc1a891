"""Steps of models in torch's inference mode, but for those that are to be differentiated."""

import functools
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from envs.world_model import Imagined, ModelState


def inference_unless_differentiated(step: Callable[..., Imagined]) -> Callable[..., Imagined]:
    """Makes a model's ``step`` compute in inference mode unless gradients are on and its state or action needs one."""

    @functools.wraps(step)
    def run(self: Any, state: ModelState, action: Tensor, generator: torch.Generator | None = None) -> Imagined:
        if torch.is_grad_enabled() and any(one.requires_grad for one in (action, *state.values())):
            return step(self, state, action, generator)
        with torch.inference_mode():
            return step(self, state, action, generator)

    return run
