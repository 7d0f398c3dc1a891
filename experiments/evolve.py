"""Evolving a bandit for a real environment, with PPO as the agent inside."""

import time
from dataclasses import asdict, dataclass
from pathlib import Path

import jax
import numpy as np
from tqdm import tqdm

from agents.agent import Memory, Params, to_env_action
from agents.algorithms.ppo import Hyperparameters
from agents.configs import PPOConfig
from agents.training.compiled import make_compiled_training
from envs.artifact import require_artifact_place
from envs.errors import InputError, require, unknown_name
from envs.functional_evaluate import episode_returns
from envs.gymnax_adapter import make_classic_control
from experiments.worlds import FUNCTIONAL_COPIES
from synthetic_envs.bandit import Bandit
from synthetic_envs.configs import BanditConfig, EvolutionConfig
from synthetic_envs.evolution import Generation, evolve
from synthetic_envs.saving import save_synthetic

_INIT = 1
"""Folded into the seed's key for the start of the search, so that it shares no draws with the search itself."""


@dataclass(frozen=True)
class EvolutionHistory:
    """What an evolution did; ``G`` generations, a number of which is null where it was not finite.

    Attributes:
        fitness_mean: mean real return over the population ``[G]``.
        fitness_best: best of the population ``[G]``.
        check_mean: mean real return of fresh agents trained in the search's centre ``[G]``.
        check_worst: the worst of them ``[G]``.
        best_check: the highest of ``check_mean``, whose centre is kept; chosen as the highest of many, it flatters.
        real_steps: steps on the real dynamics, all generations together.
        seconds: wall time, compilation included.
    """

    fitness_mean: list[float | None]
    fitness_best: list[float | None]
    check_mean: list[float | None]
    check_worst: list[float | None]
    best_check: float
    real_steps: int
    seconds: float


def evolve_bandit(
    env_id: str,
    ppo: PPOConfig,
    out: Path | str,
    bandit: BanditConfig | None = None,
    evolution: EvolutionConfig | None = None,
    num_episodes: int = 16,
    seed: int = 0,
    overwrite: bool = False,
    progress: str | None = "evolution",
) -> EvolutionHistory:
    """Evolves a bandit from scratch and saves it as an artifact; the history is in its provenance.

    Args:
        env_id: real environment whose dynamics are at hand as a compiled function.
        ppo: the agent trained in every candidate; its ``total_steps`` is the inner training's length.
        out: folder of the artifact.
        bandit: its networks.
        evolution: the search.
        num_episodes: real episodes that score each agent.
        seed: fixes everything.
        overwrite: replace what is at ``out``.
        progress: title of the progress bar, or None for no bar.

    Raises:
        InputError: an environment without a compiled copy, a number out of range, or ``out`` exists.
    """
    require_artifact_place(Path(out), overwrite)
    if env_id not in FUNCTIONAL_COPIES:
        raise unknown_name("environment with compiled dynamics, which evolution needs,", env_id, FUNCTIONAL_COPIES)
    require(num_episodes >= 1, "the episodes that score an agent", "to be at least 1", num_episodes)
    require(0 <= seed < 2**32, "a seed", f"from 0 to {2**32 - 1}", seed)
    evolution, started = evolution or EvolutionConfig(), time.perf_counter()
    real = make_classic_control(env_id)
    env = Bandit(real.spec, bandit or BanditConfig())
    training = make_compiled_training(env, ppo)
    hyper = Hyperparameters.of(ppo)

    def score(key: jax.Array, params: Params) -> tuple[jax.Array, jax.Array]:
        def act(observation: jax.Array, memory: Memory) -> tuple[jax.Array, Memory]:
            action, memory = training.networks.mode(params, observation, memory)
            return to_env_action(real.spec, action), memory

        memory = training.networks.initial_memory(num_episodes)
        returns, lengths = episode_returns(real, real.default_params, act, key, num_episodes, memory)
        return returns.mean(), lengths.sum()

    generations: list[Generation] = []
    with tqdm(total=evolution.num_generations, desc=progress, unit="gen", disable=progress is None, leave=False) as bar:
        start = env.init_params(jax.random.fold_in(jax.random.key(seed), _INIT))
        for generation in evolve(start, lambda k, p: training.train(k, p, hyper), score, evolution, seed):
            generations.append(generation)
            bar.update()
            bar.set_postfix_str(f"fitness {generation.fitness.mean():.0f}, held out {generation.check.mean():.0f}")
    best = best_generation(generations)
    history = _history(generations, best, time.perf_counter() - started)
    provenance = {"seed": seed, "evolution": asdict(evolution), "agent": asdict(ppo), "history": asdict(history)}
    save_synthetic(out, env, best.centre, provenance, overwrite)
    return history


def best_generation(generations: list[Generation]) -> Generation:
    """Returns the generation in whose centre fresh agents did best.

    Raises:
        InputError: no generation has a finite fitness and check: training or the environment diverged.
    """
    sound = [one for one in generations if np.isfinite(one.check).all() and np.isfinite(one.fitness).all()]
    if not sound:
        raise InputError("expected finite returns in some generation, got none: the agents diverge with these settings")
    return max(sound, key=lambda generation: generation.check.mean())


def _history(generations: list[Generation], best: Generation, seconds: float) -> EvolutionHistory:
    return EvolutionHistory(
        fitness_mean=[_known(g.fitness.mean()) for g in generations],
        fitness_best=[_known(g.fitness.max()) for g in generations],
        check_mean=[_known(g.check.mean()) for g in generations],
        check_worst=[_known(g.check.min()) for g in generations],
        best_check=float(best.check.mean()),
        real_steps=sum(g.real_steps for g in generations),
        seconds=seconds,
    )


def _known(value: float) -> float | None:
    """A number for JSON, which has no NaN."""
    return float(value) if np.isfinite(value) else None
