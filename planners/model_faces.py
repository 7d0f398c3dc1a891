"""What a model may offer beside the `WorldModel` contract, and the checks of what a planner needs.

Shape legend: ``B`` rows, ``A`` number of Discrete actions, ``C`` number of outcomes.
"""

from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from envs.errors import InputError
from envs.spec import EnvSpec
from envs.world_model import Imagination, Imagined, ModelState, SequenceModel, WorldModel, imagine_by_steps


@runtime_checkable
class ChanceModel(Protocol):
    """A model that splits a step in two: the action leads to an afterstate, chance from there to one of ``C`` outcomes.

    A search gives such a model chance nodes. `step` must agree with it.
    """

    spec: EnvSpec
    device: torch.device
    num_outcomes: int

    def afterstate(self, state: ModelState, action: Tensor) -> tuple[ModelState, Tensor]:
        """Returns the afterstate ``[B, ...]`` and the logits ``[B, C]`` of its outcomes, -inf for impossible ones."""
        ...

    def resolve(self, afterstate: ModelState, outcome: Tensor) -> Imagined:
        """Returns the step that an ``outcome`` ``[B]`` int64 makes of an afterstate."""
        ...


@runtime_checkable
class MaskedModel(Protocol):
    """A model of Discrete actions, not all of which are allowed everywhere."""

    def valid_actions(self, state: ModelState) -> Tensor:
        """Returns ``[B, A]`` bool, True where an action, counted from 0, is allowed; at an end it does not matter."""
        ...


class SampledOutcomes:
    """A `ChanceModel` of any model that draws: each action has so many equally likely outcomes, each a draw of its own.

    Args:
        model: draws the outcomes.
        num_outcomes: ``C``.
        generator: source of the draws.
    """

    def __init__(self, model: WorldModel, num_outcomes: int, generator: torch.Generator):
        self.spec, self.device, self.num_outcomes = model.spec, model.device, num_outcomes
        self._model, self._generator = model, generator

    def afterstate(self, state: ModelState, action: Tensor) -> tuple[ModelState, Tensor]:
        return {**state, _ACTION: action}, torch.zeros(len(action), self.num_outcomes, device=self.device)

    def resolve(self, afterstate: ModelState, outcome: Tensor) -> Imagined:
        del outcome
        state = {key: value for key, value in afterstate.items() if key != _ACTION}
        return self._model.step(state, afterstate[_ACTION], self._generator)


_ACTION = "action to be resolved"


class CountedModel:
    """A model that counts what is asked of it: ``calls``, and ``steps``, one a row of each call."""

    def __init__(self, model: WorldModel):
        self.spec, self.device = model.spec, model.device
        self.calls = self.steps = 0
        self._model = model
        self._sequences = model if isinstance(model, SequenceModel) else None

    def encode(
        self, observation: Tensor, previous: ModelState | None = None, action: Tensor | None = None
    ) -> ModelState:
        return self._model.encode(observation, previous, action)

    def step(self, state: ModelState, action: Tensor, generator: torch.Generator | None = None) -> Imagined:
        self.count(len(action))
        return self._model.step(state, action, generator)

    def imagine(
        self, state: ModelState, actions: Tensor, generator: torch.Generator | None, with_uncertainty: bool
    ) -> Imagination:
        """Imagines sequences ``[B, H, *A]`` the model's own way where it has one; a call for each step all the same."""
        if self._sequences is None:
            return imagine_by_steps(self, state, actions, generator)
        self.count(len(actions), actions.shape[1])
        return self._sequences.imagine(state, actions, generator, with_uncertainty)

    def count(self, rows: int, calls: int = 1) -> None:
        """Notes calls of so many rows each."""
        self.calls += calls
        self.steps += rows * calls


def require_plannable(model: WorldModel, state: ModelState) -> int:
    """Returns ``B``; raises `InputError` unless ``state`` can be copied row by row, as planning on ``model`` needs."""
    name = model.spec.env_id
    tensors = isinstance(state, dict) and len(state) > 0 and all(isinstance(one, Tensor) for one in state.values())
    if not tensors or len({len(one) if one.dim() else None for one in state.values()}) != 1:
        raise InputError(f"expected a state of the model of {name} that can be copied, named tensors [B, ...] of one "
                         f"B, got {_told(state)}")  # fmt: skip
    return len(next(iter(state.values())))


def require_reward(imagined: Imagined, spec: EnvSpec) -> None:
    """Raises `InputError` where a model imagines no rewards."""
    if imagined.reward is None:
        raise InputError(f"the model of {spec.env_id} imagines no rewards, so there is nothing to plan for")


def _told(state: object) -> str:
    if not isinstance(state, dict):
        return type(state).__name__
    return str({key: tuple(one.shape) if isinstance(one, Tensor) else type(one).__name__ for key, one in state.items()})
