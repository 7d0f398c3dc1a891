"""One-step predictions of held-out steps, and what they say of reward and terminations.

Shape legend: ``P`` chosen steps, ``O`` the observation's shape, ``Y`` predicted numbers.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from envs.world_model import ModelState
from worldmodels.prediction import Prediction
from worldmodels.quality.held_out import HeldOut, Scales, chosen, inverse
from worldmodels.saved_model import PredictiveModel
from worldmodels.uncertainty import KINDS, uncertainty_of


@dataclass(frozen=True)
class OneStep:
    """What a model said of each chosen step, its most likely outcome, beside the truth.

    Attributes:
        observation: predicted next observations ``[P, *O]``.
        reward: predicted rewards ``[P]``.
        ends: ``[P]`` bool, the continuation is below 0.5.
        uncertainty: ``[3, P]``, of each of `worldmodels.uncertainty.KINDS`.
        expected: the distribution.
        truth: the steps themselves.
    """

    observation: np.ndarray
    reward: np.ndarray
    ends: np.ndarray
    uncertainty: np.ndarray
    expected: Prediction
    truth: "Truth"


@dataclass(frozen=True)
class Truth:
    """What the chosen steps led to: next observations ``[P, *O]``, rewards and terminations ``[P]``."""

    observation: np.ndarray
    reward: np.ndarray
    terminated: np.ndarray

    @property
    def target(self) -> Tensor:
        """Flat next observations, then rewards: float32 ``[P, Y]``."""
        after = self.observation.reshape(len(self.reward), -1).astype(np.float32)
        return torch.from_numpy(np.concatenate((after, self.reward[:, None].astype(np.float32)), axis=1))


@dataclass(frozen=True)
class TerminationQuality:
    """How well ends are told, by a continuation below 0.5.

    Attributes:
        num_terminated: terminations among the held-out steps that were looked at.
        num_predicted: steps that the model ended.
        accuracy: share of steps judged rightly.
        precision: share of the predicted terminations that are real; None where none was predicted.
        recall: share of the real terminations that were predicted; None where there was none.
        f1: harmonic mean of precision and recall; None where there was neither a real nor a predicted one.
    """

    num_terminated: int
    num_predicted: int
    accuracy: float
    precision: float | None
    recall: float | None
    f1: float | None


def predict_one_step(model: PredictiveModel, states: ModelState, held_out: HeldOut) -> OneStep:
    """Returns what ``model`` says of the chosen steps; ``states`` as `HeldOut.states` gave them."""
    rows, steps = held_out.rows, held_out.steps
    state, action = chosen(states, rows), held_out.actions(model, rows)
    imagined = model.step(state, action)
    return OneStep(
        observation=imagined.observation.cpu().numpy(),
        reward=imagined.reward.cpu().numpy(),
        ends=imagined.continuation.cpu().numpy() < 0.5,
        uncertainty=torch.stack([uncertainty_of(imagined, kind) for kind in KINDS]).cpu().numpy(),
        expected=model.predict(state, action),
        truth=Truth(steps.next_observation[rows], steps.reward[rows], steps.terminated[rows]),
    )


def reward_error(step: OneStep) -> float:
    """Returns the root mean square error of the reward."""
    with np.errstate(invalid="ignore", over="ignore"):
        away = step.reward.astype(np.float64) - step.truth.reward
        return float(np.sqrt(np.square(away).mean()))


def termination_quality(predicted: np.ndarray, real: np.ndarray) -> TerminationQuality:
    """Compares predicted with real terminations, both ``[P]`` bool."""
    hits, num_predicted, num_real = int((predicted & real).sum()), int(predicted.sum()), int(real.sum())
    return TerminationQuality(
        num_terminated=num_real,
        num_predicted=num_predicted,
        accuracy=float((predicted == real).mean()),
        precision=hits / num_predicted if num_predicted else None,
        recall=hits / num_real if num_real else None,
        f1=2 * hits / (num_predicted + num_real) if num_predicted + num_real else None,
    )


def step_errors(step: OneStep, scales: Scales | None) -> np.ndarray:
    """Returns how wrong each step ``[P]`` was, in the unit of the uncertainty.

    Vectors: the absolute error in standard deviations of the training targets, averaged over the predicted numbers.
    Discrete observations (``scales`` None): 1 where the state is wrong, else 0.
    """
    if scales is None:
        return (step.observation != step.truth.observation).astype(np.float64)
    with np.errstate(invalid="ignore", over="ignore"):
        away = np.abs(step.observation.astype(np.float64) - step.truth.observation)
        reward_away = np.abs(step.reward.astype(np.float64) - step.truth.reward)
        every = np.concatenate((away, reward_away[:, None]), axis=1) * inverse(scales.target)
        errors: np.ndarray = every.mean(axis=1)
        return errors
