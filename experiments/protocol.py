"""What a synthetic environment is worth: fresh agents with drawn settings trained in it, judged on the real one.

The protocol of Liesen et al. 2024: 20 agents of each algorithm with 64 x 64 units and numeric settings drawn from
`experiments.hyperparameter_ranges` learn for 10,000 steps in the environment; the final greedy policy of each runs 10
episodes of Gymnasium's own. What carries over to agents that no evolution sees is judged in the same way.
"""

import time
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from gymnasium import spaces

from agents.agent import Params as AgentParams
from agents.agent_policy import AgentPolicy
from agents.configs import AgentConfig
from agents.table import algorithms_for, name_of
from agents.training.compiled import each_seed, make_compiled_training
from envs.errors import unknown_name
from envs.evaluate import evaluate
from envs.functional import Params
from envs.spec import spec_of
from experiments.evolve_configs import EvolvedPolicyConfig, InnerAgent
from experiments.evolved_policy import TrainFn, make_evolved_policy
from experiments.hyperparameter_ranges import sample_hyperparameters
from experiments.inner_agents import INNER_AGENTS, UNSEEN_AGENTS
from experiments.statistics import bootstrap_interval, interquartile_mean
from experiments.suited_agents import suited
from synthetic_envs.synthetic_env import SyntheticEnv

NUM_AGENTS = 20
FIRST_SEED = 1000
"""Of the agents that judge; evolution and teachers use seeds from 0 on."""
NUM_EPISODES = 10


def judges_for(env: SyntheticEnv) -> list[str]:
    """Returns the algorithms that can judge an environment."""
    return [name for name in algorithms_for(env.spec) if name in INNER_AGENTS]


def transfer_judges_for(env: SyntheticEnv) -> list[str]:
    """Returns those of the agents that no evolution sees that can serve an environment's spaces."""
    able = algorithms_for(env.spec)
    return [name for name, one in UNSEEN_AGENTS.items() if name_of(_agent_config(one)) in able]


def transfer_table(
    env: SyntheticEnv, params: Params, num_agents: int = NUM_AGENTS, num_episodes: int = NUM_EPISODES
) -> list[dict[str, Any]]:
    """Returns what agents that no evolution sees reach, a row of `judged` each."""
    names = transfer_judges_for(env)
    return [judged(env, params, name, num_agents, num_episodes=num_episodes) for name in names]


def transfer_lines(rows: list[dict[str, Any]]) -> list[str]:
    """Returns a table of transfer as lines of text; none of a card that has no table."""
    lines = ["  agents that no evolution sees:"] if rows else []
    for row in rows:
        low, high = row["interval"]
        worth = f"mean {row['mean']:>7.1f}   worst {row['worst']:>7.1f}   interquartile mean {row['iqm']:>7.1f}"
        lines.append(f"  {row['agent']:<12} {row['steps']:>9,} steps   {worth} [{low:.1f}, {high:.1f}]")
    return lines


def judged(
    env: SyntheticEnv,
    params: Params,
    name: str,
    num_agents: int = NUM_AGENTS,
    first_seed: int = FIRST_SEED,
    num_episodes: int = NUM_EPISODES,
) -> dict[str, Any]:
    """Returns what agents of one algorithm reach, as JSON.

    Args:
        env: the synthetic environment.
        params: its parameters.
        name: a key of `experiments.inner_agents.INNER_AGENTS` or `UNSEEN_AGENTS`.
        num_agents: trained, each with settings of its own.
        first_seed: of the agents.
        num_episodes: real ones that judge each agent, the same for all.

    Returns:
        ``agent``, ``steps`` of each and ``agents``; of the agents' mean real returns the ``mean``, the ``worst``, the
        ``iqm`` (interquartile mean), its 95% ``interval`` and all ``scores``; ``cpu_seconds`` of training them.
    """
    config, train = _training(env, judge_named(name, env.spec.action_space))
    scores, steps, cpu = _real_scores(
        env, params, config, train, range(first_seed, first_seed + num_agents), num_episodes
    )
    return {
        "agent": name,
        "steps": round(float(steps.mean())),
        "agents": num_agents,
        "mean": round(float(scores.mean()), 1),
        "worst": round(float(scores.min()), 1),
        "iqm": round(float(interquartile_mean(scores)), 1),
        "interval": [round(end, 1) for end in bootstrap_interval(scores)],
        "cpu_seconds": round(cpu),
        "scores": [round(float(one), 1) for one in scores],
    }


def verified_return(env: SyntheticEnv, params: Params, inner: InnerAgent, num_agents: int = 10) -> float:
    """Returns the mean real return of fresh agents of the kind that an evolution trained, as Gymnasium has it."""
    config, train = _training(env, inner.agent, inner.sampled)
    scores, *_ = _real_scores(env, params, config, train, range(FIRST_SEED, FIRST_SEED + num_agents))
    return float(scores.mean())


def _real_scores(
    env: SyntheticEnv,
    params: Params,
    config: AgentConfig,
    train: TrainFn,
    seeds: range,
    num_episodes: int = NUM_EPISODES,
) -> tuple[np.ndarray, np.ndarray, float]:
    """Returns the mean real return of each seed's agent, the steps it was trained for, and CPU-seconds of training."""
    spec, cpu = spec_of(env.spec.env_id), time.process_time()
    train_all = jax.jit(lambda seeds: each_seed(lambda seed: train(jax.random.key(seed), params), seeds))
    trained, steps = jax.tree.map(np.asarray, train_all(np.array(seeds, np.uint32)))
    cpu = time.process_time() - cpu
    policies = [AgentPolicy(spec, config, jax.tree.map(lambda x: x[row], trained)) for row in range(len(seeds))]  # noqa: B023
    scores = np.array([evaluate(policy, spec.env_id, num_episodes).returns.mean() for policy in policies])
    return scores, steps, cpu


def judge_named(name: str, action_space: spaces.Space) -> AgentConfig | EvolvedPolicyConfig:
    """Returns the judge of that name for an action space; raises `InputError` with the nearest names."""
    judges = {**INNER_AGENTS, **UNSEEN_AGENTS}
    if name not in judges:
        raise unknown_name("agent to judge by", name, judges)
    judge = judges[name]
    return judge if isinstance(judge, EvolvedPolicyConfig) else suited(judge, action_space)


def _agent_config(judge: AgentConfig | EvolvedPolicyConfig) -> AgentConfig:
    """Returns the settings that say what a judge's networks are."""
    return judge.policy if isinstance(judge, EvolvedPolicyConfig) else judge


def _training(
    env: SyntheticEnv, judge: AgentConfig | EvolvedPolicyConfig, sampled: bool = True
) -> tuple[AgentConfig, TrainFn]:
    """Returns what a judge's networks are, and how it is trained."""
    if isinstance(judge, EvolvedPolicyConfig):
        return judge.policy, make_evolved_policy(env, judge)
    training, algorithm = make_compiled_training(env, judge), name_of(judge)

    def train(key: jax.Array, params: Params) -> tuple[AgentParams, jax.Array]:
        train_key, hyper_key = jax.random.split(key)
        drawn = sample_hyperparameters(hyper_key, algorithm, training.hyper) if sampled else training.hyper
        policy = training.train(train_key, params, drawn)
        return policy, jnp.int32(judge.num_updates * judge.steps_per_update)

    return judge, train
