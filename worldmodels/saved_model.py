"""What a world model must give to be saved and to be stepped as an environment, whatever its family."""

from collections.abc import Callable, Mapping
from typing import Any, ClassVar, NamedTuple, Protocol

import numpy as np

from envs.artifact import Artifact
from envs.world_model import WorldModel
from worldmodels.configs import Propagation
from worldmodels.starts import Starts


class SavedWorldModel(WorldModel, Protocol):
    """A world model that was trained on logs.

    Attributes:
        family: its key in `worldmodels.saving.FAMILIES`.
        starts: where imagined episodes can start.
        provenance: where it came from, as JSON.
    """

    family: ClassVar[str]
    starts: Starts
    provenance: dict[str, Any]

    def uncertainty_at(self, quantile: float) -> float:
        """Returns the uncertainty that a share ``quantile``, in [0, 1], of the training transitions stays below.

        Raises:
            InputError: another ``quantile``.
        """
        ...


class Family(NamedTuple):
    """How the world models of one family go into an artifact and come back.

    Attributes:
        config_type: the dataclass of a model's configuration; its fields are the artifact's ``config``.
        content_of: a model to its configuration and its tensors, all of them finite numbers.
        rebuild: an artifact, its configuration, a propagation (None for what was saved) and a device back to a model.
            Raises `InputError` for a propagation that the family does not have. Other errors of lookup, type or
            value, and torch's RuntimeError, are told to the user as an artifact that does not fit its configuration.
    """

    config_type: type
    content_of: Callable[[Any], tuple[Any, Mapping[str, np.ndarray]]]
    rebuild: Callable[[Artifact, Any, Propagation | None, str], SavedWorldModel]
