"""How the environments of the zoo are made: a recipe each, from its seed to its card.

``python -m experiments.zoo_recipes CartPole-bandit-v1 --out FOLDER`` makes one anew, and judges it by
`experiments.protocol` with every algorithm that can.
"""

import argparse
import tempfile
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from envs.artifact import load_artifact, require_artifact_place
from envs.errors import unknown_name
from envs.files import plain_json, write_json
from experiments.agent_presets import agent_preset
from experiments.break_even import Cost
from experiments.distil import Teacher, distil_for, optimal_teacher
from experiments.evolve import evolve_for
from experiments.evolve_configs import EvolveConfig, FitnessConfig, StageConfig
from experiments.evolve_presets import sampled_agent
from experiments.protocol import NUM_EPISODES, judged, judges_for, transfer_lines, transfer_table
from experiments.train import train
from experiments.worlds import open_world
from synthetic_envs.configs import (
    BanditConfig,
    DistillationConfig,
    EvolutionConfig,
    MDPConfig,
    RewardNetworkConfig,
    SyntheticConfig,
    TargetBanditConfig,
)
from synthetic_envs.saving import load_synthetic
from synthetic_envs.zoo import CARD
from worldmodels.configs import EpisodeConfig

_OPTIMUM = "optimum"
_PROTOCOL = (
    "20 agents of each algorithm, 64 x 64 units, numeric settings drawn at random from lists, 10,000 steps in the "
    "environment; mean return of {} real episodes each"
)


@dataclass(frozen=True)
class Recipe:
    """A synthetic environment distilled from a teacher, and evolved from there where there are stages.

    Attributes:
        env_id: the real environment.
        teacher: "optimum" for the best there is, or the algorithm of an agent that is trained on the real dynamics with
            the settings tuned for the environment.
        synthetic: what is made; its class says which kind.
        steps: real steps recorded of the teacher, straying.
        distillation: of the fits.
        stages: of evolution afterwards.
        seed: of all of it.
        num_episodes: real ones that judge each agent.
    """

    env_id: str
    teacher: str = _OPTIMUM
    synthetic: SyntheticConfig = field(default_factory=BanditConfig)
    steps: int = 10_000
    distillation: DistillationConfig = field(default_factory=DistillationConfig)
    stages: tuple[StageConfig, ...] = ()
    seed: int = 0
    num_episodes: int = NUM_EPISODES


# By what PPO with drawn settings learns, all candidates by the same draws.
_SEARCH = StageConfig(
    (sampled_agent("ppo", "Pendulum-v1"),),
    EvolutionConfig(num_generations=60, population_size=32, sigma=0.05, common_noise="all", num_checks=32),
    FitnessConfig(num_agents=4, num_episodes=8),
)
_SHORT_EPISODES = MDPConfig(starts="learned", predicts="change", max_steps=3)
RECIPES = {
    "Acrobot-bandit-v1": Recipe("Acrobot-v1"),
    "CartPole-bandit-v1": Recipe("CartPole-v1", "ppo", distillation=DistillationConfig(spread=3.0), seed=1),
    "InvertedPendulum-bandit-v1": Recipe(
        "brax/inverted_pendulum", "ppo", TargetBanditConfig(), distillation=DistillationConfig(spread=8.0)
    ),
    "MountainCar-bandit-v1": Recipe("MountainCar-v0", distillation=DistillationConfig(spread=1.3)),
    "MountainCarContinuous-bandit-v1": Recipe(
        "MountainCarContinuous-v0", "sac", distillation=DistillationConfig(spread=1.5)
    ),
    "Pendulum-bandit-v1": Recipe(
        "Pendulum-v1", synthetic=TargetBanditConfig(), stages=(_SEARCH,),
        num_episodes=100,  # of ten starts the optimum returns -169.6, of a hundred -143.0
    ),
    "Acrobot-mdp-v1": Recipe("Acrobot-v1", synthetic=_SHORT_EPISODES),
    "CartPole-mdp-v1": Recipe("CartPole-v1", "ppo", _SHORT_EPISODES, distillation=DistillationConfig(spread=2.5)),
    "MountainCar-reward-v1": Recipe("MountainCar-v0", synthetic=RewardNetworkConfig()),
}  # fmt: skip
"""By the name in the zoo."""


