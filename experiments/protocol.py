"""What a synthetic environment is worth: fresh agents with drawn settings trained in it, judged on the real one.

The protocol of Liesen et al. 2024: 20 agents of each algorithm with 64 x 64 units and numeric settings drawn from
`experiments.hyperparameter_ranges` learn for 10,000 steps in the environment; the final greedy policy of each runs 10
episodes of Gymnasium's own.
"""

import time
from typing import Any

import jax
import numpy as np

from agents.agent_policy import AgentPolicy
from agents.table import algorithms_for
from agents.training.compiled import each_seed, make_compiled_training
from envs.evaluate import evaluate
from envs.functional import Params
from envs.spec import spec_of
from experiments.hyperparameter_ranges import sample_hyperparameters
from experiments.inner_agents import INNER_AGENTS, inner_agent
from experiments.statistics import bootstrap_interval, interquartile_mean
from synthetic_envs.synthetic_env import SyntheticEnv

NUM_AGENTS = 20
FIRST_SEED = 1000
"""Of the agents that judge; evolution and teachers use seeds from 0 on."""
_EPISODES = 10


def judges_for(env: SyntheticEnv) -> list[str]:
    """Returns the algorithms that can judge an environment."""
    return [name for name in algorithms_for(env.spec) if name in INNER_AGENTS]


def judged(
    env: SyntheticEnv, params: Params, name: str, num_agents: int = NUM_AGENTS, first_seed: int = FIRST_SEED
) -> dict[str, Any]:
    """Returns what agents of one algorithm reach, as JSON.

    Args:
        env: the synthetic environment.
        params: its parameters.
        name: a key of `experiments.inner_agents.INNER_AGENTS`.
        num_agents: trained, each with settings of its own.
        first_seed: of the agents.

    Returns:
        ``agent``, ``steps`` and ``agents``; of the agents' mean real returns the ``mean``, the ``worst``, the ``iqm``
        (interquartile mean), its 95% ``interval`` and all ``scores``; ``cpu_seconds`` of training them.
    """
    config, spec, cpu = inner_agent(name, env.spec.action_space), spec_of(env.spec.env_id), time.process_time()
    training = make_compiled_training(env, config)

    def train(seed: jax.Array) -> Any:
        train_key, hyper_key = jax.random.split(jax.random.key(seed))
        return training.train(train_key, params, sample_hyperparameters(hyper_key, name, training.hyper))

    seeds = np.arange(first_seed, first_seed + num_agents, dtype=np.uint32)
    trained = jax.tree.map(np.asarray, jax.jit(lambda seeds: each_seed(train, seeds))(seeds))
    cpu = time.process_time() - cpu
    policies = [AgentPolicy(spec, config, jax.tree.map(lambda x: x[row], trained)) for row in range(num_agents)]  # noqa: B023
    scores = np.array([evaluate(policy, spec.env_id, _EPISODES).returns.mean() for policy in policies])
    return {
        "agent": name,
        "steps": config.num_updates * config.steps_per_update,
        "agents": num_agents,
        "mean": round(float(scores.mean()), 1),
        "worst": round(float(scores.min()), 1),
        "iqm": round(float(interquartile_mean(scores)), 1),
        "interval": [round(end, 1) for end in bootstrap_interval(scores)],
        "cpu_seconds": round(cpu),
        "scores": [round(float(one), 1) for one in scores],
    }
