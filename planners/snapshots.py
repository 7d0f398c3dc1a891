"""How the states of real environments are read and written: one small adapter a class.

A state is a flat float64 vector that holds all that the next step depends on. Classic control and toy text are known by
their state, MuJoCo by its own (`planners.mujoco_snapshot`), anything else by its seed and actions, which are replayed
(`planners.replay`). `planners.simulator` proves each at its first use, so a subclass that remembers more is found out.

Shape legend: ``D`` length of the vector, ``O`` the observation's shape.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import gymnasium
import numpy as np
from gymnasium.envs.classic_control import (
    AcrobotEnv,
    CartPoleEnv,
    Continuous_MountainCarEnv,
    MountainCarEnv,
    PendulumEnv,
)
from gymnasium.envs.toy_text.cliffwalking import CliffWalkingEnv
from gymnasium.envs.toy_text.frozen_lake import FrozenLakeEnv
from gymnasium.envs.toy_text.taxi import TaxiEnv

from planners.mujoco_snapshot import capture_mujoco, is_mujoco, restore_mujoco
from planners.replay import make_capture, restore_by_replay

_DEFAULT_LIMIT = 1000
"""Longest episode, in steps, that is replayed where an environment has no limit of its own."""
_STEPS_AHEAD = 256
"""How far plans may look beyond the longest episode."""


@dataclass(frozen=True)
class Snapshot:
    """Reads and writes the state of one class of environments.

    Attributes:
        capture: returns the state ``[D]`` float64 of an unwrapped environment.
        restore: puts such a state into another one, which has been reset before.
        from_observation: returns the state ``[D]`` that an observation ``[*O]`` shows; None where it does not show all.
        replays: the two above are given a `planners.replay.RecordedEnv` instead, which knows its seed and actions.
    """

    capture: Callable[[Any], np.ndarray]
    restore: Callable[[Any, np.ndarray], None]
    from_observation: Callable[[np.ndarray], np.ndarray] | None = None
    replays: bool = False


def snapshot_of(env: gymnasium.Env) -> Snapshot:
    """Returns the adapter for ``env``: of its class, or the one that replays.

    Where a wrapper changes what is observed, as `envs.position_only` does, an observation does not show the state.
    """
    for one in type(env.unwrapped).__mro__:
        if one in _SNAPSHOTS:
            found = _SNAPSHOTS[one]
            as_it_is = env.observation_space == env.unwrapped.observation_space
            return found if as_it_is else replace(found, from_observation=None)
    if is_mujoco(env):
        return Snapshot(capture_mujoco, restore_mujoco)
    capacity = (env.spec.max_episode_steps if env.spec else None) or _DEFAULT_LIMIT
    return Snapshot(make_capture(capacity + _STEPS_AHEAD), restore_by_replay, replays=True)


def _capture_state(env: Any) -> np.ndarray:
    return np.array(env.state, np.float64)


def _restore_state(env: Any, vector: np.ndarray) -> None:
    env.state = vector.copy()


def _restore_cartpole(env: Any, vector: np.ndarray) -> None:
    env.state, env.steps_beyond_terminated = vector.copy(), None


def _capture_continuous_car(env: Any) -> np.ndarray:
    """Also notes the precision: it is float64 after a reset and float32 after a step, and steps differ by it."""
    return np.array([*env.state, env.state.dtype == np.float32], np.float64)


def _restore_continuous_car(env: Any, vector: np.ndarray) -> None:
    env.state = vector[:2].astype(np.float32 if vector[2] else np.float64)


def _capture_cell(env: Any) -> np.ndarray:
    return np.array([env.s], np.float64)


def _restore_cell(env: Any, vector: np.ndarray) -> None:
    env.s = int(vector[0])


def _pendulum_state(observation: np.ndarray) -> np.ndarray:
    cosine, sine, speed = observation.astype(np.float64)
    return np.array([math.atan2(sine, cosine), speed])


def _acrobot_state(observation: np.ndarray) -> np.ndarray:
    cosine1, sine1, cosine2, sine2, speed1, speed2 = observation.astype(np.float64)
    return np.array([math.atan2(sine1, cosine1), math.atan2(sine2, cosine2), speed1, speed2])


def _same(observation: np.ndarray) -> np.ndarray:
    return np.asarray(observation, np.float64)


_CELL = Snapshot(_capture_cell, _restore_cell, lambda observation: np.array([observation], np.float64))
_SNAPSHOTS: dict[type, Snapshot] = {
    CartPoleEnv: Snapshot(_capture_state, _restore_cartpole, _same),
    PendulumEnv: Snapshot(_capture_state, _restore_state, _pendulum_state),
    MountainCarEnv: Snapshot(_capture_state, _restore_state, _same),
    Continuous_MountainCarEnv: Snapshot(
        _capture_continuous_car, _restore_continuous_car, lambda observation: np.array([*observation, 1.0])
    ),
    AcrobotEnv: Snapshot(_capture_state, _restore_state, _acrobot_state),
    FrozenLakeEnv: _CELL,
    CliffWalkingEnv: _CELL,
    TaxiEnv: _CELL,
}