def make(name: str, out: Path, overwrite: bool = False, resume: bool = False) -> dict[str, Any]:
    """Makes an environment of the zoo as the artifact ``out``, its card in it, and returns the card.

    Args:
        name: a key of `RECIPES`.
        out: folder to make.
        overwrite: replace what is there.
        resume: go on with an evolution that was interrupted, or judge what it ended with; what comes before it is done
            anew.
    """
    if name not in RECIPES:
        raise unknown_name("recipe", name, RECIPES)
    if not resume:
        require_artifact_place(out, overwrite)
    recipe, cpu = RECIPES[name], time.process_time()
    teacher, teacher_steps = _teacher(recipe)
    with tempfile.TemporaryDirectory() as folder:
        distilled = Path(folder) / "distilled" if recipe.stages else out
        distil_for(
            teacher, distilled, recipe.synthetic, None, recipe.steps, recipe.distillation, recipe.seed, overwrite
        )
        spent = time.process_time() - cpu
        evolved = _evolved(recipe, distilled, out, overwrite, resume) if recipe.stages else Cost(0, 0.0)
    env, params = load_synthetic(out)
    evolution = ", then evolved" if recipe.stages else "; no algorithm of the table was seen but the teacher's, if any"
    card = {
        "name": name,
        "stands_for": recipe.env_id,
        "made": f"distilled from {teacher.title}{evolution}",
        "recipe": plain_json(asdict(recipe)),
        "real_steps": teacher_steps + recipe.steps + evolved.real_steps,
        "cpu_seconds": round(spent + evolved.cpu_seconds),
        "protocol": _PROTOCOL.format(recipe.num_episodes),
        "results": [judged(env, params, judge, num_episodes=recipe.num_episodes) for judge in judges_for(env)],
        "transfer": transfer_table(env, params, num_episodes=recipe.num_episodes),
    }
    write_json(out / CARD, card)
    return card


def _teacher(recipe: Recipe) -> tuple[Teacher, int]:
    """Returns who is learned from, and the real steps that it cost; an optimum's are computed, not taken."""
    if recipe.teacher == _OPTIMUM:
        return optimal_teacher(recipe.env_id), 0
    config = agent_preset(recipe.env_id, recipe.teacher)
    training = train(open_world(recipe.env_id, EpisodeConfig()), config, [recipe.seed], f"{config.label}, the teacher")
    title = f"{config.label} after {config.total_steps:,} steps of {recipe.env_id}"
    return Teacher(training.policies[0], title), config.num_updates * config.steps_per_update


def _evolved(recipe: Recipe, start: Path, out: Path, overwrite: bool, resume: bool) -> Cost:
    """Evolves further from ``start`` and returns what that took."""
    config = EvolveConfig(recipe.env_id, recipe.synthetic, recipe.stages, recipe.seed, str(start))
    evolve_for(config, out, overwrite=overwrite, resume=resume)
    history = load_artifact(out, kind="synthetic_env").provenance["history"]
    return Cost(history["real_steps"], history["cpu_seconds"])


def main() -> None:
    """Makes one environment."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", choices=RECIPES)
    parser.add_argument("--out", type=Path, default=Path(tempfile.gettempdir()) / "zoo", help="folder to make")
    parser.add_argument("--overwrite", action="store_true", help="replace what is there")
    parser.add_argument("--resume", action="store_true", help="go on with an evolution that was interrupted")
    given = parser.parse_args()
    for line in card_lines(make(given.name, given.out, given.overwrite, given.resume)):
        print(line)


def card_lines(card: Mapping[str, Any]) -> list[str]:
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
