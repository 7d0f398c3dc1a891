"""Multilayer perceptrons of a whole ensemble as one batched computation.

Shape legend: ``M`` members, ``B`` rows, ``F`` input features, ``H`` hidden units, ``Y`` outputs.
"""

import itertools
import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from worldmodels.normaliser import Normaliser


class EnsembleMLP(nn.Module):
    """``M`` perceptrons with SiLU units, evaluated side by side.

    Weights start from a normal of standard deviation 1 / (2 sqrt(fan_in)) truncated at two deviations, as in PETS
    (Chua et al. 2018, https://arxiv.org/abs/1805.12114); biases start at zero.
    """

    def __init__(self, num_members: int, sizes: Sequence[int], generator: torch.Generator):
        """``sizes`` are the widths from input to output; ``generator`` draws the weights."""
        super().__init__()
        pairs = list(itertools.pairwise(sizes))
        weights = [torch.empty(num_members, fan_in, fan_out) for fan_in, fan_out in pairs]
        for weight in weights:
            std = 0.5 / math.sqrt(weight.shape[1])
            nn.init.trunc_normal_(weight, std=std, a=-2 * std, b=2 * std, generator=generator)
        self.weights = nn.ParameterList(weights)
        self.biases = nn.ParameterList([torch.zeros(num_members, 1, fan_out) for _, fan_out in pairs])

    def forward(self, inputs: Tensor) -> Tensor:
        """``[M, B, F] -> [M, B, Y]``."""
        hidden = inputs
        for weight, bias in zip(self.weights[:-1], self.biases[:-1], strict=True):
            hidden = F.silu(torch.baddbmm(bias, hidden, weight))
        return torch.baddbmm(self.biases[-1], hidden, self.weights[-1])


class FoldedMLP:
    """Some members of an `EnsembleMLP` for inference, with the input's normaliser folded into the first layer.

    All members get the same input, so that the first layer is one plain matrix product.
    """

    def __init__(self, mlp: EnsembleMLP, members: Tensor, inputs: Normaliser, device: torch.device):
        weights = [weight.detach()[members].to(device) for weight in mlp.weights]
        biases = [bias.detach()[members].to(device) for bias in mlp.biases]
        first = weights[0] * inputs.inverse_std[:, None].to(device)
        shift = biases[0].squeeze(1) - inputs.mean.to(device) @ first
        self.num_members = len(members)
        self._first_weight = first.transpose(0, 1).reshape(first.shape[1], -1).contiguous()
        self._first_bias = shift.reshape(-1).contiguous()
        self._between = list(zip(biases[1:-1], weights[1:-1], strict=True))
        self._last_bias, self._last_weight = biases[-1], weights[-1]

    def hidden(self, inputs: Tensor) -> Tensor:
        """Raw inputs ``[B, F]`` to the last hidden layer ``[M, B, H]``."""
        flat = F.silu(torch.addmm(self._first_bias, inputs, self._first_weight), inplace=True)
        hidden = flat.view(len(inputs), self.num_members, -1).transpose(0, 1)
        for bias, weight in self._between:
            hidden = F.silu(torch.baddbmm(bias, hidden, weight), inplace=True)
        return hidden

    def head(self, outputs: slice, normaliser: Normaliser | None = None) -> "FoldedHead":
        """Returns the last layer of some ``outputs``, in raw units where their ``normaliser`` is given."""
        bias, weight = self._last_bias[..., outputs], self._last_weight[..., outputs]
        if normaliser is not None:
            mean, std = normaliser.mean.to(bias.device), normaliser.std.to(bias.device)
            bias, weight = mean + bias * std, weight * std
        return FoldedHead(bias, weight)


class FoldedHead:
    """A last layer of all members.

    Its weight lies transposed in memory: with few outputs this makes the product four times faster on a CPU.
    """

    def __init__(self, bias: Tensor, weight: Tensor):
        self._bias = bias.contiguous()
        self._weight = weight.transpose(1, 2).contiguous().transpose(1, 2)

    def __call__(self, hidden: Tensor) -> Tensor:
        """``[M, B, H] -> [M, B, Y]``."""
        return torch.baddbmm(self._bias, hidden, self._weight)
