"""What evolution does with one candidate: agents are trained inside it and measured on the real dynamics.

Shape legend: ``N`` agents trained in a candidate, ``K`` points of a learning curve, ``E`` episodes.
"""

import jax
import jax.numpy as jnp

from agents.table import name_of
from agents.training.compiled import make_compiled_training
from envs.errors import InputError
from envs.functional import FunctionalEnv
from envs.functional import Params as EnvParams
from experiments.evolve_configs import FitnessConfig, InnerAgent
from experiments.greedy_return import make_greedy_return
from experiments.hyperparameter_ranges import RANGES, sample_hyperparameters
from synthetic_envs.evolution import MemberFn, Outcome

_STAGES = 4


def make_member_fn(
    candidate: FunctionalEnv, real: FunctionalEnv, inner: InnerAgent, fitness: FitnessConfig
) -> MemberFn:
    """Returns what trains agents in a candidate and measures them.

    Args:
        candidate: the synthetic environment, whose parameters are evolved.
        real: the real environment's dynamics.
        inner: the agent.
        fitness: how its real returns become one number.

    Raises:
        InputError: an agent that cannot serve the spaces, or whose settings cannot be sampled.
    """
    training, algorithm = make_compiled_training(candidate, inner.agent), name_of(inner.agent)
    if inner.sampled and algorithm not in RANGES:
        raise InputError(f"settings of {inner.agent.label} cannot be sampled; of these they can: {', '.join(RANGES)}")
    measure = make_greedy_return(real, training.networks, fitness.num_episodes)
    parts = _parts(inner.agent.num_updates, fitness.num_points if fitness.kind == "area" else 1)

    def one_agent(key: jax.Array, params: EnvParams, limit: jax.Array) -> tuple[jax.Array, jax.Array]:
        train_key, hyper_key, *score_keys = jax.random.split(key, 2 + len(parts))
        hyper = sample_hyperparameters(hyper_key, algorithm, training.hyper) if inner.sampled else training.hyper
        state, returns, steps = training.init(train_key, params), [], jnp.int32(0)
        for num_updates, score_key in zip(parts, score_keys, strict=True):
            state, _ = training.advance(state, params, hyper, num_updates)
            mean, taken = measure(score_key, state.learner.params, limit)
            returns.append(mean)
            steps += taken
        return jnp.stack(returns), steps

    def member(key: jax.Array, params: EnvParams, generation: jax.Array) -> Outcome:
        limit = horizon_at(generation, fitness, real.spec.max_episode_steps or 1000)
        keys = jax.random.split(key, fitness.num_agents)
        returns, steps = jax.vmap(one_agent, in_axes=(0, None, None))(keys, params, limit)
        return Outcome(as_fitness(returns, fitness), returns[:, -1].mean(), steps.sum())

    return member


def as_fitness(returns: jax.Array, config: FitnessConfig) -> jax.Array:
    """Returns one number for the mean real returns of ``N`` agents at ``K`` points of their training ``[N, K]``."""
    final = returns[:, -1]
    if config.kind == "area":
        return returns.mean()
    if config.kind == "worst":
        return final.min()
    return final.mean() - (config.caution * final.std() if config.kind == "cautious" else 0.0)


def horizon_at(generation: jax.Array, config: FitnessConfig, longest: int) -> jax.Array:
    """Returns the steps that an episode may last in a generation, int32."""
    if config.horizon == "full":
        return jnp.int32(longest)
    done = jnp.minimum(generation / config.growing_generations, 1.0)
    done = jnp.floor(_STAGES * done) / _STAGES if config.horizon == "staged" else done
    first = min(config.first_horizon, longest)
    return (first + done * (longest - first)).astype(jnp.int32)


def _parts(num_updates: int, num_points: int) -> list[int]:
    """Returns the updates of each part of a training that is measured after each of them."""
    ends = [num_updates * (i + 1) // num_points for i in range(num_points)]
    return [end - start for start, end in zip([0, *ends], ends, strict=False)]
