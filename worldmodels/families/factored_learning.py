"""The networks of a factored model and how they learn: each from its own rows, in its own units.

Losses: Gaussian negative log-likelihood with learned soft bounds of the variance for transition and reward (as PETS,
Chua et al. 2018, appendix A.1), cross-entropy for terminations (`worldmodels.training.terminations`).

Shape legend: ``N`` rows in all, ``B`` rows of a batch, ``D`` observation dimensions, ``A`` action features,
``J`` numbers that a judge reads (`worldmodels.judging`). Networks are ensembles of one member, whose axis is written 1.
"""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import torch
from torch import Tensor

from envs.logs import Log, open_log
from worldmodels.configs import FactoredConfig, FitConfig
from worldmodels.families.factored import FactoredModel, FactoredParts, content_of, rebuild
from worldmodels.families.factored_network import FactoredNetwork, FactorNormalisers
from worldmodels.families.family import Family
from worldmodels.judging import judged, judged_normaliser
from worldmodels.networks import GaussianMLP
from worldmodels.normaliser import Normalisers
from worldmodels.saved_model import Trained
from worldmodels.training.batches import JoinedBatches, MemberBatches, WholeBatches
from worldmodels.training.learning import Learning, Part
from worldmodels.training.rows import Rows, fit_normalisers, read_rows
from worldmodels.training.split import Split, split_episodes
from worldmodels.training.terminations import input_lasso, termination_errors, termination_weight

_CHUNK = 8192


class FactorBatch(NamedTuple):
    """What one of the networks reads in a gradient step, normalised float32.

    Attributes:
        inputs: ``[1, B, D + A]`` of the transition network, ``[1, B, J]`` of the judges.
        targets: the change ``[1, B, D]``, the reward ``[1, B, 1]`` or the flag of a termination ``[1, B, 1]``.
    """

    inputs: Tensor
    targets: Tensor


def _factor_batch(name: str, rows: Rows, normalisers: Normalisers, config: FactoredConfig) -> FactorBatch:
    """Returns all rows as one batch without the member axis."""
    if name == "transition":
        inputs = normalisers.inputs.normalise(torch.cat((rows.observation, rows.action), dim=1))
        return FactorBatch(inputs, normalisers.target.normalise(rows.target)[:, :-1])
    reading = "transition" if name == "reward" else config.termination_inputs
    inputs = judged(reading, rows.observation + rows.change, rows.change, rows.action)
    inputs = judged_normaliser(reading, normalisers).normalise(inputs)
    if name == "reward":
        return FactorBatch(inputs, normalisers.target.normalise(rows.target)[:, -1:])
    return FactorBatch(inputs, rows.terminated[:, None])


class FactoredLearning(Learning):
    """A factored model in training. No network's training depends on another's."""

    def __init__(self, log: Log, split: Split, config: FactoredConfig, fit: FitConfig):
        """Other logs are split into episodes as ``fit`` says, each for itself."""
        super().__init__()
        self.config, self.fit = config, fit
        self.network = FactoredNetwork(log.spec, config, torch.Generator().manual_seed(fit.seed))
        others = {"reward": config.reward_log, "termination": config.termination_log}
        sources = {name: _open_other(path, name, log) for name, path in others.items() if path is not None}
        self.other_logs = {name: other.sha256 for name, other in sources.items()}
        own = _read_parts(log, split)
        rows = dict.fromkeys(FactorNormalisers._fields, own)
        rows |= {name: _read_parts(other, split_episodes(other.lengths, fit)) for name, other in sources.items()}
        train, held_out = ({name: parts[i] for name, parts in rows.items()} for i in range(2))
        self.normalisers = FactorNormalisers(**{name: fit_normalisers(rows, log.spec) for name, rows in train.items()})
        self.network.termination_weight.fill_(termination_weight(train["termination"].terminated))
        self.parts = {
            "transition": Part(self.network.transition, fit.learning_rate),
            "reward": Part(self.network.reward, config.reward_learning_rate or fit.learning_rate),
        }
        self._ends = bool(train["termination"].terminated.any())
        self.network.termination.requires_grad_(self._ends)
        if self._ends:
            self.parts["termination"] = Part(self.network.termination, fit.termination_learning_rate)
        self.train_batches = JoinedBatches(
            {name: MemberBatches(batch, 1, fit) for name, batch in self._batches(train).items()}
        )
        self.validation_batches = WholeBatches(self._batches(held_out))

    def _batches(self, rows: Mapping[str, Rows]) -> dict[str, FactorBatch]:
        normalisers = self.normalisers._asdict()
        return {name: _factor_batch(name, part, normalisers[name], self.config) for name, part in rows.items()}

    def loss(self, batch: Mapping[str, FactorBatch]) -> Tensor:
        network, total = self.network, torch.zeros((), device=batch["reward"].inputs.device)
        for name, gaussian in (("transition", network.transition), ("reward", network.reward)):
            mean, log_variance = gaussian(batch[name].inputs)
            likelihood = (mean - batch[name].targets).square() * (-log_variance).exp() + log_variance
            total = total + likelihood.mean() + self.fit.bound_penalty * gaussian.bounds_width()
        if self._ends:
            total = total + self.fit.termination_lasso * input_lasso(network.termination)
            total = total + self._ending_error(batch["termination"]).sum()
        return total

    def errors(self, batch: Mapping[str, FactorBatch]) -> Mapping[str, Tensor]:
        network = self.network

        def square(gaussian: GaussianMLP) -> Callable[[FactorBatch], Tensor]:
            return lambda rows: (gaussian(rows.inputs)[0] - rows.targets).square().mean((1, 2))

        errors = {
            "transition": _mean_over_rows(square(network.transition), batch["transition"]),
            "reward": _mean_over_rows(square(network.reward), batch["reward"]),
        }
        if self._ends:
            errors["termination"] = _mean_over_rows(self._ending_error, batch["termination"])
        return errors

    def _ending_error(self, batch: FactorBatch) -> Tensor:
        logits = self.network.termination(batch.inputs)
        return termination_errors(logits.squeeze(-1), batch.targets.squeeze(-1), self.network.termination_weight)

    def num_rows(self, batch: Mapping[str, FactorBatch]) -> int:
        return min(part.inputs.shape[1] for part in batch.values())

    def finish(self, errors: Mapping[str, Tensor], trained: Trained) -> FactoredModel:  # noqa: ARG002, contract
        return FactoredModel(trained, FactoredParts(self.config, self.network, self.normalisers))


def _open_other(path: str, factor: str, log: Log) -> Log:
    other = open_log(path)
    other.spec.require_same(log.spec, f"the {factor} log", "the log")
    return other


def _read_parts(log: Log, split: Split) -> tuple[Rows, Rows]:
    """Returns the rows to train on, and those to choose the best weights by."""
    return read_rows(log, split.train), read_rows(log, split.validation)


def _mean_over_rows(error: Callable[[FactorBatch], Tensor], batch: FactorBatch) -> Tensor:
    """Returns the mean ``[1]`` of an error over all rows, some thousands at a time."""
    num_rows = batch.inputs.shape[1]
    chunks = zip(batch.inputs.split(_CHUNK, dim=1), batch.targets.split(_CHUNK, dim=1), strict=True)
    return torch.stack(
        [inputs.shape[1] / num_rows * error(FactorBatch(inputs, targets)) for inputs, targets in chunks]
    ).sum(0)


FACTORED = Family(FactoredConfig, FactoredLearning, content_of, rebuild)
