"""The best that can be done on classic control, by value iteration on a grid of its states.

The dynamics are known, deterministic and low-dimensional, so that the optimal action values can be computed: a teacher
that no learning has made worse, and a measure of what a synthetic environment pays for. Values between grid points are
interpolated multilinearly (Davies 1997, "Multidimensional Triangulation and Interpolation for RL"); states outside
count as those at the edge. Time limits are left out: the values are those of an episode that goes on.

Shape legend: ``G`` grid points, ``D`` dimensions of a state, ``A`` actions, ``N`` observations, ``O`` observation size.
"""

from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from gymnasium import spaces
from jax.scipy.ndimage import map_coordinates

from envs.errors import unknown_name
from envs.functional_copies import functional_copy
from envs.spec import EnvSpec

_PI = float(np.pi)


class Axis(NamedTuple):
    """A dimension of the grid: a field of the environment's state, from ``low`` to ``high``, both among its points."""

    field: str
    low: float
    high: float
    num_points: int


class Grid(NamedTuple):
    """How an environment's states are laid out.

    Attributes:
        axes: one a dimension of the state.
        coordinates: observations ``[..., O]`` to ``[..., D]``.
        gamma: discount of the values.
        num_sweeps: after which they have settled.
        num_levels: actions along a Box dimension.
        start: value that all states begin with; from above, what must fail is known to after few sweeps.
    """

    axes: tuple[Axis, ...]
    coordinates: Callable[[jax.Array], jax.Array]
    gamma: float
    num_sweeps: int
    num_levels: int = 0
    start: float = 0.0


def _pendulum(observation: jax.Array) -> jax.Array:
    return jnp.stack([jnp.arctan2(observation[..., 1], observation[..., 0]), observation[..., 2]], -1)


def _acrobot(observation: jax.Array) -> jax.Array:
    first = jnp.arctan2(observation[..., 1], observation[..., 0])
    second = jnp.arctan2(observation[..., 3], observation[..., 2])
    return jnp.stack([first, second, observation[..., 4], observation[..., 5]], -1)


_CAR = (Axis("position", -1.2, 0.6, 181), Axis("velocity", -0.07, 0.07, 141))
GRIDS: dict[str, Grid] = {
    "Acrobot-v1": Grid(
        (Axis("joint_angle1", -_PI, _PI, 33), Axis("joint_angle2", -_PI, _PI, 33),
         Axis("velocity_1", -4 * _PI, 4 * _PI, 27), Axis("velocity_2", -9 * _PI, 9 * _PI, 35)),
        _acrobot, gamma=0.99, num_sweeps=150,
    ),
    "CartPole-v1": Grid(
        (Axis("x", -2.4, 2.4, 25), Axis("x_dot", -3.0, 3.0, 25), Axis("theta", -0.21, 0.21, 25),
         Axis("theta_dot", -3.0, 3.0, 25)),
        lambda observation: observation, gamma=0.99, num_sweeps=120, start=100.0,
    ),
    "MountainCar-v0": Grid(_CAR, lambda observation: observation, gamma=0.99, num_sweeps=300),
    "MountainCarContinuous-v0": Grid(_CAR, lambda observation: observation, gamma=0.999, num_sweeps=400, num_levels=9),
    "Pendulum-v1": Grid(
        (Axis("theta", -_PI, _PI, 241), Axis("theta_dot", -8.0, 8.0, 161)), _pendulum, gamma=0.99, num_sweeps=400,
        num_levels=17,
    ),
}  # fmt: skip
"""By the environment's id. A new one is one entry here."""


class OptimalQ(NamedTuple):
    """Optimal action values of an environment.

    Attributes:
        env_id: the environment.
        actions: ``[A, *]`` that are told apart; all of a Discrete space, or levels of a Box.
        values: of the grid's states under the best of them ``[*G]``.
        num_steps: model steps that were computed.
    """

    env_id: str
    actions: jax.Array
    values: jax.Array
    num_steps: int

    def at(self, observations: jax.Array) -> jax.Array:
        """Returns the values ``[N, A]`` of all actions in the states that ``observations`` ``[N, O]`` show."""
        grid = GRIDS[self.env_id]
        return _back_up(self.env_id, grid.coordinates(observations), self.actions, self.values)


