"""Synthetic environments from a teacher, without evolution.

*Bandit*: contexts lie where the observations do, by the energy distance (Szekely and Rizzo 2013), and rewards tell what
the teacher does there. *MDP*: the same, and its states follow real transitions; as the teacher's action is paid 0 and
any other less, agents need not look ahead; episodes end by the step cap alone, or agents that explore would learn to
seek the end, where no wrong action costs anything more. *Reward network*: its potential is fitted to the value of
states, the shaping that Ng et al. 1999 recommend. Each is the baseline for what evolution adds, and a start for it.

Shape legend: ``N`` observations or contexts, ``O`` observation size, ``A`` the action's shape.
"""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from gymnasium import spaces

from envs.errors import InputError
from envs.functional import Params
from envs.logs import Transitions
from envs.mlp import MLPParams, apply_mlp
from synthetic_envs.bandit import Bandit
from synthetic_envs.configs import DistillationConfig
from synthetic_envs.fitting import fit_draws, fit_outputs, minimised, scale_of, with_input_scale
from synthetic_envs.lessons import LessonFn, agreement, draw_actions, pay
from synthetic_envs.mdp import MDPParams, SyntheticMDP
from synthetic_envs.networks import apply_network
from synthetic_envs.reward_network import RewardNetwork
from synthetic_envs.target_bandit import TargetBandit
from synthetic_envs.vectors import action_vector

_LONGEST = 50
"""Steps of the episodes from which an MDP's states are taken, at most."""


class Distilled(NamedTuple):
    """What came of it.

    Attributes:
        params: of the synthetic environment.
        agreement: on states not learned from, see `synthetic_envs.lessons.agreement`; of a reward network the share of
            the values' variance that its potential explains.
    """

    params: Params
    agreement: float


def distil_bandit(
    bandit: Bandit, observations: np.ndarray, lesson_fn: LessonFn, config: DistillationConfig, seed: int
) -> Distilled:
    """Returns a bandit's parameters.

    Args:
        bandit: whose networks are fitted.
        observations: ``[N, O]``, where agents should know what to do: of the teacher, and of what strays from it.
        lesson_fn: the teacher.
        config: of the fits.
        seed: fixes everything.

    Raises:
        InputError: fewer than two observations, or an action space that is neither Discrete nor a bounded Box.
    """
    _require_teachable(bandit.spec.env_id, bandit.spec.action_space, observations)
    keys = jax.random.split(jax.random.key(seed), 5)
    start = bandit.init_params(keys[0])
    seen = jnp.asarray(observations, jnp.float32)
    state = fit_draws(lambda params, noise: apply_mlp(params, noise, "relu"), start["state"], seen, config, keys[1])
    params = {**start, "state": state}
    draw = jax.jit(jax.vmap(lambda key: bandit.reset(key, params)[0]))
    contexts = draw(jax.random.split(keys[2], config.num_contexts))

    def reward_fn(network: MLPParams, observation: jax.Array, action: jax.Array) -> jax.Array:
        return bandit.reward({"reward": network}, observation, action)

    space = bandit.spec.action_space
    if not isinstance(bandit, TargetBandit):
        reward, agreed = _fit_pay(reward_fn, start["reward"], space, contexts, lesson_fn, config, keys)
        return Distilled({**params, "reward": reward}, agreed)
    lessons, learned = jnp.asarray(lesson_fn(np.asarray(contexts))), _learned(len(contexts))
    target = fit_outputs(bandit.targets, start["reward"], contexts[:learned], lessons[:learned], config, keys[3])
    agreed = agreement(space, partial(reward_fn, target), contexts[learned:], lessons[learned:], keys[4])
    return Distilled({**params, "reward": target}, agreed)


def distil_mdp(
    mdp: SyntheticMDP, steps: Transitions, lesson_fn: LessonFn, config: DistillationConfig, seed: int
) -> Distilled:
    """Returns a synthetic MDP's parameters; arguments and errors are `distil_bandit`'s, but for real steps."""
    space, activation = mdp.spec.action_space, mdp.config.activation
    _require_teachable(mdp.spec.env_id, space, steps.observation)
    keys = jax.random.split(jax.random.key(seed), 7)
    params = dict(mdp.init_params(keys[0]))
    before, after = (jnp.asarray(rows, jnp.float32) for rows in (steps.observation, steps.next_observation))
    taken = action_vector(space, jnp.asarray(steps.action)).reshape(len(before), -1)
    inputs = jnp.concatenate([before, taken], axis=-1)

    def apply_fn(network: MLPParams, rows: jax.Array) -> jax.Array:
        return apply_network(network, rows, activation)

    told = after - before if mdp.config.predicts == "change" else after
    params["next"] = fit_outputs(apply_fn, params["next"], inputs, told, config, keys[5])
    params["end"] = _never(params["end"])
    if mdp.config.starts == "learned":
        params["start"] = fit_draws(apply_fn, params["start"], before, config, keys[1])
    visited = _visited(mdp, params, config.num_contexts, keys[2])

    def reward_fn(network: MLPParams, observation: jax.Array, action: jax.Array) -> jax.Array:
        return apply_fn(network, jnp.concatenate([observation, action_vector(space, action)], axis=-1))[..., 0]

    states = jax.random.permutation(keys[6], jnp.concatenate([before, visited]))
    params["reward"], agreed = _fit_pay(reward_fn, params["reward"], space, states, lesson_fn, config, keys)
    return Distilled(params, agreed)


