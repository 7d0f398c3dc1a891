"""How the environments of the zoo are made: a recipe each, from its seed to its card.

``python -m experiments.zoo_recipes CartPole-bandit-v1 --out FOLDER`` makes one anew, and judges it by
`experiments.protocol` with every algorithm that can.
"""

import argparse
import tempfile
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from envs.errors import unknown_name
from envs.files import plain_json, write_json
from experiments.agent_presets import agent_preset
from experiments.distil import distil_policy
from experiments.protocol import judged, judges_for, transfer_lines, transfer_table
from experiments.train import train
from experiments.worlds import open_world
from synthetic_envs.configs import BanditConfig, DistillationConfig
from synthetic_envs.saving import load_synthetic
from synthetic_envs.zoo import CARD
from worldmodels.configs import EpisodeConfig

_PROTOCOL = (
    "20 agents of each algorithm, 64 x 64 units, numeric settings drawn at random from lists, 10,000 steps in the "
    "environment; mean return of 10 real episodes each"
)


@dataclass(frozen=True)
class Recipe:
    """A bandit distilled from an agent that was trained on the real dynamics.

    Attributes:
        env_id: the real environment.
        teacher: the agent's algorithm; its settings are those tuned for the environment.
        steps: real steps recorded of the teacher, straying.
        bandit: its networks.
        distillation: of the fits.
        seed: of teacher and distillation.
    """

    env_id: str
    teacher: str
    steps: int = 10_000
    bandit: BanditConfig = field(default_factory=BanditConfig)
    distillation: DistillationConfig = field(default_factory=DistillationConfig)
    seed: int = 0


RECIPES = {
    "CartPole-bandit-v1": Recipe("CartPole-v1", "ppo", distillation=DistillationConfig(spread=2.5)),
    "MountainCarContinuous-bandit-v1": Recipe("MountainCarContinuous-v0", "sac"),
}
"""By the name in the zoo."""


def make(name: str, out: Path, overwrite: bool = False) -> dict[str, Any]:
    """Makes an environment of the zoo as the artifact ``out``, its card in it, and returns the card."""
    if name not in RECIPES:
        raise unknown_name("recipe", name, RECIPES)
    recipe, cpu = RECIPES[name], time.process_time()
    config = agent_preset(recipe.env_id, recipe.teacher)
    training = train(open_world(recipe.env_id, EpisodeConfig()), config, [recipe.seed], f"{config.label}, the teacher")
    title = f"{config.label} after {config.total_steps:,} steps of {recipe.env_id}"
    distil_policy(
        training.policies[0], title, None, out, recipe.steps, recipe.bandit, recipe.distillation, recipe.seed, overwrite
    )
    spent = time.process_time() - cpu
    env, params = load_synthetic(out)
    card = {
        "name": name,
        "stands_for": recipe.env_id,
        "made": f"distilled from {title}; no algorithm of the table but the teacher's was seen",
        "recipe": plain_json(asdict(recipe)),
        "real_steps": config.num_updates * config.steps_per_update + recipe.steps,
        "cpu_seconds": round(spent),
        "protocol": _PROTOCOL,
        "results": [judged(env, params, judge) for judge in judges_for(env)],
        "transfer": transfer_table(env, params),
    }
    write_json(out / CARD, card)
    return card


def main() -> None:
    """Makes one environment."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", choices=RECIPES)
    parser.add_argument("--out", type=Path, default=Path(tempfile.gettempdir()) / "zoo", help="folder to make")
    parser.add_argument("--overwrite", action="store_true", help="replace what is there")
    given = parser.parse_args()
    for line in card_lines(make(given.name, given.out, given.overwrite)):
        print(line)


def card_lines(card: dict[str, Any]) -> list[str]:
    """Returns a card as lines of text."""
    head = (f"simulacra/{card['name']}, for {card['stands_for']}: {card['real_steps']:,} real steps, "
            f"{card['cpu_seconds']} CPU-seconds")  # fmt: skip
    return [head, f"  {card['made']}", *map(_row, card["results"]), *transfer_lines(card.get("transfer", []))]


def _row(found: dict[str, Any]) -> str:
    low, high = found["interval"]
    return (f"  {found['agent']:<6} mean {found['mean']:>7.1f}   worst {found['worst']:>7.1f}   "
            f"interquartile mean {found['iqm']:>7.1f} [{low:.1f}, {high:.1f}]")  # fmt: skip


if __name__ == "__main__":
    main()
