"""Whether a model is unsure where it is wrong: rank correlation of its uncertainty with its real error.

Shape legend: ``P`` steps, ``K`` horizons.
"""

from dataclasses import dataclass

import numpy as np

from worldmodels.configs import UncertaintyKind
from worldmodels.quality.correlation import spearman
from worldmodels.quality.open_loop import OpenLoop
from worldmodels.uncertainty import KINDS

NUM_BINS = 10
_LEAST_STARTS = 20


@dataclass(frozen=True)
class UncertaintyBins:
    """Steps in ten bins of equal size by their uncertainty, from the surest: the means of each."""

    uncertainty: list[float]
    error: list[float]


@dataclass(frozen=True)
class UncertaintyQuality:
    """Spearman correlations by kind; None where one is not defined, as for a model that is always equally sure.

    Attributes:
        one_step: of the uncertainty with the error of the step.
        accumulated: of the uncertainty summed over k steps with the error after them, for k = 1, ..., ``K``; None
            where fewer than 20 starts reach that far.
        bins: for pictures; None where the uncertainty is not finite.
    """

    one_step: dict[UncertaintyKind, float | None]
    accumulated: dict[UncertaintyKind, list[float | None]]
    bins: dict[UncertaintyKind, UncertaintyBins | None]


def uncertainty_quality(uncertainty: np.ndarray, error: np.ndarray, rollouts: OpenLoop) -> UncertaintyQuality:
    """Correlates one step's ``uncertainty`` ``[3, P]`` with its ``error`` ``[P]``, and the same along ``rollouts``."""
    kinds = dict(zip(KINDS, uncertainty, strict=True))
    return UncertaintyQuality(
        one_step={kind: spearman(values, error) for kind, values in kinds.items()},
        accumulated={kind: _accumulated(rollouts, i) for i, kind in enumerate(KINDS)},
        bins={kind: _bins(values, error) for kind, values in kinds.items()},
    )


def _accumulated(rollouts: OpenLoop, kind: int) -> list[float | None]:
    found: list[float | None] = []
    for k in range(rollouts.error.shape[1]):
        inside = rollouts.inside[:, k]
        enough = inside.sum() >= _LEAST_STARTS
        found.append(spearman(rollouts.uncertainty[kind, inside, k], rollouts.error[inside, k]) if enough else None)
    return found


def _bins(uncertainty: np.ndarray, error: np.ndarray) -> UncertaintyBins | None:
    if not (np.isfinite(uncertainty).all() and np.isfinite(error).all()):
        return None
    parts = np.array_split(np.argsort(uncertainty, kind="stable"), min(NUM_BINS, len(error)))
    means = [(float(uncertainty[part].mean()), float(error[part].mean())) for part in parts]
    return UncertaintyBins(*(list(column) for column in zip(*means, strict=True)))
