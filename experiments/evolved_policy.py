"""A policy that an evolution strategy trains in an environment, without a gradient (Salimans et al. 2017).

All that it learns from is the mean return of whole policies, so it judges an environment that was made for agents with
gradients as none of them can. The members of a generation play the same episodes, which are drawn anew in the next.

Shape legend: ``P`` population.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from agents.agent import Params
from agents.table import make_networks
from envs.functional import FunctionalEnv
from envs.functional import Params as EnvParams
from envs.functional_evaluate import episode_returns
from experiments.evolve_configs import EvolvedPolicyConfig
from experiments.greedy_return import greedily
from synthetic_envs.strategies import StrategyState, make_strategy

TrainFn = Callable[[jax.Array, EnvParams], tuple[Params, jax.Array]]
"""``(key, params of the environment) -> (params of the policy, steps taken)``, pure."""


class _Search(NamedTuple):
    strategy: StrategyState
    key: jax.Array
    steps: jax.Array


def make_evolved_policy(env: FunctionalEnv, config: EvolvedPolicyConfig) -> TrainFn:
    """Returns what trains the policy; raises `InputError` for spaces that its networks cannot serve."""
    networks = make_networks(env.spec, config.policy)
    strategy = make_strategy(config.search, networks.init(jax.random.key(0))["actor"])

    def train(key: jax.Array, env_params: EnvParams) -> tuple[Params, jax.Array]:
        init_key, strategy_key, key = jax.random.split(key, 3)
        params = networks.init(init_key)

        def mean_return(key: jax.Array, actor: Params) -> tuple[jax.Array, jax.Array]:
            act, memory = greedily(env.spec, networks, {**params, "actor": actor}, config.num_episodes)
            returns, lengths = episode_returns(env, env_params, act, key, config.num_episodes, memory)
            return returns.mean(), lengths.sum()

        def generation(now: _Search) -> _Search:
            key, ask_key, episodes_key, tell_key = jax.random.split(now.key, 4)
            population, asked = strategy.ask(ask_key, now.strategy)
            fitness, steps = jax.vmap(mean_return, in_axes=(None, 0))(episodes_key, population)
            return _Search(strategy.tell(tell_key, population, fitness, asked), key, now.steps + steps.sum())

        start = _Search(strategy.init(strategy_key, params["actor"]), key, jnp.int32(0))
        end = jax.lax.while_loop(lambda now: now.steps < config.total_steps, generation, start)
        return {**params, "actor": strategy.centre(end.strategy)}, end.steps

    return train
