"""What a family must give to be trained: its weights, its losses, its batches, and the model that comes out.

Only torch is needed here; `worldmodels.training.fit` hands it to Lightning.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sized
from typing import Any, NamedTuple, Protocol

from torch import Tensor, nn

from worldmodels.saved_model import SavedWorldModel, Trained


class Part(NamedTuple):
    """Weights with a step size and a best moment of their own.

    Attributes:
        module: every parameter has the member as first axis ``[M, ...]``, or, with ``num_members`` None, belongs to
            one single network.
        learning_rate: Adam's step size at the start.
        num_members: ``M``, or None for a single network.
    """

    module: nn.Module
    learning_rate: float
    num_members: int | None = None


class TrainBatches(Protocol):
    """Batches from one look at the validation episodes to the next, each a function of the seed and its step.

    Attributes:
        next_step: the gradient step, from 0, whose batch comes next; setting it takes a training up there.
    """

    next_step: int

    def __len__(self) -> int: ...

    def __iter__(self) -> Any: ...


class SizedBatches(Sized, Iterable[Any], Protocol):
    """The validation batches, the same ones in the same order each time."""


class Learning(nn.Module, ABC):
    """A model in training. Its `state_dict` with the optimiser's and ``train_batches.next_step`` is all that changes.

    Random numbers come from torch's global generator, which is seeded anew after every look at the validation data.

    Attributes:
        parts: the trained weights by name; the best weights of each part are kept apart, by its validation error.
        train_batches: what gradient steps read. Batches are tensors, or named tuples and dicts of them, whose second
            axis runs over the rows: with ddp every process takes some of these.
        validation_batches: what chooses the best weights.
        other_logs: SHA-256 of further logs that are learned from, by what they teach.
    """

    parts: Mapping[str, Part]
    train_batches: TrainBatches
    validation_batches: SizedBatches

    def __init__(self) -> None:
        super().__init__()
        self.other_logs: Mapping[str, str] = {}

    @abstractmethod
    def loss(self, batch: Any) -> Tensor:
        """Returns the scalar that a gradient step makes smaller; the mean over the batch's rows."""

    @abstractmethod
    def errors(self, batch: Any) -> Mapping[str, Tensor]:
        """Returns each part's validation error ``[M]`` (``[1]`` for a single network), the mean over the rows."""

    @abstractmethod
    def num_rows(self, batch: Any) -> int:
        """Returns how many rows of a batch `loss` and `errors` are a mean over."""

    @abstractmethod
    def finish(self, errors: Mapping[str, Tensor], trained: Trained) -> SavedWorldModel:
        """Returns the model, once the best weights are back in place on the CPU.

        ``errors`` are the best validation errors of each part, ``trained`` what the model carries beside its networks.
        """
