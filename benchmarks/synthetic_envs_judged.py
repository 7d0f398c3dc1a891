"""What a synthetic environment is worth, by the protocol of `experiments.protocol`: a JSON line an algorithm.

``python -m benchmarks.synthetic_envs_judged FOLDER [--agents ppo dqn sac]``; 20 agents of PPO or DQN take about half a
minute. ``--transfer`` judges by agents that no evolution sees instead.
"""

import argparse
import json
from pathlib import Path

from experiments.protocol import FIRST_SEED, NUM_AGENTS, judged, judges_for, transfer_judges_for
from synthetic_envs.saving import load_synthetic


def main() -> None:
    """Judges an environment by each algorithm."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="of the synthetic environment")
    parser.add_argument("--agents", nargs="*", help="algorithms; by default all that can serve its spaces")
    parser.add_argument("--transfer", action="store_true", help="by default those that no evolution sees instead")
    parser.add_argument("--seeds", type=int, default=NUM_AGENTS, help="agents of each algorithm")
    parser.add_argument("--first-seed", type=int, default=FIRST_SEED, help="the first of their seeds")
    given = parser.parse_args()
    env, params = load_synthetic(given.folder)
    for name in given.agents or (transfer_judges_for if given.transfer else judges_for)(env):
        line = judged(env, params, name, given.seeds, given.first_seed)
        print(json.dumps({"case": f"{env.family} for {env.spec.env_id}, {name}", **line}), flush=True)


if __name__ == "__main__":
    main()
