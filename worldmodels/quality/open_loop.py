"""Open-loop error: how far imagination is from the truth after 1, ..., K steps without a look at it.

Every prediction is the model's most likely outcome (no noise), started at held-out steps and driven by the logged
actions. Vectors: root mean square error in standard deviations of the training observations. Discrete observations:
share of wrong states.

Shape legend: ``P`` start points, ``K`` horizons.
"""

from dataclasses import dataclass

import numpy as np
import torch

from envs.world_model import ModelState
from worldmodels.quality.held_out import HeldOut, Scales, chosen, inverse
from worldmodels.saved_model import PredictiveModel
from worldmodels.uncertainty import KINDS, uncertainty_of


@dataclass(frozen=True)
class OpenLoop:
    """What came of imagining from every start.

    Attributes:
        error: ``[P, K]``: the mean over dimensions of the squared normalised errors, or 1 where the state is wrong.
        inside: ``[P, K]`` bool, False beyond an episode's end.
        uncertainty: ``[3, P, K]``, the sum over the steps so far, of each of `worldmodels.uncertainty.KINDS`.
    """

    error: np.ndarray
    inside: np.ndarray
    uncertainty: np.ndarray


def open_loop(
    model: PredictiveModel, states: ModelState, held_out: HeldOut, scales: Scales | None, horizon: int
) -> OpenLoop:
    """Imagines ``horizon`` steps from every start.

    Args:
        model: what imagines.
        states: what it knew before every held-out step, as `HeldOut.states` gave them.
        held_out: the truth.
        scales: the units of errors; None for Discrete observations.
        horizon: ``K``.
    """
    starts, steps = held_out.starts, held_out.steps
    remaining = held_out.remaining(starts)
    error = np.zeros((len(starts), horizon))
    uncertainty = np.zeros((len(KINDS), len(starts), horizon))
    state = chosen(states, starts)
    for k in range(horizon):
        # Beyond the end: any action, for the result is not used.
        rows = np.where(remaining > k, starts + k, starts)
        imagined = model.step(state, held_out.actions(model, rows))
        state = imagined.state
        error[:, k] = _errors(imagined.observation.cpu().numpy(), steps.next_observation[rows], scales)
        uncertainty[:, :, k] = torch.stack([uncertainty_of(imagined, kind) for kind in KINDS]).cpu().numpy()
    return OpenLoop(error, remaining[:, None] > np.arange(horizon), uncertainty.cumsum(axis=2))


def _errors(predicted: np.ndarray, truth: np.ndarray, scales: Scales | None) -> np.ndarray:
    if scales is None:
        return (predicted != truth).astype(np.float64)
    with np.errstate(invalid="ignore", over="ignore"):
        away = (predicted.astype(np.float64) - truth) * inverse(scales.observation)
        errors: np.ndarray = np.square(away).mean(axis=1)
        return errors
