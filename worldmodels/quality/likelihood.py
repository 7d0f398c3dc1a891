"""Negative log-likelihood of held-out steps, in nats: how much a model's distributions are surprised.

Vectors: of the joint density of all predicted numbers (next observation and reward), each divided by its training
targets' standard deviation so that environments can be compared, shared out evenly over the numbers. For scale: a
Gaussian of the targets' own mean and spread has 1.42 nats a number. Discrete observations: of the next state.

Shape legend: ``P`` steps, ``K`` mixture components, ``Y`` predicted numbers, ``S`` values of a Discrete observation.
"""

import numpy as np
import torch
from torch import Tensor

from worldmodels.prediction import Categorical, Mixture

SHARPEST = 1e-6
"""The least standard deviation that is believed, in those of the training targets: float32 tells no finer."""

LEAST_PROBABILITY = 1e-9
"""The least probability that is believed of a state, so that one impossible state is not an infinite surprise."""


def mixture_surprise(predicted: Mixture, target: Tensor, scale: np.ndarray) -> np.ndarray:
    """Returns the negative log-likelihood ``[P]`` a predicted number; 0 where no number ever changed.

    Args:
        predicted: of ``P`` steps.
        target: what came, ``[P, Y]``.
        scale: the training targets' standard deviations ``[Y]``; numbers of scale 0 are left out.
    """
    changed = np.flatnonzero(scale > 0)
    if len(changed) == 0:
        return np.zeros(len(target))
    unit = torch.from_numpy(scale[changed])
    mean, std = (part[..., changed].cpu().double() / unit for part in (predicted.mean, predicted.std))
    normalised = Mixture(predicted.log_weight.cpu().double(), mean, std.clamp(min=SHARPEST))
    surprise: np.ndarray = -normalised.log_prob(target[:, changed].double() / unit).numpy() / len(changed)
    return surprise


def categorical_surprise(predicted: Categorical, state: np.ndarray) -> np.ndarray:
    """Returns the negative log-likelihood ``[P]`` of each next ``state`` ``[P]``, counted from 0."""
    probability = predicted.probability.cpu().double()[torch.arange(len(state)), torch.from_numpy(state)]
    surprise: np.ndarray = -probability.clamp(min=LEAST_PROBABILITY).log().numpy()
    return surprise
