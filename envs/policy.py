"""The `Policy` contract: how every agent, planner and scripted rule acts on a batch of observations, host side.

Shape legend: ``B`` rows, each one episode.
"""

import copy
from typing import Any, Protocol

import numpy as np

from envs.spec import EnvSpec


class Policy(Protocol):
    """Chooses actions for a batch of episodes at once.

    The state is whatever the policy carries from step to step, as nested dicts, lists or tuples of arrays or
    tensors whose first axis is the row, so that `select_rows` can drop the rows whose episode has ended; None where
    the policy has no memory.
    """

    spec: EnvSpec

    def initial_state(self, num_rows: int, seed: int) -> Any:
        """Returns the state at the start of ``num_rows`` episodes; ``seed`` fixes every random choice after it."""
        ...

    def act(self, observations: np.ndarray, state: Any) -> tuple[np.ndarray, Any]:
        """Returns actions ``[B, *action_space.shape]`` for ``observations`` ``[B, *observation_space.shape]``.

        The second value is the state for the next step.
        """
        ...


def select_rows(state: Any, rows: np.ndarray) -> Any:
    """Returns ``state`` with only ``rows`` (indices ``[K]``) of every array or tensor in it."""
    if state is None:
        return None
    if isinstance(state, dict):
        return {key: select_rows(value, rows) for key, value in state.items()}
    if isinstance(state, tuple) and hasattr(state, "_fields"):
        return type(state)(*(select_rows(value, rows) for value in state))
    if isinstance(state, list | tuple):
        return type(state)(select_rows(value, rows) for value in state)
    return state[rows]


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
