"""Training compiled whole: collection on a functional environment and an agent's update in one pure function.

The functions of `CompiledTraining` are pure and not yet jitted: the caller vmaps them over seeds (keys), over
hyperparameters, or over environment parameters (a population of synthetic environments), then jits once.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from agents.agent import Agent, Learner, Memory, Params, PolicyNetworks, fresh_where, to_env_action
from agents.configs import AgentConfig
from agents.table import make_agent
from agents.training.rollout import EpisodeTally, Rollout
from envs.functional import EnvState, FunctionalEnv, step_auto_reset
from envs.functional import Params as EnvParams


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
            every metric is ``[num_updates]``; ``episode_return`` is NaN where no episode ended in an update.
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
        learner_key, reset_key, key = jax.random.split(key, 3)
        reset_keys = jax.random.split(reset_key, config.num_envs)
        observation, env_state = jax.vmap(env.reset, in_axes=(0, None))(reset_keys, env_params)
        started, memory = jnp.ones(config.num_envs, bool), agent.networks.initial_memory(config.num_envs)
        tally = EpisodeTally.empty(config.num_envs)
        return TrainState(agent.init(learner_key), env_state, observation, started, memory, tally, key)

    def one_update(state: TrainState, env_params: EnvParams, hyper: Any) -> tuple[TrainState, dict[str, jax.Array]]:
        collect_key, update_key, key = jax.random.split(state.key, 3)
        state, rollout = collect(state._replace(key=collect_key), env, env_params, agent, hyper)
        learner, metrics = agent.update(state.learner, rollout, update_key, hyper)
        metrics = {**metrics, "episode_return": state.tally.total / state.tally.num_episodes}
        tally = EpisodeTally.empty(config.num_envs)._replace(running=state.tally.running)
        return state._replace(learner=learner, tally=tally, key=key), metrics

    def advance(
        state: TrainState, env_params: EnvParams, hyper: Any, num_updates: int
    ) -> tuple[TrainState, dict[str, jax.Array]]:
        return jax.lax.scan(lambda s, _: one_update(s, env_params, hyper), state, length=num_updates)

    def train(key: jax.Array, env_params: EnvParams, hyper: Any) -> Params:
        return advance(init(key, env_params), env_params, hyper, config.num_updates)[0].learner.params

    return CompiledTraining(agent.networks, agent.hyper, init, advance, train)


def collect(
    state: TrainState, env: FunctionalEnv, env_params: EnvParams, agent: Agent, hyper: Any
) -> tuple[TrainState, Rollout]:
    """Steps every environment ``config.num_steps`` times as the agent acts now."""
    config, memory_before = agent.config, state.memory
    valid = jnp.ones(config.num_envs, bool)

    def step(state: TrainState, key: jax.Array) -> tuple[TrainState, Rollout]:
        act_key, step_key = jax.random.split(key)
        memory = fresh_where(state.started, state.memory, agent.networks)
        action, memory = agent.act(state.learner, state.observation, memory, act_key, hyper)
        step_keys = jax.random.split(step_key, config.num_envs)
        after = jax.vmap(lambda k, s, a: step_auto_reset(env, k, s, a, env_params))(
            step_keys, state.env_state, to_env_action(env.spec, action)
        )
        rollout = Rollout(
            state.observation, action, after.reward, after.terminated, after.truncated, after.final_observation,
            valid, state.started,
        )  # fmt: skip
        ended = after.terminated | after.truncated
        tally = state.tally.add(after.reward, ended)
        state = state._replace(
            env_state=after.state, observation=after.observation, started=ended, memory=memory, tally=tally
        )
        return state, rollout

    state, rollout = jax.lax.scan(step, state, jax.random.split(state.key, config.num_steps))
    return state, rollout._replace(memory=memory_before)
