"""Training compiled whole: collection on a functional environment and an agent's update in one pure function.

The functions of `CompiledTraining` are pure and not yet jitted: the caller vmaps them over seeds (keys), over
hyperparameters, or over environment parameters (a population of synthetic environments), then jits once. For seeds,
`each_seed` does what suits the device.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from agents.agent import Agent, Learner, Memory, Params, PolicyNetworks, fresh_where, to_env_action
from agents.configs import AgentConfig
from agents.table import make_agent
from agents.training.finite import bad_step
from agents.training.rollout import EpisodeTally, Rollout
from envs.functional import EnvState, FunctionalEnv
from envs.functional import Params as EnvParams
from envs.functional_batch import restarted


class TrainState(NamedTuple):
    """Everything that a training carries from update to update.

    Attributes:
        learner: of the agent.
        env_state: states of the ``B`` environments.
        observation: what to act on next ``[B, *O]``.
        started: whether it is an episode's first ``[B]``.
        memory: of the policy ``[B, ...]``.
        tally: returns of the episodes.
        key: source of all randomness to come.
    """

    learner: Learner
    env_state: EnvState
    observation: jax.Array
    started: jax.Array
    memory: Memory
    tally: EpisodeTally
    key: jax.Array


class CompiledTraining(NamedTuple):
    """A training as pure functions.

    Attributes:
        networks: of the agent's policy.
        hyper: the numeric settings of its configuration.
        init: ``(key, env_params) -> TrainState``.
        advance: ``(state, env_params, hyper, num_updates) -> (state, metrics)``; ``num_updates`` is static and
            every metric is ``[num_updates]``; ``episode_return`` is NaN where no episode ended in an update,
            ``bad_step`` tells of numbers that are not finite (`agents.training.finite`).
        train: ``(key, env_params, hyper) -> Params``: the whole training.
    """

    networks: PolicyNetworks
    hyper: Any
    init: Callable[[jax.Array, EnvParams], TrainState]
    advance: Callable[[TrainState, EnvParams, Any, int], tuple[TrainState, dict[str, jax.Array]]]
    train: Callable[[jax.Array, EnvParams, Any], Params]


def make_compiled_training(env: FunctionalEnv, config: AgentConfig) -> CompiledTraining:
    """Returns an agent's training on ``env`` as pure functions; raises `InputError` for spaces it cannot serve."""
    agent = make_agent(env.spec, config)

    def init(key: jax.Array, env_params: EnvParams) -> TrainState:
        keys = jax.random.split(key, 2 + config.num_envs)
        key, learner_key, reset_keys = keys[0], keys[1], keys[2:]
        observation, env_state = jax.vmap(env.reset, in_axes=(0, None))(reset_keys, env_params)
        started, memory = jnp.ones(config.num_envs, bool), agent.networks.initial_memory(config.num_envs)
        tally = EpisodeTally.empty(config.num_envs)
        return TrainState(agent.init(learner_key), env_state, observation, started, memory, tally, key)

    def one_update(state: TrainState, env_params: EnvParams, hyper: Any) -> tuple[TrainState, dict[str, jax.Array]]:
        # All keys at once: a call for a few costs as much as one for thousands, to run and to compile.
        keys_of_a_step = 1 + 2 * config.num_envs
        keys = jax.random.split(state.key, 2 + config.num_steps * keys_of_a_step)
        key, update_key, collect_keys = keys[0], keys[1], keys[2:].reshape(config.num_steps, keys_of_a_step)
        state, rollout = collect(state, collect_keys, env, env_params, agent, hyper)
        learner, metrics = agent.update(state.learner, rollout, update_key, hyper)
        metrics["episode_return"] = state.tally.total / state.tally.num_episodes
        metrics["bad_step"] = bad_step(rollout)
        tally = EpisodeTally.empty(config.num_envs)._replace(running=state.tally.running)
        return state._replace(learner=learner, tally=tally, key=key), metrics

    def advance(
        state: TrainState, env_params: EnvParams, hyper: Any, num_updates: int
    ) -> tuple[TrainState, dict[str, jax.Array]]:
        return jax.lax.scan(lambda s, _: one_update(s, env_params, hyper), state, length=num_updates)

    def train(key: jax.Array, env_params: EnvParams, hyper: Any) -> Params:
        return advance(init(key, env_params), env_params, hyper, config.num_updates)[0].learner.params

    return CompiledTraining(agent.networks, agent.hyper, init, advance, train)


def each_seed(run: Callable[[Any], Any], of_seeds: Any) -> Any:
    """Returns what ``run`` makes of every seed's part of a pytree ``[S, ...]``, again ``[S, ...]``.

    On the CPU one after the other, which compiles in half the time and runs no slower than side by side.
    """
    if len(jax.tree.leaves(of_seeds)[0]) == 1:  # not even a loop, which would hold a replay buffer twice
        return jax.tree.map(lambda x: x[None], run(jax.tree.map(lambda x: x[0], of_seeds)))
    return jax.lax.map(run, of_seeds) if jax.default_backend() == "cpu" else jax.vmap(run)(of_seeds)


def collect(
    state: TrainState, keys: jax.Array, env: FunctionalEnv, env_params: EnvParams, agent: Agent, hyper: Any
) -> tuple[TrainState, Rollout]:
    """Steps every environment as the agent acts now, with ``keys`` ``[T, 1 + 2B]`` to act, to step and to reset."""
    num_envs = agent.config.num_envs

    def step(now: TrainState, keys: jax.Array) -> tuple[TrainState, tuple[jax.Array, ...]]:
        act_key, step_keys, reset_keys = keys[0], keys[1 : num_envs + 1], keys[num_envs + 1 :]
        memory = fresh_where(now.started, now.memory, agent.networks)
        action, memory = agent.act(now.learner, now.observation, memory, act_key, hyper)
        led_to, env_state, reward, terminated, truncated, _ = jax.vmap(env.step, in_axes=(0, 0, 0, None))(
            step_keys, now.env_state, to_env_action(env.spec, action), env_params
        )
        ended = terminated | truncated
        observation, env_state = restarted(env, reset_keys, ended, led_to, env_state, env_params)
        after = now._replace(env_state=env_state, observation=observation, started=ended, memory=memory)
        return after, (now.observation, action, reward, terminated, truncated, led_to)

    after, columns = jax.lax.scan(step, state, keys)
    observation, action, reward, terminated, truncated, led_to = columns
    ended = terminated | truncated
    valid, started = jnp.ones_like(ended), jnp.concatenate([state.started[None], ended[:-1]])
    rollout = Rollout(observation, action, reward, terminated, truncated, led_to, valid, started, state.memory)
    return after._replace(tally=state.tally.add(reward, ended)), rollout