def _visited(mdp: SyntheticMDP, params: MDPParams, num_states: int, key: jax.Array) -> jax.Array:
    """Returns states ``[num_states, O]`` that agents see in an MDP, where its rewards must not be left to chance.

    Each episode has a favourite action, taken every second time and else a random one, so that some go far.
    """
    num_steps = min(mdp.config.max_steps or _LONGEST, _LONGEST)
    num_episodes = -(-num_states // num_steps)
    start_key, favourite_key, *step_keys = jax.random.split(key, 2 + num_steps)
    space = mdp.spec.action_space

    def draw(key: jax.Array) -> jax.Array:
        if isinstance(space, spaces.Discrete):
            return jax.random.randint(key, (num_episodes,), 0, int(space.n)) + int(space.start)
        assert isinstance(space, spaces.Box)
        return jax.random.uniform(key, (num_episodes, *space.shape), minval=space.low, maxval=space.high)

    favourite = draw(favourite_key)

    def step(observation: jax.Array, key: jax.Array) -> tuple[jax.Array, jax.Array]:
        coin_key, action_key = jax.random.split(key)
        coin = jax.random.bernoulli(coin_key, 0.5, favourite.shape[:1]).reshape(-1, *(1,) * (favourite.ndim - 1))
        after, *_ = mdp.transition(params, observation, jnp.where(coin, favourite, draw(action_key)))
        return after, observation

    first = jax.vmap(lambda key: mdp.reset(key, params)[0])(jax.random.split(start_key, num_episodes))
    _, seen = jax.jit(lambda first: jax.lax.scan(step, first, jnp.stack(step_keys)))(first)
    return seen.reshape(-1, first.shape[-1])[:num_states]


def _never(params: MLPParams) -> MLPParams:
    """Returns a network that says 0 to everything, far below `synthetic_envs.mdp.END_THRESHOLD`."""
    last = str(len(params) - 1)
    return {**params, last: jax.tree.map(jnp.zeros_like, params[last])}


def distil_potential(
    network: RewardNetwork, observations: np.ndarray, values: np.ndarray, config: DistillationConfig, seed: int
) -> Distilled:
    """Returns the parameters of a potential-based reward network.

    Args:
        network: whose potential is fitted.
        observations: ``[N, O]``, before each of which an episode went on.
        values: of them ``[N]``: what is still to be earned, discounted as the network's own ``gamma`` says.
        config: of the fit.
        seed: fixes everything.

    Raises:
        InputError: a reward that is no potential's, fewer than two observations.
    """
    if network.config.kind != "potential":
        raise InputError(f"expected a reward network of the potential kind to distil, got {network.config.kind}")
    _require_teachable(network.spec.env_id, network.spec.action_space, observations)
    init_key, order_key, fit_key = jax.random.split(jax.random.key(seed), 3)
    order = jax.random.permutation(order_key, len(observations))
    seen = jnp.asarray(observations, jnp.float32)[order]
    told = jnp.asarray(values, jnp.float32)[order]
    learned = _learned(len(seen))
    start = network.init_params(init_key)["potential"]

    def apply_fn(params: MLPParams, rows: jax.Array) -> jax.Array:
        return network.potential({"potential": params}, rows)[..., None]

    fitted = fit_outputs(apply_fn, start, seen[:learned], told[:learned, None], config, fit_key)
    error = apply_fn(fitted, seen[learned:])[..., 0] - told[learned:]
    return Distilled({"potential": fitted}, 1.0 - float((error**2).mean() / (told[learned:].var() + 1e-12)))


def _require_teachable(env_id: str, space: spaces.Space, observations: np.ndarray) -> None:
    if len(observations) < 2:
        raise InputError(f"expected at least 2 observations to place states by, got {len(observations)}")
    if isinstance(space, spaces.Box) and not space.is_bounded():
        raise InputError(f"expected Discrete or bounded actions to distil, {env_id} has {space}")


def _learned(num_rows: int) -> int:
    """How many of the rows are learned from; the rest measure."""
    return max(num_rows - num_rows // 10, 1)


def _fit_pay(
    reward_fn: Callable[[MLPParams, jax.Array, jax.Array], jax.Array],
    start: MLPParams,
    space: spaces.Space,
    states: jax.Array,
    lesson_fn: LessonFn,
    config: DistillationConfig,
    keys: jax.Array,
) -> tuple[MLPParams, float]:
    """Returns a reward network that pays by the teacher's lessons in states ``[N, O]``, and its agreement."""
    lessons, learned = jnp.asarray(lesson_fn(np.asarray(states))), _learned(len(states))
    scale = scale_of(states)
    scaled = scale.apply(states)

    def loss(params: MLPParams, key: jax.Array) -> jax.Array:
        row_key, action_key = jax.random.split(key)
        rows = jax.random.randint(row_key, (config.batch_size,), 0, learned)
        actions = draw_actions(space, lessons[rows], action_key)
        return ((reward_fn(params, scaled[rows], actions) - pay(space, actions, lessons[rows])) ** 2).mean()

    fitted = with_input_scale(minimised(loss, start, config.reward_steps, config, keys[3]), scale)
    agreed = agreement(space, lambda *told: reward_fn(fitted, *told), states[learned:], lessons[learned:], keys[4])
    return fitted, agreed