@cache
def optimal_q(env_id: str) -> OptimalQ:
    """Returns the optimal action values; computed once, which takes seconds.

    Raises:
        InputError: an environment without a grid.
    """
    if env_id not in GRIDS:
        raise unknown_name("environment with optimal values", env_id, GRIDS)
    grid, env = GRIDS[env_id], functional_copy(env_id)
    actions = _actions(env.spec, grid.num_levels)
    axes = [jnp.linspace(axis.low, axis.high, axis.num_points) for axis in grid.axes]
    points = jnp.stack(jnp.meshgrid(*axes, indexing="ij"), -1)
    places, rewards, alive = _outcomes(env_id, points.reshape(-1, len(axes)), actions)

    @jax.jit
    def settled(values: jax.Array, places: jax.Array, rewards: jax.Array, alive: jax.Array) -> jax.Array:
        def sweep(values: jax.Array, _: Any) -> tuple[jax.Array, None]:
            q = rewards + grid.gamma * alive * _interpolated(values, places)
            return q.max(-1).reshape(values.shape), None

        return jax.lax.scan(sweep, values, None, grid.num_sweeps)[0]

    # As arguments: constants of millions of numbers would be folded for longer than the sweeps take.
    values = settled(jnp.full(points.shape[:-1], grid.start), places, rewards, alive)
    return OptimalQ(env_id, actions, values, rewards.size)


def _actions(spec: EnvSpec, num_levels: int) -> jax.Array:
    space = spec.action_space
    if isinstance(space, spaces.Discrete):
        return jnp.arange(int(space.n)) + int(space.start)
    assert isinstance(space, spaces.Box)
    return jnp.linspace(space.low, space.high, num_levels)


def _outcomes(env_id: str, states: jax.Array, actions: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Returns where actions ``[A, *]`` lead from states ``[N, D]``: places in the grid ``[D, N, A]``, rewards and 1
    where the episode goes on, both ``[N, A]``."""
    grid, env = GRIDS[env_id], functional_copy(env_id)
    key, params = jax.random.key(0), env.default_params
    _, template = env.reset(key, params)

    def one(state: jax.Array, action: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
        fields = {axis.field: value for axis, value in zip(grid.axes, state, strict=True)}
        observation, _, reward, ended, *_ = env.step(key, template.replace(**fields), action, params)
        return grid.coordinates(observation), reward, 1.0 - ended

    after, rewards, alive = jax.vmap(jax.vmap(one, (None, 0)), (0, None))(states, actions)
    places = [
        (after[..., i] - axis.low) / (axis.high - axis.low) * (axis.num_points - 1) for i, axis in enumerate(grid.axes)
    ]
    return jnp.stack(places), rewards, alive


def _interpolated(values: jax.Array, places: jax.Array) -> jax.Array:
    return map_coordinates(values, list(places), order=1, mode="nearest")


@jax.jit(static_argnums=0)
def _back_up(env_id: str, states: jax.Array, actions: jax.Array, values: jax.Array) -> jax.Array:
    places, rewards, alive = _outcomes(env_id, states, actions)
    return rewards + GRIDS[env_id].gamma * alive * _interpolated(values, places)


class OptimalPolicy:
    """Acts best by `OptimalQ`; a `Policy`."""

    def __init__(self, env_id: str):
        self._q = optimal_q(env_id)
        self.spec: EnvSpec = functional_copy(env_id).spec

    def initial_state(self, num_envs: int, seed: int) -> None:
        """Nothing is remembered."""

    def act(self, observations: np.ndarray, state: None) -> tuple[np.ndarray, None]:
        """Returns the best action of each row."""
        del state
        return np.asarray(self._q.actions[self._q.at(jnp.asarray(observations)).argmax(-1)]), None
