"""What every agent is worth: its final policy on Gymnasium's own environments, over seeds, with its tuned settings.

``python -m benchmarks.scores`` runs every setting of `experiments.agent_presets.AGENT_PRESETS` (over an hour);
``--only CartPole-v1 Pendulum-v1/sac`` some of them, ``--long`` those that take a night (MuJoCo, SAC and TD3, a million
steps). All of it can be cut short: with the same ``--folder`` what is finished stays finished, and a training goes on
from its last checkpoint. A line a case is printed and kept in the folder, with the learning curves beside it.

The score of a seed is the mean return of 20 episodes of its final, greedy policy. ``published`` is rl-zoo3's or
CleanRL's mean as FACTS has it; they used other budgets in places, which ``published_steps`` tells.
"""

import argparse
import json
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from agents.configs import AgentConfig
from envs.evaluate import evaluate
from envs.files import read_json, write_json
from envs.threads import torch_threads
from experiments.agent_presets import AGENT_PRESETS, LONG_PRESETS
from experiments.statistics import bootstrap_interval, interquartile_mean
from experiments.train import train
from experiments.train_folder import TrainFolder
from experiments.worlds import open_world
from worldmodels.configs import EpisodeConfig

EPISODES = 20
GOALS = {
    ("CartPole-v1", ""): 475.0,
    ("Acrobot-v1", ""): -90.0,
    ("MountainCar-v0", "dqn"): -115.0,
    ("MountainCarContinuous-v0", ""): 90.0,
    ("Pendulum-v1", ""): -170.0,
    ("Pendulum-v1", "ppo"): -200.0,
}
"""Asked for, by environment and algorithm; an empty algorithm stands for all others."""
PUBLISHED = {
    ("CartPole-v1", "ppo"): (500.0, 100_000),
    ("CartPole-v1", "dqn"): (500.0, 50_000),
    ("CartPole-v1", "qr-dqn"): (500.0, 50_000),
    ("CartPole-v1", "c51"): (481.0, 500_000),
    ("Acrobot-v1", "dqn"): (-76.6, 100_000),
    ("Acrobot-v1", "qr-dqn"): (-69.0, 100_000),
    ("Acrobot-v1", "ppo"): (-73.5, 1_000_000),
    ("MountainCar-v0", "dqn"): (-101.0, 120_000),
    ("MountainCar-v0", "ppo"): (-110.0, 1_000_000),
    ("MountainCarContinuous-v0", "sac"): (94.7, 50_000),
    ("MountainCarContinuous-v0", "td3"): (93.5, 300_000),
    ("MountainCarContinuous-v0", "ppo"): (88.3, 20_000),
    ("Pendulum-v1", "sac"): (-157.0, 20_000),
    ("Pendulum-v1", "td3"): (-152.0, 20_000),
    ("Pendulum-v1", "ddpg"): (-152.0, 20_000),
    ("Pendulum-v1", "ppo"): (-172.0, 100_000),
    ("Hopper-v5", "td3"): (3606.0, 1_000_000),
    ("Hopper-v5", "sac"): (2326.0, 1_000_000),
    ("HalfCheetah-v5", "td3"): (9656.0, 1_000_000),
    ("HalfCheetah-v5", "sac"): (9535.0, 1_000_000),
}


def main() -> None:
    """Runs the cases that were asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, default=Path("runs/scores"), help="where results and checkpoints lie")
    parser.add_argument("--only", nargs="*", default=[], help="environments, or environment/algorithm")
    parser.add_argument("--seeds", type=int, default=10, help="agents trained in each case")
    parser.add_argument("--first-seed", type=int, default=0, help="the first of their seeds")
    parser.add_argument("--long", action="store_true", help="the cases that take a night")
    given = parser.parse_args()
    presets = LONG_PRESETS if given.long else AGENT_PRESETS
    for (env_id, algorithm), config in presets.items():
        if not given.only or env_id in given.only or f"{env_id}/{algorithm}" in given.only:
            seeds = list(range(given.first_seed, given.first_seed + given.seeds))
            print(json.dumps(score(env_id, algorithm, config, seeds, given.folder)), flush=True)


def score(env_id: str, algorithm: str, config: AgentConfig, seeds: list[int], folder: Path) -> dict[str, Any]:
    """Returns a case's line, trained and measured now or read from where it was."""
    place = folder / f"{env_id}-{algorithm}-seeds-{seeds[0]}-{seeds[-1]}"
    result = place.with_name(f"{place.name}.json")
    if result.is_file():
        line: dict[str, Any] = read_json(result)
        return line
    folder.mkdir(parents=True, exist_ok=True)
    started, cpu = time.perf_counter(), time.process_time()
    records = TrainFolder(place, {"env": env_id, "agent": asdict(config)}, seeds, resume=True)
    with torch_threads(1):
        training = train(open_world(env_id, EpisodeConfig()), config, seeds, f"{env_id} {algorithm}", records)
    seconds, cpu_seconds = time.perf_counter() - started, time.process_time() - cpu
    scores = np.array(
        [evaluate(policy, env_id, EPISODES, seed=1_000_000).returns.mean() for policy in training.policies]
    )
    write_json(place.with_name(f"{place.name}-curve.json"), training.curve.to_json())
    line = _line(env_id, algorithm, config, scores) | {"seconds": round(seconds), "cpu_seconds": round(cpu_seconds)}
    write_json(result, line)
    return line


def _line(env_id: str, algorithm: str, config: AgentConfig, scores: np.ndarray) -> dict[str, Any]:
    goal = GOALS.get((env_id, algorithm), GOALS.get((env_id, "")))
    published, published_steps = PUBLISHED.get((env_id, algorithm), (None, None))
    iqm, interval = float(interquartile_mean(scores)), bootstrap_interval(scores)
    return {
        "case": f"{env_id} {algorithm}",
        "steps": config.num_updates * config.steps_per_update,
        "seeds": len(scores),
        "iqm": round(iqm, 1),
        "interval": [round(end, 1) for end in interval],
        "worst": round(float(scores.min()), 1),
        "best": round(float(scores.max()), 1),
        "goal": goal,
        "met": None if goal is None else iqm >= goal,
        "published": published,
        "published_steps": published_steps,
        "scores": [round(float(one), 1) for one in scores],
    }


if __name__ == "__main__":
    main()
