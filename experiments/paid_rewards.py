"""What a synthetic environment pays over the state space, against what is best on the real environment.

Shape legend: ``N`` states, ``O`` observation size, ``A`` actions that are told apart, ``G`` grid points an axis.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from gymnasium import spaces

from envs.errors import require
from envs.functional import Params
from envs.spec import EnvSpec
from experiments.optimal_q import GRIDS, optimal_q
from synthetic_envs.bandit import Bandit
from synthetic_envs.mdp import SyntheticMDP
from synthetic_envs.reward_network import RewardNetwork
from synthetic_envs.synthetic_env import SyntheticEnv
from worldmodels.quality.correlation import spearman

_LEVELS = 17
"""Actions along a Box of one dimension."""
_TIE = 1e-4
"""Differences of optimal values below this share of the largest value are rounding."""


class Agreement(NamedTuple):
    """How well what is paid best is best.

    Attributes:
        share: of the states in which the best-paid action is an optimal one; where actions are levels of a Box, 1 less
            the mean distance of the two in half ranges.
        weighted: 1 less what the best-paid actions lose, as a share of what the worst actions lose: states count by
            what is at stake in them.
        counted: share of the states that count: in the others all actions are worth the same.
    """

    share: float
    weighted: float
    counted: float


class Compared(NamedTuple):
    """What is paid against the optimal values.

    Attributes:
        own: of pay for actions in the environment's own states; None for a potential, or where no state counts.
        real: the same in states of the real environment.
        rank_correlation: Spearman's, of a potential with the optimal value; None where it is not defined.
    """

    own: Agreement | None = None
    real: Agreement | None = None
    rank_correlation: float | None = None


class RewardMap(NamedTuple):
    """What is paid and what is best over two numbers of the observation.

    Attributes:
        axes: which two.
        x: values of the first ``[G]``.
        y: values of the second ``[G]``.
        paid: ``[G, G]``, rows along ``y``.
        optimal: the same of the optimal values; None where they are not known.
        shown: what the numbers are: "difference" of the last action's and the first's, "action" that is best, or
            "value" of the state.
    """

    axes: tuple[int, int]
    x: np.ndarray
    y: np.ndarray
    paid: np.ndarray
    optimal: np.ndarray | None
    shown: str


def pays_by_state(env: SyntheticEnv) -> bool:
    """Whether what it pays follows from a state (and an action) alone, so that it can be shown."""
    return not isinstance(env, RewardNetwork) or env.config.kind == "potential"


def compared_actions(spec: EnvSpec) -> jax.Array:
    """Returns actions ``[A, *]``: all Discrete ones, levels of a Box of one dimension, or bounds of a larger."""
    if spec.env_id in GRIDS:
        return optimal_q(spec.env_id).actions
    space = spec.action_space
    if isinstance(space, spaces.Discrete):
        return jnp.arange(int(space.n)) + int(space.start)
    assert isinstance(space, spaces.Box)
    return jnp.linspace(space.low, space.high, _LEVELS if space.shape == (1,) else 2)


def paid(env: SyntheticEnv, params: Params, states: jax.Array, actions: jax.Array) -> jax.Array:
    """Returns what ``env`` pays for actions ``[A, *]`` in states ``[N, O]``, ``[N, A]``; a potential ``[N, 1]``."""
    if isinstance(env, RewardNetwork):
        return env.potential(params, states)[:, None]
    assert isinstance(env, Bandit | SyntheticMDP)

    def of(action: jax.Array) -> jax.Array:
        repeated = jnp.broadcast_to(action, (len(states), *action.shape))
        if isinstance(env, Bandit):
            return env.reward(params, states, repeated)
        return env.transition(params, states, repeated)[1]

    return jnp.stack([of(action) for action in actions], -1)


def compared_with_optimal(env: SyntheticEnv, params: Params, own: np.ndarray, real: np.ndarray) -> Compared:
    """Compares what ``env`` pays with the optimal values, in its ``own`` states ``[N, O]`` and in ``real`` ones.

    Raises:
        InputError: an environment without optimal values.
    """
    q, actions = optimal_q(env.spec.env_id), compared_actions(env.spec)

    def both(states: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        rows = jnp.asarray(states)
        return np.asarray(paid(env, params, rows, actions)), np.asarray(q.at(rows))

    if isinstance(env, RewardNetwork):
        found, best = both(own)
        return Compared(rank_correlation=spearman(found[:, 0], best.max(1)))
    levels = np.asarray(actions) if actions.ndim > 1 else None
    return Compared(agreement(*both(own), levels), agreement(*both(real), levels))


def agreement(found: np.ndarray, optimal: np.ndarray, actions: np.ndarray | None = None) -> Agreement | None:
    """Compares what is paid ``[N, A]`` with optimal values ``[N, A]``; None where no state counts.

    ``actions`` ``[A, 1]`` are levels of a Box, None for Discrete ones.
    """
    stake, tie = optimal.max(1) - optimal.min(1), _TIE * np.abs(optimal).max()
    counts = stake > tie
    if not counts.any():
        return None
    found, optimal = found[counts], optimal[counts]
    chosen = found.argmax(1)
    regret = optimal.max(1) - optimal[np.arange(len(chosen)), chosen]
    share = (regret <= tie).mean()
    if actions is not None:
        apart = np.abs(actions[chosen] - actions[optimal.argmax(1)]).mean()
        share = 1.0 - 2.0 * apart / (actions.max() - actions.min())
    return Agreement(float(share), float(1.0 - regret.sum() / stake[counts].sum()), float(counts.mean()))


def telling_axes(env: SyntheticEnv, params: Params, states: np.ndarray, seed: int = 0) -> tuple[int, int]:
    """Returns the two numbers of the observation that decide most: what is shown changes most where one is shuffled.

    The optimal values decide where they are known, else what is paid. ``states`` are ``[N, O]``.
    """
    generator, actions = np.random.default_rng(seed), compared_actions(env.spec)

    def value(rows: np.ndarray) -> np.ndarray:
        known = env.spec.env_id in GRIDS
        given = jnp.asarray(rows)
        both = optimal_q(env.spec.env_id).at(given) if known else paid(env, params, given, actions)
        return np.asarray(both[:, -1] - both[:, 0] if both.shape[1] > 1 else both[:, 0])

    before, changes = value(states), []
    for axis in range(states.shape[1]):
        shuffled = states.copy()
        shuffled[:, axis] = generator.permutation(states[:, axis])
        changes.append(((value(shuffled) - before) ** 2).mean())
    first, second = sorted(np.argsort(changes)[-2:])
    return int(first), int(second)


def require_axes(axes: tuple[int, int], spec: EnvSpec) -> None:
    """Raises `InputError` unless ``axes`` are two different numbers of the observation."""
    size = spaces.utils.flatdim(spec.observation_space)
    fit = axes[0] != axes[1] and all(0 <= axis < size for axis in axes)
    require(fit, "axes", f"to be two different numbers of the observation, from 0 to {size - 1}", axes)


def reward_map(
    env: SyntheticEnv, params: Params, states: np.ndarray, axes: tuple[int, int], num_points: int = 60
) -> RewardMap:
    """Returns what is paid over ``axes``, other numbers at their median; real ``states`` ``[N, O]`` set the ranges."""
    low, high = np.percentile(states[:, axes], [0.5, 99.5], axis=0)
    x, y = (np.linspace(low[i], high[i], num_points, dtype=np.float32) for i in range(2))
    grid = np.tile(np.median(states, axis=0).astype(np.float32), (num_points, num_points, 1))
    grid[..., axes[0]], grid[..., axes[1]] = x[None, :], y[:, None]
    rows, actions = jnp.asarray(grid.reshape(-1, grid.shape[-1])), compared_actions(env.spec)
    found = np.asarray(paid(env, params, rows, actions))
    shown = "value" if found.shape[1] == 1 else "difference" if found.shape[1] == 2 else "action"
    known = env.spec.env_id in GRIDS
    best = _shown(np.asarray(optimal_q(env.spec.env_id).at(rows)), shown, actions) if known else None
    shape = (num_points, num_points)
    return RewardMap(
        axes, x, y, _shown(found, shown, actions).reshape(shape), best if best is None else best.reshape(shape), shown
    )


def _shown(values: np.ndarray, shown: str, actions: Any) -> np.ndarray:
    """Returns what is shown ``[N]`` of the values ``[N, A]`` of all actions."""
    match shown:
        case "value":
            return values.max(1)
        case "difference":
            return values[:, -1] - values[:, 0]
    return np.asarray(actions).reshape(len(actions))[values.argmax(1)]
