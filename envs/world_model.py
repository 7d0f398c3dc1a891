"""The `WorldModel` contract: what planners search and imagined environments step, learned or real (torch).

Two things more a model may offer: its own way to imagine whole action sequences (`SequenceModel`), and members that can
be followed one by one (`MemberModel`).

Shape legend: ``B`` rows, ``H`` steps, ``O`` the observation's shape, ``A`` the action's shape.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from envs.errors import InputError
from envs.spec import EnvSpec

ModelState = dict[str, Tensor]
"""A model's state: named tensors, each ``[B, ...]``, so that rows can be indexed, repeated and joined."""


@dataclass(frozen=True)
class Imagined:
    """One imagined step of ``B`` rows.

    Attributes:
        state: the next state.
        observation: the next observation ``[B, *O]``, inside the observation space, in its dtype.
        reward: ``[B]`` float32.
        continuation: ``[B]`` float32, probability in [0, 1] that the episode was not terminated by this step.
        uncertainty: ``[B]`` float32, at least 0, epistemic: how far the model's own opinions lie apart; 0 where it has
            one opinion only, NaN where it was told not to measure.
        noise: ``[B]`` float32, at least 0, aleatoric: the noise that the model expects of this step; 0 where it
            expects none. In the unit of ``uncertainty``.
    """

    state: ModelState
    observation: Tensor
    reward: Tensor
    continuation: Tensor
    uncertainty: Tensor
    noise: Tensor


class WorldModel(Protocol):
    """A model of an environment that imagines single steps for a batch of rows."""

    spec: EnvSpec
    device: torch.device

    def encode(
        self, observation: Tensor, previous: ModelState | None = None, action: Tensor | None = None
    ) -> ModelState:
        """Returns the state after a real ``observation`` ``[B, *O]``.

        ``previous`` is the state one step before and ``action`` ``[B, *A]`` what was done in it; None at the start
        of an episode. Models whose state is the observation ignore both.
        """
        ...

    def step(self, state: ModelState, action: Tensor, generator: torch.Generator | None = None) -> Imagined:
        """Imagines one step.

        Args:
            state: ``[B, ...]``.
            action: ``[B, *A]`` in the action space's dtype (int64 for Discrete, counted from the space's start).
            generator: source of every random draw; None asks for the most likely outcome.
        """
        ...


@dataclass(frozen=True)
class Imagination:
    """Imagined steps of ``B`` rows, without the observations in between.

    Attributes:
        state: after the last step.
        reward: ``[H, B]`` float32.
        continuation: ``[H, B]`` float32, as in `Imagined`.
        uncertainty: ``[H, B]`` float32, as in `Imagined`; None where nobody asked for it.
    """

    state: ModelState
    reward: Tensor
    continuation: Tensor
    uncertainty: Tensor | None


@runtime_checkable
class SequenceModel(Protocol):
    """A `WorldModel` with a faster way through whole action sequences than one `step` after the other."""

    def imagine(
        self, state: ModelState, actions: Tensor, generator: torch.Generator | None, with_uncertainty: bool
    ) -> Imagination:
        """Imagines ``actions`` ``[B, H, *A]`` from ``state`` ``[B, ...]``; the same as stepping, up to rounding.

        With a generator the same in distribution.
        """
        ...


def imagine_by_steps(
    model: WorldModel, state: ModelState, actions: Tensor, generator: torch.Generator | None
) -> Imagination:
    """Imagines ``actions`` ``[B, H, *A]`` from ``state`` ``[B, ...]`` one `step` after the other.

    Raises:
        InputError: the model imagines no rewards.
    """
    steps = []
    for t in range(actions.shape[1]):
        imagined = model.step(state, actions[:, t], generator)
        if imagined.reward is None:
            raise InputError(f"expected a model that imagines rewards, got one of {model.spec.env_id} without")
        state = imagined.state
        steps.append((imagined.reward, imagined.continuation, imagined.uncertainty))
    reward, continuation, uncertainty = (torch.stack(column) for column in zip(*steps, strict=True))
    return Imagination(state, reward, continuation, uncertainty)


@runtime_checkable
class MemberModel(Protocol):
    """A `WorldModel` that consists of several, each of which can be followed alone.

    Attributes:
        num_members: how many can be followed.
    """

    num_members: int

    def follow(self, state: ModelState, member: Tensor) -> ModelState:
        """Returns ``state`` ``[B, ...]`` whose rows follow ``member`` ``[B]`` int64 from now on, in every step."""
        ...


def index_state(state: ModelState, rows: Tensor | slice) -> ModelState:
    """Returns the ``rows`` (indices or mask ``[K]``, or a slice) of a state."""
    return {key: value[rows] for key, value in state.items()}


def repeat_state(state: ModelState, times: int) -> ModelState:
    """Returns each row ``times`` times in a run: ``[B, ...] -> [B * times, ...]``."""
    return dict(state) if times == 1 else {key: value.repeat_interleave(times, dim=0) for key, value in state.items()}


def join_states(states: Sequence[ModelState]) -> ModelState:
    """Returns the rows of several states one after the other."""
    return {key: torch.cat([state[key] for state in states]) for key in states[0]}


def where_state(mask: Tensor, yes: ModelState, no: ModelState) -> ModelState:
    """Returns row by row ``yes`` where ``mask`` ``[B]`` is True and ``no`` elsewhere."""
    return {key: torch.where(mask.view(-1, *[1] * (yes[key].dim() - 1)), yes[key], no[key]) for key in yes}


def num_rows(state: ModelState) -> int:
    """Returns ``B``."""
    return len(next(iter(state.values())))
