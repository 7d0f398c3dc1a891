"""Multilayer perceptrons of a whole ensemble as one batched computation.

Shape legend: ``M`` members, ``B`` rows, ``F`` input features, ``H`` hidden units, ``Y`` outputs.
"""

import itertools
import math
from collections.abc import Mapping, Sequence

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


class GaussianMLP(nn.Module):
    """Perceptrons that predict a Gaussian, with learned soft bounds of its log-variance.

    Every parameter has the member as first axis.
    """

    def __init__(self, num_members: int, sizes: Sequence[int], bounds: tuple[float, float], generator: torch.Generator):
        """``sizes`` end with twice the predicted numbers; ``bounds`` are those of the log-variance at the start."""
        super().__init__()
        self.mlp = EnsembleMLP(num_members, sizes, generator)
        outputs = sizes[-1] // 2
        self.min_log_variance = nn.Parameter(torch.full((num_members, 1, outputs), bounds[0]))
        self.max_log_variance = nn.Parameter(torch.full((num_members, 1, outputs), bounds[1]))

    def forward(self, inputs: Tensor) -> tuple[Tensor, Tensor]:
        """``[M, B, F]`` to means and log-variances, both ``[M, B, Y]``."""
        mean, raw = self.mlp(inputs).chunk(2, dim=-1)
        return mean, soft_clamp(raw, self.min_log_variance, self.max_log_variance)

    def bounds_width(self) -> Tensor:
        """Returns how far the bounds lie apart, summed: a penalty on it keeps them tight (PETS, appendix A.1)."""
        return (self.max_log_variance - self.min_log_variance).sum()


def soft_clamp(values: Tensor, low: Tensor, high: Tensor) -> Tensor:
    """Brings ``values`` smoothly between ``low`` and ``high`` (PETS, appendix A.1)."""
    values = high - F.softplus(high - values)
    return low + F.softplus(values - low)


class FoldedMLP:
    """Some members of an `EnsembleMLP` for inference, with the input's normaliser folded into the first layer.

    Where all members get the same input, the first layer is one plain matrix product.
    """

    def __init__(self, mlp: EnsembleMLP, members: Tensor, inputs: Normaliser, device: torch.device):
        weights = [weight.detach()[members].to(device) for weight in mlp.weights]
        biases = [bias.detach()[members].to(device) for bias in mlp.biases]
        first = weights[0] * inputs.inverse_std[:, None].to(device)
        shift = biases[0].squeeze(1) - inputs.mean.to(device) @ first
        self.num_members = len(members)
        self._first_weight = first.transpose(0, 1).reshape(first.shape[1], -1).contiguous()
        self._first_bias = shift.reshape(-1).contiguous()
        self._first_of_member = _Layer(shift[:, None], first)
        self._between = [_Layer(bias, weight) for bias, weight in zip(biases[1:-1], weights[1:-1], strict=True)]
        self._last_bias, self._last_weight = biases[-1], weights[-1]

    def hidden(self, inputs: Tensor) -> Tensor:
        """Raw inputs ``[B, F]``, the same for all members, to the last hidden layer ``[M, B, H]``."""
        flat = _silu(torch.addmm(self._first_bias, inputs, self._first_weight))
        return self._deeper(flat.view(len(inputs), self.num_members, -1).transpose(0, 1))

    def hidden_of_each(self, inputs: Tensor, into: Sequence[Tensor | None] | None = None) -> Tensor:
        """Raw inputs ``[M, C, F]``, of each member its own, to the last hidden layer ``[M, C, H]``.

        It may be computed ``into`` what `buffers` gave, which is overwritten.
        """
        first, *between = [None] * (1 + len(self._between)) if into is None else into
        return self._deeper(_silu(self._first_of_member(inputs, first)), between)

    def _deeper(self, hidden: Tensor, into: Sequence[Tensor | None] | None = None) -> Tensor:
        for layer, buffer in zip(self._between, [None] * len(self._between) if into is None else into, strict=True):
            hidden = _silu(layer(hidden, buffer))
        return hidden

    def buffers(self, num_slots: int) -> list[Tensor]:
        """Returns room for the hidden layers of ``[M, C]`` rows."""
        layers = [self._first_of_member, *self._between]
        return [self._first_bias.new_empty(self.num_members, num_slots, layer.width) for layer in layers]

    def head(self, outputs: slice, normaliser: Normaliser | None = None) -> "FoldedHead":
        """Returns the last layer of some ``outputs``, in raw units where their ``normaliser`` is given."""
        bias, weight = self._last_bias[..., outputs], self._last_weight[..., outputs]
        if normaliser is not None:
            mean, std = normaliser.mean.to(bias.device), normaliser.std.to(bias.device)
            bias, weight = mean + bias * std, weight * std
        return FoldedHead(bias, weight)


