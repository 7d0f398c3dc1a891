"""What a planner returns, and the faces of the functions that planners take.

Shape legend: ``B`` rows, ``A`` the action's shape.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from torch import Tensor

from envs.world_model import ModelState, WorldModel
from planners.draws import Randomness

WarmStart = Tensor | dict[str, Tensor]
"""What a planner keeps from one step of an episode to the next, each tensor ``[B, ...]``."""


@dataclass(frozen=True)
class Plan:
    """What to do now in each of ``B`` states.

    Attributes:
        action: ``[B, *A]``, inside the action space and in its dtype.
        value: ``[B]`` float32, the return that the planner expects.
        warm_start: ``[B, ...]``, to be given to the same planner at the next step of the episode; None at its start,
            and from planners that keep nothing.
        model_calls: how often the model was asked to step a batch.
    """

    action: Tensor
    value: Tensor
    warm_start: WarmStart | None = None
    model_calls: int = 0


ValueFn = Callable[[ModelState], Tensor]
"""Value ``[B]`` of the states that a trajectory ends in."""


class Planner(Protocol):
    """A planner whose settings are bound already."""

    def __call__(
        self, model: WorldModel, state: ModelState, generator: Randomness, warm_start: WarmStart | None
    ) -> Plan: ...
