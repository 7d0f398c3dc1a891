"""The `Policy` contract: how every agent, planner and scripted rule acts on a batch of observations, host side.

Shape legend: ``B`` rows, each one episode.
"""

import copy
import sys
from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np

from envs.errors import InputError
from envs.spec import EnvSpec

_SHARED = (bool, int, float, str, np.generic)


class Policy(Protocol):
    """Chooses actions for a batch of episodes at once.

    The state is whatever the policy carries from step to step, as nested dicts, lists or tuples of arrays or
    tensors whose first axis is the row, so that `select_rows` can drop the rows whose episode has ended and
    `join_rows` can put episodes side by side; plain numbers and text in it belong to all rows; None where the policy
    has no memory.
    """

    spec: EnvSpec

    def initial_state(self, num_rows: int, seed: int) -> Any:
        """Returns the state at the start of ``num_rows`` episodes; ``seed`` fixes every random choice after it.

        `envs.evaluate` and `envs.record` ask for each episode's own, of one row and with a seed of its own.
        """
        ...

    def act(self, observations: np.ndarray, state: Any) -> tuple[np.ndarray, Any]:
        """Returns actions ``[B, *action_space.shape]`` for ``observations`` ``[B, *observation_space.shape]``.

        The second value is the state for the next step.
        """
        ...


def select_rows(state: Any, rows: np.ndarray) -> Any:
    """Returns ``state`` with only ``rows`` (indices ``[K]``) of every array or tensor in it."""
    if state is None or isinstance(state, _SHARED):
        return state
    if isinstance(state, dict):
        return {key: select_rows(value, rows) for key, value in state.items()}
    if isinstance(state, tuple) and hasattr(state, "_fields"):
        return type(state)(*(select_rows(value, rows) for value in state))
    if isinstance(state, list | tuple):
        return type(state)(select_rows(value, rows) for value in state)
    return state[rows]


def join_rows(states: Sequence[Any]) -> Any:
    """Returns the rows of several states of one policy, at least one, one after the other; undoes `select_rows`.

    Arrays (NumPy's, also of objects, and JAX's) and torch tensors are joined along their first axis. None, plain
    numbers and text stay as they are and must be the same in all states.

    Raises:
        InputError: states of different nesting, or in which what all rows share differs.
    """
    first = states[0]
    if any(type(state) is not type(first) for state in states):
        raise InputError(f"expected states of one policy to join, got {sorted({type(s).__name__ for s in states})}")
    if first is None or isinstance(first, _SHARED):
        if any(state != first for state in states):
            raise InputError(f"expected states to join that agree on what all rows share, got {list(states)}")
        return first
    if isinstance(first, dict):
        _require_alike([state.keys() for state in states])
        return {key: join_rows([state[key] for state in states]) for key in first}
    if isinstance(first, list | tuple):
        _require_alike([len(state) for state in states])
        columns = [join_rows(column) for column in zip(*states, strict=True)]
        return type(first)(*columns) if hasattr(first, "_fields") else type(first)(columns)
    return _join_arrays(states)


def _require_alike(shapes: list[Any]) -> None:
    if any(shape != shapes[0] for shape in shapes):
        raise InputError(f"expected states of one policy to join, got different ones: {shapes}")


def _join_arrays(arrays: Sequence[Any]) -> Any:
    # A tensor can be here only where torch is loaded. It is not imported, for agents, who import this, never do; nor
    # is JAX, for planners.
    torch, jax = sys.modules.get("torch"), sys.modules.get("jax")
    if torch is not None and isinstance(arrays[0], torch.Tensor):
        return torch.cat(list(arrays))
    if jax is not None and isinstance(arrays[0], jax.Array):
        return jax.numpy.concatenate(list(arrays))
    return np.concatenate(list(arrays))


def random_streams(seed: int, num_rows: int) -> np.ndarray:
    """Returns ``[num_rows]`` independent NumPy generators (dtype object), one a row, so that rows can be dropped."""
    children = np.random.SeedSequence(seed).spawn(num_rows)
    return np.array([np.random.default_rng(child) for child in children], dtype=object)


class RandomPolicy:
    """Uniformly random actions, the floor that every result is compared with."""

    def __init__(self, spec: EnvSpec):
        self.spec = spec
        self._space = copy.deepcopy(spec.action_space)

    def initial_state(self, num_rows: int, seed: int) -> np.ndarray:
        return random_streams(seed, num_rows)

    def act(self, observations: np.ndarray, state: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        del observations
        return np.stack([self._sample(stream) for stream in state]), state

    def _sample(self, stream: np.random.Generator) -> np.ndarray:
        self._space._np_random = stream  # a space samples from its own generator: lend it the row's
        return np.asarray(self._space.sample())
