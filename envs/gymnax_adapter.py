"""gymnax's classic control as functional environments that step exactly as Gymnasium's own.

With `envs.gymnax_export` the only module that imports gymnax (1.0). Its environments are compared step by step with
Gymnasium 1.3 in ``tests/envs/test_gymnax_adapter.py``; where they depart, they are mended here.
"""

from functools import cache
from typing import Any

import jax
import jax.numpy as jnp

from envs.compiled_ids import CLASSIC_CONTROL
from envs.errors import unknown_name
from envs.functional import EnvState, Params, strongly_typed
from envs.lean_import import without_init
from envs.spec import spec_of

# Whole, gymnax imports every environment it has and what draws them, which takes ten times as long as these.
with without_init("flax", "gymnax", "gymnax.environments"):
    from gymnax.environments.classic_control.acrobot import Acrobot
    from gymnax.environments.classic_control.cartpole import CartPole
    from gymnax.environments.classic_control.continuous_mountain_car import ContinuousMountainCar
    from gymnax.environments.classic_control.mountain_car import MountainCar
    from gymnax.environments.classic_control.pendulum import Pendulum
    from gymnax.environments.environment import Environment


class MendedMountainCarContinuous(ContinuousMountainCar):
    """MountainCarContinuous with Gymnasium's walls.

    gymnax 1.0.1 departs: it stops a car that rolls back *at the goal*, which also turns that step into a success with
    its reward of 100, and does not stop one that runs into the left wall. Gymnasium does neither.
    """

    def step_env(
        self, key: jax.Array, state: EnvState, action: jax.Array, params: Params
    ) -> tuple[jax.Array, EnvState, jax.Array, jax.Array, dict[str, Any]]:
        # A goal that cannot be reached leaves gymnax's dynamics and action cost; wall, goal and bonus are then ours.
        goal_free = params.replace(goal_position=jnp.inf)
        _, moved, reward, _, info = super().step_env(key, state, action, goal_free)
        hit_wall = (moved.position <= params.min_position) & (moved.velocity < 0)
        moved = moved.replace(velocity=jnp.where(hit_wall, 0.0, moved.velocity))
        terminated = self.is_terminated(moved, params)
        return self.get_obs(moved), moved, reward + 100.0 * terminated, terminated, info


_GYMNAX: dict[str, type[Environment]] = {
    "Acrobot-v1": Acrobot,
    "CartPole-v1": CartPole,
    "MountainCar-v0": MountainCar,
    "MountainCarContinuous-v0": MendedMountainCarContinuous,
    "Pendulum-v1": Pendulum,
}


class ClassicControl:
    """A classic control environment of gymnax behind `envs.functional.FunctionalEnv`.

    Observations and rewards are float32; actions are int32 ``[]`` (Discrete) or float32 ``[1]`` (Box, clipped by the
    dynamics as in Gymnasium). The state is gymnax's, its ``time`` counting the steps of the episode. ``params`` are
    gymnax's, as arrays, so that the physics and the episode limit can differ from one member of a batch to the next.

    Attributes:
        spec: the spec of Gymnasium's own environment.
    """

    def __init__(self, env_id: str):
        if env_id not in _GYMNAX:
            raise unknown_name("JAX classic control environment", env_id, CLASSIC_CONTROL)
        self.spec = spec_of(env_id)
        self._gymnax = _GYMNAX[env_id]()

    @property
    def default_params(self) -> Params:
        return strongly_typed(self._gymnax.default_params)

    def reset(self, key: jax.Array, params: Params) -> tuple[jax.Array, EnvState]:
        return strongly_typed(self._gymnax.reset_env(key, params))

    def step(
        self, key: jax.Array, state: EnvState, action: jax.Array, params: Params
    ) -> tuple[jax.Array, EnvState, jax.Array, jax.Array, jax.Array, dict[str, Any]]:
        # gymnax's step_env knows no episode limit and its step would reset: truncation is asked for apart.
        observation, state, reward, terminated, _ = self._gymnax.step_env(key, state, action, params)
        truncated = self._gymnax.is_truncated(state, params)
        return strongly_typed((observation, state, reward, terminated, truncated, {}))


@cache
def make_classic_control(env_id: str) -> ClassicControl:
    """Returns the environment, always the same object, so that everything compiled for it is compiled once.

    Raises:
        InputError: ``env_id`` is none of `envs.compiled_ids.CLASSIC_CONTROL`.
    """
    return ClassicControl(env_id)
