"""A bandit from a teacher, without evolution: contexts lie where the teacher goes, rewards tell what it does there.

The context network is fitted to observations by the energy distance (Szekely and Rizzo 2013), the reward network to the
teacher's choice in contexts that the first one draws: 1 for its Discrete action and 0 for the others, or minus the
squared distance to its Box action, in half ranges. Whoever learns the bandit learns to act as the teacher. It is the
baseline for what evolution adds, and a start for it.

Shape legend: ``N`` observations or contexts, ``O`` observation size, ``A`` the action's shape.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from gymnasium import spaces

from envs.errors import InputError
from envs.mlp import MLPParams, apply_mlp
from synthetic_envs.bandit import Bandit, BanditParams
from synthetic_envs.configs import DistillationConfig

TeachFn = Callable[[np.ndarray], np.ndarray]
"""The teacher's actions ``[N, *A]`` for observations ``[N, O]``."""
_NEAR = 0.2
"""Spread, in half ranges, of the actions drawn around the teacher's: where rewards must be told apart most finely."""


class Distilled(NamedTuple):
    """What came of it.

    Attributes:
        params: of the bandit.
        agreement: on contexts not learned from, the share in which the best-paid action is the teacher's; for Box
            actions 1 less their mean distance in half ranges, the best of 256 draws standing for the best-paid one.
    """

    params: BanditParams
    agreement: float


def distil(
    bandit: Bandit, observations: np.ndarray, teach: TeachFn, config: DistillationConfig, seed: int
) -> Distilled:
    """Returns a bandit's parameters.

    Args:
        bandit: whose networks are fitted.
        observations: ``[N, O]``, where agents should know what to do: of the teacher, and of what strays from it.
        teach: the teacher.
        config: of the fits.
        seed: fixes everything.

    Raises:
        InputError: fewer than two observations, or an action space that is neither Discrete nor a bounded Box.
    """
    if len(observations) < 2:
        raise InputError(f"expected at least 2 observations to place contexts by, got {len(observations)}")
    space = bandit.spec.action_space
    if isinstance(space, spaces.Box) and not space.is_bounded():
        raise InputError(f"expected Discrete or bounded actions to distil, {bandit.spec.env_id} has {space}")
    keys = jax.random.split(jax.random.key(seed), 5)
    start = bandit.init_params(keys[0])
    seen = jnp.asarray(observations, jnp.float32)
    params = {**start, "state": fit_contexts(start["state"], seen, config, keys[1])}
    contexts = jax.jit(jax.vmap(lambda key: bandit.reset(key, params)[0]))(
        jax.random.split(keys[2], config.num_contexts)
    )
    told = jnp.asarray(teach(np.asarray(contexts)))
    learned = len(contexts) - len(contexts) // 10
    reward = fit_rewards(bandit, start["reward"], contexts[:learned], told[:learned], config, keys[3])
    params = {**params, "reward": reward}
    return Distilled(params, agreement(bandit, params, contexts[learned:], told[learned:], keys[4]))


def fit_contexts(params: MLPParams, observations: jax.Array, config: DistillationConfig, key: jax.Array) -> MLPParams:
    """Returns a context network whose outputs are distributed as ``observations`` ``[N, O]``, ``spread`` times as far.

    It is fitted in standard deviations, so that all dimensions count alike, and then told the unit.
    """
    mean, deviation = _moments(observations)
    normalised, size = (observations - mean) / deviation, observations.shape[1]

    def loss(params: MLPParams, key: jax.Array) -> jax.Array:
        noise_key, row_key = jax.random.split(key)
        drawn = apply_mlp(params, jax.random.normal(noise_key, (config.batch_size, size)), "relu")
        rows = jax.random.randint(row_key, (config.batch_size,), 0, len(normalised))
        return energy_distance(drawn, normalised[rows])

    fitted = _minimised(loss, params, config.context_steps, config, key)
    last = str(len(fitted) - 1)
    layer = fitted[last]
    scale = config.spread * deviation
    return {**fitted, last: {"w": layer["w"] * scale, "b": layer["b"] * scale + mean}}


def energy_distance(left: jax.Array, right: jax.Array) -> jax.Array:
    """Returns ``2 E|X - Y| - E|X - X'| - E|Y - Y'|`` of samples ``[N, O]`` and ``[N, O]``; 0 where they are alike."""
    return 2.0 * _mean_distance(left, right) - _mean_distance(left, left) - _mean_distance(right, right)


def _mean_distance(left: jax.Array, right: jax.Array) -> jax.Array:
    squared = ((left[:, None] - right[None, :]) ** 2).sum(-1)
    return jnp.sqrt(squared + 1e-8).mean()


