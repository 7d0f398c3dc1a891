"""Logged transitions as batches for an ensemble: split by episode, kept as tensors, indexed rather than iterated.

Shape legend: ``N`` transitions, ``M`` members, ``B`` rows of a batch, ``D`` observation dimensions, ``Y = D + 1``,
``A`` action features.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import lightning
import numpy as np
import torch
from gymnasium import spaces
from torch import Tensor

from envs.errors import InputError
from envs.logs import Log
from envs.spec import EnvSpec
from worldmodels.configs import EnsembleConfig, FitConfig
from worldmodels.ensemble_network import EnsembleNormalisers
from worldmodels.features import make_action_features, num_action_features
from worldmodels.normaliser import fit_normaliser, identity_normaliser

_VALIDATION_ROWS = 8192


@dataclass(frozen=True)
class Split:
    """Episodes of a log by what they are used for, each ``[K]`` int64 in ascending order."""

    train: np.ndarray
    validation: np.ndarray
    test: np.ndarray


def split_episodes(lengths: np.ndarray, config: FitConfig) -> Split:
    """Splits whole episodes so that each part has about its share of the steps and at least one episode.

    Args:
        lengths: steps of each episode ``[E]``.
        config: the two fractions and the seed.

    Raises:
        InputError: fewer than three episodes.
    """
    if len(lengths) < 3:
        raise InputError(f"expected a log of at least 3 episodes, to train, validate and test on, got {len(lengths)}")
    order = np.random.default_rng(config.seed).permutation(len(lengths))
    share_before = (np.cumsum(lengths[order]) - lengths[order]) / lengths.sum()
    num_test = max(1, int((share_before < config.test_fraction).sum()))
    num_held_out = int((share_before < config.test_fraction + config.validation_fraction).sum())
    num_test = min(num_test, len(lengths) - 2)
    num_held_out = min(max(num_held_out, num_test + 1), len(lengths) - 1)
    parts = np.split(order, [num_test, num_held_out])
    return Split(train=np.sort(parts[2]), validation=np.sort(parts[1]), test=np.sort(parts[0]))


class Rows(NamedTuple):
    """Transitions as float32 tensors of ``N`` rows.

    Attributes:
        observation: ``[N, D]``.
        action: features ``[N, A]``.
        change: ``[N, D]``, next observation minus observation.
        reward: ``[N]``.
        terminated: ``[N]``, 1 where the step ended the episode, else 0.
    """

    observation: Tensor
    action: Tensor
    change: Tensor
    reward: Tensor
    terminated: Tensor


class Batch(NamedTuple):
    """What a gradient step reads, all normalised float32.

    Attributes:
        inputs: observation and action features ``[M, B, D + A]``.
        targets: change of the observation and reward ``[M, B, Y]``.
        ending_inputs: next observation ``[M, B, D]``, or also its change and action features ``[M, B, 2 D + A]``.
        terminated: ``[M, B]``.
    """

    inputs: Tensor
    targets: Tensor
    ending_inputs: Tensor
    terminated: Tensor


def read_rows(log: Log, episodes: np.ndarray) -> Rows:
    """Returns all transitions of ``episodes`` (indices ``[K]``)."""
    steps = log.transitions(episodes)
    features = make_action_features(log.spec.action_space, torch.device("cpu"))
    # In float64: the difference of two near numbers loses digits.
    change = np.subtract(steps.next_observation, steps.observation, dtype=np.float64)
    return Rows(
        observation=torch.from_numpy(steps.observation.astype(np.float32)),
        action=features(torch.from_numpy(steps.action)),
        change=torch.from_numpy(change.astype(np.float32)),
        reward=torch.from_numpy(steps.reward.astype(np.float32)),
        terminated=torch.from_numpy(steps.terminated.astype(np.float32)),
    )


def fit_normalisers(rows: Rows, spec: EnvSpec) -> EnsembleNormalisers:
    """Fits the normalisers of an ensemble to training rows; one-hot actions stay as they are."""
    one_hot = isinstance(spec.action_space, spaces.Discrete)
    return EnsembleNormalisers(
        observation=fit_normaliser(rows.observation),
        action=identity_normaliser(num_action_features(spec)) if one_hot else fit_normaliser(rows.action),
        target=fit_normaliser(torch.cat((rows.change, rows.reward[:, None]), dim=1)),
    )


def normalise_rows(rows: Rows, normalisers: EnsembleNormalisers, config: EnsembleConfig) -> Batch:
    """Returns all ``N`` rows as one batch without the member axis."""
    action = normalisers.action.normalise(rows.action)
    target = normalisers.target.normalise(torch.cat((rows.change, rows.reward[:, None]), dim=1))
    observation = normalisers.observation.normalise(rows.observation)
    after = normalisers.observation.normalise(rows.observation + rows.change)
    by_place = config.termination_inputs == "next"
    return Batch(
        inputs=torch.cat((observation, action), dim=1),
        targets=target,
        ending_inputs=after if by_place else torch.cat((after, target[:, :-1], action), dim=1),
        terminated=rows.terminated,
    )


class MemberBatches:
    """Batches ``[M, B]`` of training rows, each member in its own order; batch ``k`` depends on the seed and k alone.

    Being a function of the step, it can be taken up anywhere: ``next_step`` is the batch that comes next.
    """

    def __init__(self, rows: Batch, num_members: int, config: FitConfig):
        self.next_step = 0
        self._rows, self._num_members, self._config = rows, num_members, config
        self._num_rows = len(rows.terminated)
        self._size = min(config.batch_size, self._num_rows)
        self._order: tuple[int, Tensor] | None = None

    def __len__(self) -> int:
        """Batches from one look at the validation episodes to the next."""
        return self._config.updates_per_look

    def __iter__(self) -> Iterator[Batch]:
        for _ in range(len(self)):
            indices = self._indices(self.next_step)
            self.next_step += 1
            yield Batch(*(column[indices] for column in self._rows))

    def _indices(self, step: int) -> Tensor:
        """Returns ``[M, B]``: part of a pass over the rows, whose remainder (less than a batch) is left out."""
        epoch, part = divmod(step, self._num_rows // self._size)
        if self._order is None or self._order[0] != epoch:
            self._order = (epoch, torch.from_numpy(self._orders(epoch)))
        return self._order[1][:, part * self._size : (part + 1) * self._size]

    def _orders(self, epoch: int) -> np.ndarray:
        shuffles = np.random.default_rng([self._config.seed, 1, epoch])
        rows = np.tile(np.arange(self._num_rows), (self._num_members, 1))
        if self._config.bootstrap:
            rows = np.random.default_rng([self._config.seed, 2]).integers(self._num_rows, size=rows.shape)
        return shuffles.permuted(rows, axis=1)


class ValidationBatches:
    """Validation rows as batches ``[1, B, ...]``: every member is measured on the same ones, in order."""

    def __init__(self, rows: Batch):
        parts = zip(*(column.split(_VALIDATION_ROWS) for column in rows), strict=True)
        self._batches = [Batch(*(column[None] for column in part)) for part in parts]

    def __len__(self) -> int:
        return len(self._batches)

    def __iter__(self) -> Iterator[Batch]:
        return iter(self._batches)


class EnsembleData(lightning.LightningDataModule):
    """The training and validation episodes of a log.

    Attributes:
        split: which episodes are which.
        train_rows: the training transitions, raw.
        normalisers: fitted on them.
    """

    def __init__(self, log: Log, config: EnsembleConfig, fit: FitConfig):
        super().__init__()
        self.split = split_episodes(log.lengths, fit)
        self.train_rows = read_rows(log, self.split.train)
        self.normalisers = fit_normalisers(self.train_rows, log.spec)
        train = normalise_rows(self.train_rows, self.normalisers, config)
        self.batches = MemberBatches(train, config.num_members, fit)
        validation = read_rows(log, self.split.validation)
        self._validation = ValidationBatches(normalise_rows(validation, self.normalisers, config))

    def train_dataloader(self) -> MemberBatches:
        return self.batches

    def val_dataloader(self) -> ValidationBatches:
        return self._validation
