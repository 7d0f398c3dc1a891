"""The weights of a recurrent world model, in normalised units, and its cell folded for inference.

Shape legend: ``T`` steps, ``B`` rows, ``F = 2 D + A`` inputs (observation, its change since the step before, action
features), ``D`` observation dimensions, ``A`` action features, ``H`` units of the cell, ``K`` mixture components,
``Y = D + 1`` predicted numbers (the change of the observation, then the reward).
"""

import math

import torch
from torch import Tensor, nn

from envs.spec import EnvSpec
from worldmodels.configs import RecurrentConfig
from worldmodels.features import num_action_features, vector_space
from worldmodels.judging import num_judged
from worldmodels.networks import EnsembleMLP, soft_clamp
from worldmodels.normaliser import Normaliser, Normalisers, join_normalisers
from worldmodels.prediction import Mixture

Memory = tuple[Tensor, ...]
"""What a cell carries from step to step, each ``[B, H]``: the hidden state, and for an LSTM also the cell state."""


class RecurrentNetwork(nn.Module):
    """The networks that follow and predict observations and rewards, and the one that tells an end.

    Attributes:
        dynamics: the memory and what is expected of a step.
        termination: what `worldmodels.judging.judged` gives ``[1, B, J]``, to logits ``[1, B, 1]``.
        termination_weight: how many times a termination counts in training ``[]``; `worldmodels.judging.NEVER_ENDS`
            where the log has none: the termination network is then neither trained nor asked.
    """

    termination_weight: Tensor

    def __init__(self, spec: EnvSpec, config: RecurrentConfig, generator: torch.Generator):
        super().__init__()
        num_dims, num_actions = vector_space(spec).shape[0], num_action_features(spec)
        self.dynamics = RecurrentDynamics(num_dims, num_actions, config, generator)
        width = num_judged(config.termination_inputs, num_dims, num_actions)
        self.termination = EnsembleMLP(1, (width, *config.termination_hidden, 1), generator)
        self.register_buffer("termination_weight", torch.ones(()))


class RecurrentDynamics(nn.Module):
    """A memory, and a perceptron that predicts a mixture of Gaussians.

    Attributes:
        memory: torch's GRU or LSTM; its weights start uniform within 1 / sqrt(H), as torch's own do.
        mixture: the memory's output after a step beside the step's inputs ``[1, B, H + F]``, to logarithms of shares,
            means, and log-variances ``[1, B, K (1 + 2 Y)]``.
        min_log_variance: soft lower bounds ``[Y]``.
        max_log_variance: soft upper bounds ``[Y]``.
    """

    def __init__(self, num_dims: int, num_actions: int, config: RecurrentConfig, generator: torch.Generator):
        super().__init__()
        self._num_components, self._num_outputs = config.num_components, num_dims + 1
        num_inputs = 2 * num_dims + num_actions
        kind = nn.GRU if config.cell == "gru" else nn.LSTM
        # Made without weights, which torch would draw from its global generator.
        self.memory = kind(num_inputs, config.memory_size, device="meta").to_empty(device="cpu")
        bound = 1 / math.sqrt(config.memory_size)
        for parameter in self.memory.parameters():
            nn.init.uniform_(parameter, -bound, bound, generator=generator)
        sizes = (config.memory_size + num_inputs, *config.hidden, config.num_components * (1 + 2 * self._num_outputs))
        self.mixture = EnsembleMLP(1, sizes, generator)
        low, high = config.log_variance_bounds
        self.min_log_variance = nn.Parameter(torch.full((self._num_outputs,), low))
        self.max_log_variance = nn.Parameter(torch.full((self._num_outputs,), high))

    def remember(self, inputs: Tensor) -> Tensor:
        """Reads ``inputs`` ``[T, B, F]`` from an empty memory on; returns its output after each step ``[T, B, H]``."""
        outputs: Tensor = self.memory(inputs)[0]
        return outputs

    def forward(self, remembered: Tensor, inputs: Tensor) -> Mixture:
        """The memory's output after a step ``[B, H]`` and the step's inputs ``[B, F]``, to what is expected of it."""
        raw = self.mixture(torch.cat((remembered, inputs), dim=1)[None])[0]
        logits, means, spreads = (raw[:, part] for part in mixture_parts(self._num_components, self._num_outputs))
        shape = (-1, self._num_components, self._num_outputs)
        log_variance = soft_clamp(spreads.reshape(shape), self.min_log_variance, self.max_log_variance)
        return Mixture(logits.log_softmax(1), means.reshape(shape), (0.5 * log_variance).exp())

    def bounds_width(self) -> Tensor:
        """Returns how far the bounds of the log-variance lie apart, summed: a penalty on it keeps them tight."""
        return (self.max_log_variance - self.min_log_variance).sum()


def mixture_parts(num_components: int, num_outputs: int) -> tuple[slice, slice, slice]:
    """Returns where among ``K (1 + 2 Y)`` outputs the logits, the means and the log-variances are."""
    means_end = num_components * (1 + num_outputs)
    return (
        slice(0, num_components),
        slice(num_components, means_end),
        slice(means_end, means_end + num_components * num_outputs),
    )


class FoldedCell:
    """One step of a memory for inference, with the inputs' normaliser folded into its weights."""

    def __init__(self, memory: nn.Module, inputs: Normaliser, device: torch.device):
        weights = {name: value.detach().to(device) for name, value in memory.named_parameters()}
        read = (weights["weight_ih_l0"] * inputs.inverse_std.to(device)).contiguous()
        shift = weights["bias_ih_l0"] - read @ inputs.mean.to(device)
        self._weights = (read, weights["weight_hh_l0"], shift, weights["bias_hh_l0"])
        self._is_lstm = isinstance(memory, nn.LSTM)
        self._empty = torch.zeros(len(weights["weight_hh_l0"][0]), device=device)

    def empty(self, num_rows: int) -> Memory:
        """Returns the memory at the start of an episode."""
        return tuple(self._empty.repeat(num_rows, 1) for _ in range(1 + self._is_lstm))

    def __call__(self, inputs: Tensor, memory: Memory) -> Memory:
        """Raw inputs ``[B, F]`` and the memory before them, to the memory after; its first part is the output."""
        if self._is_lstm:
            hidden, cell = torch.lstm_cell(inputs, memory, *self._weights)
            return hidden, cell
        return (torch.gru_cell(inputs, memory[0], *self._weights),)


def inputs_normaliser(normalisers: Normalisers) -> Normaliser:
    """Returns what the inputs ``[F]`` are normalised by."""
    return join_normalisers(normalisers.observation, normalisers.target.part(slice(0, -1)), normalisers.action)