def _moments(rows: jax.Array) -> tuple[jax.Array, jax.Array]:
    return rows.mean(0), rows.std(0) + 1e-6


def fit_rewards(
    bandit: Bandit,
    params: MLPParams,
    contexts: jax.Array,
    told: jax.Array,
    config: DistillationConfig,
    key: jax.Array,
) -> MLPParams:
    """Returns a reward network that pays for the teacher's actions ``[N, *A]`` in ``contexts`` ``[N, O]``.

    It is fitted to contexts in standard deviations, and then told the unit.
    """
    mean, deviation = _moments(contexts)
    normalised = (contexts - mean) / deviation

    def loss(params: MLPParams, key: jax.Array) -> jax.Array:
        row_key, action_key = jax.random.split(key)
        rows = jax.random.randint(row_key, (config.batch_size,), 0, len(contexts))
        actions = _draw_actions(bandit.spec.action_space, told[rows], action_key)
        found = bandit.reward({"reward": params}, normalised[rows], actions)
        return ((found - pay(bandit.spec.action_space, actions, told[rows])) ** 2).mean()

    fitted = _minimised(loss, params, config.reward_steps, config, key)
    layer, size = fitted["0"], contexts.shape[1]
    weights = layer["w"].at[:size].divide(deviation[:, None])
    return {**fitted, "0": {"w": weights, "b": layer["b"] - mean @ weights[:size]}}


def pay(space: spaces.Space, action: jax.Array, told: jax.Array) -> jax.Array:
    """Returns what an action ``[..., *A]`` should be paid where the teacher takes ``told`` ``[..., *A]``."""
    if isinstance(space, spaces.Discrete):
        return (action == told).astype(jnp.float32)
    return -(((action - told) / _half_range(space)) ** 2).mean(-1)


def _half_range(space: spaces.Space) -> jax.Array:
    assert isinstance(space, spaces.Box)
    return jnp.asarray((space.high - space.low) / 2)


def _draw_actions(space: spaces.Space, told: jax.Array, key: jax.Array) -> jax.Array:
    """Uniform Discrete actions; of a Box every second one near the teacher's."""
    if isinstance(space, spaces.Discrete):
        return jax.random.randint(key, told.shape, 0, int(space.n)) + int(space.start)
    assert isinstance(space, spaces.Box)
    uniform_key, near_key = jax.random.split(key)
    uniform = jax.random.uniform(uniform_key, told.shape, minval=space.low, maxval=space.high)
    near = told + _NEAR * _half_range(space) * jax.random.normal(near_key, told.shape)
    every_second = (jnp.arange(len(told)) % 2 == 0)[:, None]
    return jnp.clip(jnp.where(every_second, uniform, near), space.low, space.high)


def agreement(bandit: Bandit, params: BanditParams, contexts: jax.Array, told: jax.Array, key: jax.Array) -> float:
    """See `Distilled`."""
    space = bandit.spec.action_space
    if isinstance(space, spaces.Discrete):
        actions = jnp.arange(int(space.n)) + int(space.start)
    else:
        assert isinstance(space, spaces.Box)
        actions = jax.random.uniform(key, (256, *space.shape), minval=space.low, maxval=space.high)
    paid = jax.vmap(lambda action: bandit.reward(params, contexts, jnp.broadcast_to(action, told.shape)))(actions)
    best = actions[paid.argmax(0)]
    if isinstance(space, spaces.Discrete):
        return float((best == told).mean())
    return 1.0 - float(jnp.abs((best - told) / _half_range(space)).mean())


def _minimised(
    loss: Callable[[MLPParams, jax.Array], jax.Array],
    params: MLPParams,
    num_steps: int,
    config: DistillationConfig,
    key: jax.Array,
) -> MLPParams:
    """Returns parameters after steps of Adam whose rate falls to 0 along a cosine."""
    optimiser = optax.adam(optax.cosine_decay_schedule(config.learning_rate, num_steps))

    def step(carry: tuple[MLPParams, Any], key: jax.Array) -> tuple[tuple[MLPParams, Any], None]:
        params, state = carry
        updates, state = optimiser.update(jax.grad(loss)(params, key), state)
        return (optax.apply_updates(params, updates), state), None

    def run(params: MLPParams, key: jax.Array) -> MLPParams:
        return jax.lax.scan(step, (params, optimiser.init(params)), jax.random.split(key, num_steps))[0][0]

    fitted: MLPParams = jax.jit(run)(params, key)
    return fitted
