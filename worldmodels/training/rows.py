"""Logged transitions of vector observations as float32 tensors, normalised by what was fitted to them.

Shape legend: ``N`` transitions, ``M`` members, ``B`` rows of a batch, ``D`` observation dimensions, ``Y = D + 1``
predicted numbers (the change of the observation, then the reward), ``A`` action features, ``J`` numbers that ends
are told by.
"""

from typing import NamedTuple

import numpy as np
import torch
from gymnasium import spaces
from torch import Tensor

from envs.logs import Log
from envs.spec import EnvSpec
from worldmodels.configs import TerminationInputs
from worldmodels.features import make_action_features, num_action_features
from worldmodels.judging import judged, judged_normaliser
from worldmodels.normaliser import Normalisers, fit_normaliser, identity_normaliser


class Rows(NamedTuple):
    """Transitions of ``N`` rows.

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

    @property
    def target(self) -> Tensor:
        """``[N, Y]``: the change of the observation, then the reward."""
        return torch.cat((self.change, self.reward[:, None]), dim=1)


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


def fit_normalisers(rows: Rows, spec: EnvSpec) -> Normalisers:
    """Fits normalisers to training rows; one-hot actions stay as they are."""
    one_hot = isinstance(spec.action_space, spaces.Discrete)
    return Normalisers(
        observation=fit_normaliser(rows.observation),
        action=identity_normaliser(num_action_features(spec)) if one_hot else fit_normaliser(rows.action),
        target=fit_normaliser(rows.target),
    )


class StepBatch(NamedTuple):
    """What a gradient step on dynamics and terminations reads, all normalised float32.

    Attributes:
        inputs: observation and action features ``[M, B, D + A]``.
        targets: change of the observation and reward ``[M, B, Y]``.
        ending_inputs: what the termination networks read (`worldmodels.judging.judged`) ``[M, B, J]``.
        terminated: ``[M, B]``.
    """

    inputs: Tensor
    targets: Tensor
    ending_inputs: Tensor
    terminated: Tensor


def normalise_rows(rows: Rows, normalisers: Normalisers, termination_inputs: TerminationInputs) -> StepBatch:
    """Returns all ``N`` rows as one batch without the member axis."""
    ending = judged(termination_inputs, rows.observation + rows.change, rows.change, rows.action)
    return StepBatch(
        inputs=normalisers.inputs.normalise(torch.cat((rows.observation, rows.action), dim=1)),
        targets=normalisers.target.normalise(rows.target),
        ending_inputs=judged_normaliser(termination_inputs, normalisers).normalise(ending),
        terminated=rows.terminated,
    )
