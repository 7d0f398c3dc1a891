"""What a family of world models is: how its models are trained, go into an artifact and come back."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from torch import Tensor

from envs.logs import Log
from worldmodels.configs import FitConfig
from worldmodels.saved_model import LoadOptions, SavedWorldModel, Trained
from worldmodels.training.learning import Learning
from worldmodels.training.split import Split


class Family(NamedTuple):
    """How the world models of one family are trained, go into an artifact and come back.

    Attributes:
        config_type: the dataclass of a model's configuration; its fields are the artifact's ``config``.
        make_learning: a log, its split, a configuration and how to train, to a model in training. Raises
            `InputError` for spaces that the family cannot model.
        content_of: a model to its configuration and the tensors of its networks, all of them finite numbers.
        rebuild: what every model carries, a configuration, the tensors and options, back to a model. Raises
            `InputError` for options that the family does not have. Other errors of lookup, type or value, and torch's
            RuntimeError, are told to the user as an artifact that does not fit its configuration.
    """

    config_type: type
    make_learning: Callable[[Log, Split, Any, FitConfig], Learning]
    content_of: Callable[[Any], tuple[Any, Mapping[str, Tensor]]]
    rebuild: Callable[[Trained, Any, Mapping[str, Tensor], LoadOptions], SavedWorldModel]