class _Layer:
    """A layer of all members, each with inputs of its own: ``[M, B, F] -> [M, B, H]``."""

    def __init__(self, bias: Tensor, weight: Tensor):
        self._bias, self._weight = bias.contiguous(), weight.contiguous()
        self.width = weight.shape[2]

    def __call__(self, values: Tensor, into: Tensor | None = None) -> Tensor:
        """A product written ``into`` a tensor that is there already, and the bias added, is a tenth faster."""
        if into is None:
            return torch.baddbmm(self._bias, values, self._weight)
        return torch.bmm(values, self._weight, out=into).add_(self._bias)


def _silu(values: Tensor) -> Tensor:
    return F.silu(values, inplace=not _is_differentiated(values))


def _is_differentiated(values: Tensor) -> bool:
    return values.requires_grad and torch.is_grad_enabled()


class FoldedHead:
    """A last layer of all members.

    Its weight lies transposed in memory: with few outputs this makes the product four times faster on a CPU.
    """

    def __init__(self, bias: Tensor, weight: Tensor):
        self._bias = bias.contiguous()
        self._weight = weight.transpose(1, 2).contiguous().transpose(1, 2)

    def __call__(self, hidden: Tensor, into: Tensor | None = None) -> Tensor:
        """``[M, B, H] -> [M, B, Y]``, written ``into`` a tensor that is there already, if one is given."""
        if into is None:
            return torch.baddbmm(self._bias, hidden, self._weight)
        return torch.bmm(hidden, self._weight, out=into).add_(self._bias)


class FoldedGaussian:
    """A `GaussianMLP` for inference."""

    def __init__(self, network: GaussianMLP, inputs: Normaliser, target: Normaliser, device: torch.device):
        outputs = len(target.mean)
        mlp = FoldedMLP(network.mlp, torch.arange(len(network.min_log_variance)), inputs, device)
        self._hidden = mlp.hidden
        self._mean = mlp.head(slice(0, outputs), target)
        self._log_variance = mlp.head(slice(outputs, 2 * outputs))
        self._low, self._high = (
            bound.detach().to(device) for bound in (network.min_log_variance, network.max_log_variance)
        )

    def __call__(self, inputs: Tensor) -> tuple[Tensor, Tensor]:
        """Raw ``[B, F]`` to means in raw units and standard deviations in normalised units, both ``[M, B, Y]``."""
        hidden = self._hidden(inputs)
        log_variance = soft_clamp(self._log_variance(hidden), self._low, self._high)
        return self._mean(hidden), log_variance.mul_(0.5).exp_()


_WEIGHTS = "network."


def weights_to_tensors(network: nn.Module) -> dict[str, Tensor]:
    """Returns a network's parameters and buffers by name, as an artifact holds them, on the CPU."""
    return {f"{_WEIGHTS}{name}": value.cpu() for name, value in network.state_dict().items()}


def weights_from(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Returns what `weights_to_tensors` was given, for `load_state_dict`."""
    return {name.removeprefix(_WEIGHTS): value for name, value in tensors.items() if name.startswith(_WEIGHTS)}
