"""A learned world model as a functional environment, so that candidates are measured in it instead of the real one.

Inside what JAX compiles every step is one call to torch with the rows of all candidates, agents and episodes at once.
Outcomes are the most likely ones, so that the same candidate earns the same again; episodes start where logged ones
did and end where the model gives going on less than an even chance, or at the real environment's limit.

Shape legend: ``...`` any batch axes, ``B`` all of them as one, ``S`` starts, ``O`` the observation's shape.
"""

import math
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import torch
from gymnasium import spaces
from torch import Tensor

from envs.bridge import to_jax
from envs.errors import InputError
from envs.functional import Params
from worldmodels.gym.start_sources import starts_at
from worldmodels.saved_model import SavedWorldModel
from worldmodels.saving import load_model

_EVEN = 0.5


class ImaginedState(NamedTuple):
    """State of an `ImaginedEnv`.

    Attributes:
        model: the model's state of one row, a dict of arrays.
        time: steps of this episode, int32.
    """

    model: dict[str, jax.Array]
    time: jax.Array


class ImaginedEnv:
    """A world model as a `FunctionalEnv`; it has no parameters that could be changed.

    Args:
        model: on the CPU.

    Raises:
        InputError: a model whose environment has no limit.
    """

    def __init__(self, model: SavedWorldModel):
        limit = model.spec.max_episode_steps
        if limit is None:
            raise InputError(f"expected a world model of an environment with a limit, {model.spec.env_id} has none")
        self.spec = model.spec
        self._model, self._limit = model, limit
        starts = starts_at(model, model.trained.starts.initial)
        self._observations = jnp.asarray(starts.observations)
        self._starts: dict[str, jax.Array] = to_jax(starts.states)
        self._discrete = isinstance(model.spec.action_space, spaces.Discrete)

    @property
    def default_params(self) -> Params:
        return ()

    def reset(self, key: jax.Array, params: Params) -> tuple[jax.Array, ImaginedState]:
        """Returns the first observation ``[*O]`` and state of an episode."""
        del params
        chosen = jax.random.randint(key, (), 0, len(self._observations))
        model = jax.tree.map(lambda rows: rows[chosen], self._starts)
        return self._observations[chosen], ImaginedState(model, jnp.int32(0))

    def step(
        self, key: jax.Array, state: ImaginedState, action: jax.Array, params: Params
    ) -> tuple[jax.Array, ImaginedState, jax.Array, jax.Array, jax.Array, dict[str, Any]]:
        """Imagines one step; nothing in it is random. The limit truncates."""
        del key, params
        number = jax.ShapeDtypeStruct((), jnp.float32)
        shapes = (
            {name: jax.ShapeDtypeStruct(rows.shape[1:], rows.dtype) for name, rows in self._starts.items()},
            jax.ShapeDtypeStruct(self._observations.shape[1:], self._observations.dtype), number, number,
        )  # fmt: skip
        told = jax.pure_callback(self._imagine, shapes, state.model, action, vmap_method="broadcast_all")
        model, observation, reward, continuation = told
        time = state.time + 1
        after = ImaginedState(model, time)
        return observation, after, reward, ~(continuation >= _EVEN), time >= self._limit, {}

    @torch.inference_mode()
    def _imagine(self, state: dict[str, jax.Array], action: jax.Array) -> tuple[Any, ...]:
        """Returns next states, observations, rewards and continuations of rows ``[...]``, NumPy arrays."""
        rows = {name: np.asarray(value) for name, value in state.items()}
        actions = np.asarray(action)
        batch = next(iter(rows.values())).shape[: actions.ndim - len(self.spec.action_space.shape or ())]
        size = math.prod(batch)

        def tensor(values: np.ndarray) -> Tensor:
            return torch.from_numpy(np.array(values.reshape(size, *values.shape[len(batch) :])))

        taken = tensor(actions)
        imagined = self._model.step(
            {name: tensor(value) for name, value in rows.items()}, taken.long() if self._discrete else taken
        )
        told = (imagined.state, imagined.observation, imagined.reward, imagined.continuation)
        return jax.tree.map(lambda one: one.numpy().reshape((*batch, *one.shape[1:])), told)


def imagined_env(folder: Path | str, env_id: str) -> ImaginedEnv:
    """Returns the world model at ``folder``; raises `InputError` where it is none of ``env_id``."""
    model = load_model(folder)
    if model.spec.env_id != env_id:
        raise InputError(f"expected a world model of {env_id}, the one at {folder} is of {model.spec.env_id}")
    return ImaginedEnv(model)
