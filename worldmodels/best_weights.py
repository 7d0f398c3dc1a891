"""Best weights, kept per member: members of an ensemble are at their best at different moments of training.

Shape legend: ``M`` members.
"""

import math

import torch
from torch import Tensor, nn


class BestWeights(nn.Module):
    """The weights that each member had when its validation error was lowest."""

    errors: Tensor

    def __init__(self, module: nn.Module, num_members: int, min_improvement: float):
        """``module``'s parameters all have the member as first axis; it stays owned by the caller."""
        super().__init__()
        self._parameters_of = dict(module.named_parameters())
        self._min_improvement = min_improvement
        self.register_buffer("errors", torch.full((num_members,), math.inf))
        for name, value in self._parameters_of.items():
            self.register_buffer(_buffer_name(name), value.detach().clone())

    @torch.no_grad()
    def offer(self, errors: Tensor) -> bool:
        """Keeps the present weights of members whose error ``[M]`` fell; returns whether one fell clearly."""
        clearly = bool((errors < self.errors * (1 - self._min_improvement)).any())
        better = errors < self.errors
        self.errors[better] = errors[better]
        for name, value in self._parameters_of.items():
            self.get_buffer(_buffer_name(name))[better] = value[better]
        return clearly

    @torch.no_grad()
    def restore(self) -> None:
        """Puts the kept weights back into the module."""
        for name, value in self._parameters_of.items():
            value.copy_(self.get_buffer(_buffer_name(name)))


def _buffer_name(parameter: str) -> str:
    return parameter.replace(".", "_")
