"""How a recurrent model learns: the likelihood of each logged step after all that was remembered before it.

The loss is the negative log-likelihood of a mixture-density network (Bishop 1994), as in World Models (Ha and
Schmidhuber 2018, https://arxiv.org/abs/1803.10122), with the bounds of the log-variance and their penalty of PETS.
Terminations: `worldmodels.training.terminations`.

Shape legend: ``N`` steps in all, ``T`` steps of a window, ``B`` windows, ``C`` counted steps of a batch, ``F`` inputs,
``D`` observation dimensions, ``Y = D + 1`` predicted numbers, of which ``V`` vary, ``J`` numbers that tell an end.
"""

import math
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from envs.errors import require
from envs.logs import Log
from worldmodels.configs import FitConfig, RecurrentConfig
from worldmodels.families.family import Family
from worldmodels.families.recurrent import Recurrent, RecurrentParts, content_of, rebuild
from worldmodels.families.recurrent_network import RecurrentNetwork, inputs_normaliser
from worldmodels.judging import judged, judged_normaliser
from worldmodels.normaliser import Normalisers
from worldmodels.prediction import Mixture
from worldmodels.saved_model import Trained
from worldmodels.training.learning import Learning, Part
from worldmodels.training.rows import Rows, fit_normalisers, read_rows
from worldmodels.training.split import Split
from worldmodels.training.terminations import input_lasso, termination_errors, termination_weight
from worldmodels.training.windows import ValidationWindows, WindowBatches, Windows, WindowSource


class RecurrentSteps(NamedTuple):
    """What is read of each step, all normalised float32.

    Attributes:
        inputs: observation, its change since the step before (0 at an episode's start), action features ``[..., F]``.
        target: change of the observation and reward ``[..., Y]``.
        ending_inputs: what the termination network reads ``[..., J]``.
        terminated: ``[...]``.
    """

    inputs: Tensor
    target: Tensor
    ending_inputs: Tensor
    terminated: Tensor


def _steps_of(rows: Rows, lengths: np.ndarray, normalisers: Normalisers, config: RecurrentConfig) -> RecurrentSteps:
    """Returns all ``N`` rows, which are whole episodes of ``lengths`` ``[E]`` steps."""
    changed = rows.change.roll(1, dims=0)
    changed[torch.from_numpy(np.cumsum(lengths) - lengths)] = 0
    ending = judged(config.termination_inputs, rows.observation + rows.change, rows.change, rows.action)
    return RecurrentSteps(
        inputs=inputs_normaliser(normalisers).normalise(torch.cat((rows.observation, changed, rows.action), dim=1)),
        target=normalisers.target.normalise(rows.target),
        ending_inputs=judged_normaliser(config.termination_inputs, normalisers).normalise(ending),
        terminated=rows.terminated,
    )


class RecurrentLearning(Learning):
    """A recurrent model in training. Dynamics and termination have each their own best moment."""

    def __init__(self, log: Log, split: Split, config: RecurrentConfig, fit: FitConfig):
        super().__init__()
        require(not fit.bootstrap, "bootstrap", "off for a recurrent model, which has no members", fit.bootstrap)
        self.config, self.fit = config, fit
        self.network = RecurrentNetwork(log.spec, config, torch.Generator().manual_seed(fit.seed))
        rows, held_out = read_rows(log, split.train), read_rows(log, split.validation)
        self.normalisers = fit_normalisers(rows, log.spec)
        self._varies: Tensor
        self.register_buffer("_varies", self.normalisers.target.std.nonzero()[:, 0])
        self.network.termination_weight.fill_(termination_weight(rows.terminated))
        self.parts = {"dynamics": Part(self.network.dynamics, config.learning_rate)}
        self._ends = bool(rows.terminated.any())
        if self._ends:
            self.parts["termination"] = Part(self.network.termination, fit.termination_learning_rate)
        train, validation = (
            WindowSource(_steps_of(part, lengths, self.normalisers, config), lengths, config.window, config.burn_in)
            for part, lengths in ((rows, log.lengths[split.train]), (held_out, log.lengths[split.validation]))
        )
        num_windows = math.ceil(fit.batch_size / (config.window - config.burn_in))
        self.train_batches = WindowBatches(train, num_windows, fit)
        self.validation_batches = ValidationWindows(validation)

    def loss(self, batch: Windows) -> Tensor:
        predicted, target = self._predicted(batch)
        loss = _surprise(predicted, target) + self.fit.bound_penalty * self.network.dynamics.bounds_width()
        if self._ends:
            loss = loss + self._ending_errors(batch).sum()
            loss = loss + self.fit.termination_lasso * input_lasso(self.network.termination)
        return loss

    def errors(self, batch: Windows) -> Mapping[str, Tensor]:
        """Of a Gaussian the mean's squared error; of a mixture, whose mean may lie where nothing ever is, the inverse
        likelihood of a number."""
        predicted, target = self._predicted(batch)
        error = _surprise(predicted, target).exp()
        if self.config.num_components == 1:
            error = (predicted.average() - target).square().sum() / max(target.numel(), 1)
        errors = {"dynamics": error[None]}
        return errors | {"termination": self._ending_errors(batch)} if self._ends else errors

    def _predicted(self, batch: Windows) -> tuple[Mixture, Tensor]:
        """Returns what is expected of the counted steps, and what came ``[C, V]``.

        Numbers that never change are left out: to be ever more certain of them would drown all others.
        """
        steps, counted = batch.steps, batch.counted
        remembered = self.network.dynamics.remember(steps.inputs)
        expected = self.network.dynamics(remembered[counted], steps.inputs[counted])
        varying = Mixture(expected.log_weight, expected.mean[..., self._varies], expected.std[..., self._varies])
        return varying, steps.target[counted][:, self._varies]

    def _ending_errors(self, batch: Windows) -> Tensor:
        logits = self.network.termination(batch.steps.ending_inputs[batch.counted][None]).squeeze(-1)
        return termination_errors(logits, batch.steps.terminated[batch.counted], self.network.termination_weight)

    def num_rows(self, batch: Windows) -> int:
        return int(batch.counted.sum())

    def finish(self, errors: Mapping[str, Tensor], trained: Trained) -> Recurrent:  # noqa: ARG002, part of the contract
        return Recurrent(trained, RecurrentParts(self.config, self.network, self.normalisers))


def _surprise(predicted: Mixture, target: Tensor) -> Tensor:
    """Returns the negative log-likelihood of a number ``[]``, in nats."""
    return -predicted.log_prob(target).mean() / max(target.shape[1], 1)


RECURRENT = Family(RecurrentConfig, RecurrentLearning, content_of, rebuild)
