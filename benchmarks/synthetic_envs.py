"""What a synthetic environment is worth: fresh agents with drawn settings trained in it, judged on the real one.

``python -m benchmarks.synthetic_envs FOLDER [--agents ppo dqn sac]`` follows the protocol of Liesen et al. 2024: in the
environment of the folder 20 agents of each algorithm (64 x 64 units, numeric settings drawn from
`experiments.hyperparameter_ranges`) learn for 10,000 steps; the final greedy policy of each runs 10 episodes of
Gymnasium's own. A JSON line an algorithm: mean, worst, interquartile mean and its 95% interval over agents.
"""

import argparse
import json
import time
from pathlib import Path
from typing import Any

import jax
import numpy as np

from agents.agent_policy import AgentPolicy
from agents.table import algorithms_for
from agents.training.compiled import each_seed, make_compiled_training
from envs.evaluate import evaluate
from envs.spec import spec_of
from experiments.hyperparameter_ranges import sample_hyperparameters
from experiments.inner_agents import INNER_AGENTS, inner_agent
from experiments.statistics import bootstrap_interval, interquartile_mean
from synthetic_envs.saving import load_synthetic
from synthetic_envs.synthetic_env import SyntheticEnv


def main() -> None:
    """Judges an environment by each algorithm."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="of the synthetic environment")
    parser.add_argument("--agents", nargs="*", help="algorithms; by default all that can serve its spaces")
    parser.add_argument("--seeds", type=int, default=20, help="agents of each algorithm")
    parser.add_argument("--first-seed", type=int, default=1000, help="the first of their seeds")
    given = parser.parse_args()
    env, params = load_synthetic(given.folder)
    fitting = [name for name in algorithms_for(env.spec) if name in INNER_AGENTS]
    for name in given.agents or fitting:
        seeds = np.arange(given.first_seed, given.first_seed + given.seeds, dtype=np.uint32)
        print(json.dumps(judged(env, params, name, seeds)), flush=True)


def judged(env: SyntheticEnv, params: Any, name: str, seeds: np.ndarray) -> dict[str, Any]:
    """Returns the line of one algorithm."""
    config, started, cpu = inner_agent(name), time.perf_counter(), time.process_time()
    training, spec = make_compiled_training(env, config), spec_of(env.spec.env_id)

    def train(seed: jax.Array) -> Any:
        train_key, hyper_key = jax.random.split(jax.random.key(seed))
        return training.train(train_key, params, sample_hyperparameters(hyper_key, name, training.hyper))

    trained = jax.jit(lambda seeds: each_seed(train, seeds))(seeds)
    trained = jax.tree.map(np.asarray, trained)
    spent = {"seconds": round(time.perf_counter() - started), "cpu_seconds": round(time.process_time() - cpu)}
    scores = np.array([
        evaluate(AgentPolicy(spec, config, jax.tree.map(lambda x: x[row], trained)), spec.env_id, 10).returns.mean()  # noqa: B023
        for row in range(len(seeds))
    ])  # fmt: skip
    return {
        "case": f"{env.family} for {spec.env_id}, {name}",
        "steps": config.num_updates * config.steps_per_update,
        "agents": len(seeds),
        "mean": round(float(scores.mean()), 1),
        "worst": round(float(scores.min()), 1),
        "iqm": round(float(interquartile_mean(scores)), 1),
        "interval": [round(end, 1) for end in bootstrap_interval(scores)],
        **spent,
        "scores": [round(float(one), 1) for one in scores],
    }


if __name__ == "__main__":
    main()
