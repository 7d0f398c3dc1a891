"""What a world model must give to be trained, saved, measured and stepped as an environment, whatever its family."""

from dataclasses import dataclass, field
from typing import Any, ClassVar, Protocol

import torch
from torch import Tensor

from envs.errors import InputError
from envs.spec import EnvSpec
from envs.world_model import ModelState, WorldModel
from worldmodels.configs import Propagation, UncertaintyKind
from worldmodels.prediction import Prediction
from worldmodels.starts import Starts
from worldmodels.uncertainty import KINDS


@dataclass(frozen=True)
class Trained:
    """What every trained model carries beside its networks; tensors on the CPU.

    Attributes:
        spec: the environment it models.
        starts: where imagined episodes can start.
        noise_scale: ``[Y]``, by how much predicted distributions were too narrow on validation data (1 before that is
            measured): noise and intervals are widened by it. Empty for Discrete observations.
        uncertainty_levels: ``[3, Q]``, see `worldmodels.uncertainty.uncertainty_levels`.
        provenance: where the model came from, as JSON.
    """

    spec: EnvSpec
    starts: Starts
    noise_scale: Tensor
    uncertainty_levels: Tensor = field(default_factory=lambda: torch.zeros(len(KINDS), 1))
    provenance: dict[str, Any] = field(default_factory=dict)

    def uncertainty_at(self, quantile: float, kind: UncertaintyKind = "epistemic") -> float:
        """Returns the uncertainty that a share ``quantile``, in [0, 1], of the training transitions stays below."""
        if not 0 <= quantile <= 1:
            raise InputError(f"expected an uncertainty quantile from 0 to 1, got {quantile}")
        levels = self.uncertainty_levels[KINDS.index(kind)]
        return float(levels[round(quantile * (len(levels) - 1))])


class PredictiveModel(WorldModel, Protocol):
    """A world model that also says how sure it is of each step: what quality is measured of.

    Attributes:
        remembers: whether a state holds more than its observation, so that `encode` needs the state before.
    """

    remembers: ClassVar[bool]

    def predict(self, state: ModelState, action: Tensor) -> Prediction:
        """Returns the distribution of the next observation and the reward, widened by the noise scale."""
        ...


class SavedWorldModel(PredictiveModel, Protocol):
    """A world model that was trained on logs.

    Attributes:
        family: its key in `worldmodels.families.table.FAMILIES`.
        trained: what it carries beside its networks.
    """

    family: ClassVar[str]
    trained: Trained

    def memory(self, state: ModelState) -> ModelState:
        """Returns what a start point must hold beside its observation so that `recall` gives ``state`` back."""
        ...

    def recall(self, observation: Tensor, memory: ModelState) -> ModelState:
        """Returns the state at a start point: ``observation`` ``[B, *O]`` and what `StartPoints.memory` holds of it."""
        ...

    def with_trained(self, trained: Trained) -> "SavedWorldModel":
        """Returns the same model carrying ``trained``."""
        ...


@dataclass(frozen=True)
class LoadOptions:
    """How a loaded model shall compute.

    Attributes:
        propagation: how members are combined; None for what was saved. Families without members refuse any.
        device: for example ``cpu`` or ``cuda``.
        epistemic: evaluate all members at every step, so that their disagreement is known. Without it, propagations
            that follow one member evaluate only that one, and the epistemic uncertainty is NaN.
    """

    propagation: Propagation | None = None
    device: str = "cpu"
    epistemic: bool = True

    def require_no_propagation(self, family: str) -> None:
        """Raises `InputError` where a propagation is asked of a family that has no members."""
        if self.propagation is not None:
            raise InputError(f"expected no propagation for the {family}, which has no members, got {self.propagation}")
