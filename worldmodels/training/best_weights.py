"""Best weights, kept per member: members of an ensemble are at their best at different moments of training.

Shape legend: ``M`` members.
"""

import math

import torch
from torch import Tensor, nn


class BestWeights(nn.Module):
    """The weights that each member had when its validation error was lowest."""

    errors: Tensor

    def __init__(self, module: nn.Module, num_members: int | None, min_improvement: float):
        """``module``'s parameters all have the member as first axis, or ``num_members`` is None for a single network.

        The module stays owned by the caller.
        """
        super().__init__()
        self._single = num_members is None
        self._parameters_of = dict(module.named_parameters())
        self._min_improvement = min_improvement
        self.register_buffer("errors", torch.full((num_members or 1,), math.inf))
        for name, value in self._parameters_of.items():
            self.register_buffer(_buffer_name(name), value.detach().clone())

    @torch.no_grad()
    def offer(self, errors: Tensor) -> bool:
        """Keeps the present weights of members whose error ``[M]`` fell; returns whether one fell clearly.

        Of a single network the error is ``[1]``.
        """
        clearly = bool((errors < self.errors * (1 - self._min_improvement)).any())
        better = errors < self.errors
        self.errors[better] = errors[better]
        chosen = ... if self._single else better
        if better.any():
            for name, value in self._parameters_of.items():
                self.get_buffer(_buffer_name(name))[chosen] = value[chosen]
        return clearly

    @torch.no_grad()
    def restore(self) -> None:
        """Puts the kept weights back into the module."""
        for name, value in self._parameters_of.items():
            value.copy_(self.get_buffer(_buffer_name(name)))


def _buffer_name(parameter: str) -> str:
    return parameter.replace(".", "_")
