"""Speed of evolution: what a generation costs and of what it is made, and how soon a bandit for CartPole is there.

A generation trains an agent in every candidate and measures it on the real dynamics. Both parts are timed alone, too,
on candidates around the zoo's bandit: some agents balance the pole to the limit of 500 steps, and that is what costs,
since all episodes of a job are stepped side by side until the last has ended. ``floor`` is the matrix products alone of
the training inside, those of PPO and of the bandit's networks, batched over the candidates in the same way, in one
compiled loop of the same process.

Times are wall seconds, each the best of a few, with all threads that JAX takes; every case has a process of its own.
Run it with ``python -m benchmarks.synthetic_envs``; it takes about five minutes. What a synthetic environment is worth
is told by ``python -m benchmarks.synthetic_envs_judged``.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.reporting import report

if TYPE_CHECKING:
    import jax

    from experiments.evolve_configs import EvolveConfig, StageConfig
    from synthetic_envs.bandit import Bandit, BanditParams

_ROUNDS = 3
_GENERATIONS = 4


def main() -> None:
    """Runs all cases, or, in a process of its own, one."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--case", choices=CASES, help="one case, in this process")
    given = parser.parse_args()
    if given.case:
        CASES[given.case]()
        return
    for name in CASES:
        command = [sys.executable, "-m", "benchmarks.synthetic_envs", "--case", name]
        subprocess.run(command, env={**os.environ, "SIMULACRA_CACHE": "off"}, check=True)


def specialist() -> None:
    """A generation of the preset ``specialist``: 4,096 steps of one PPO in each of 64 candidates and 16 checks."""
    from experiments.evolve_presets import evolve_preset

    config = evolve_preset("CartPole-v1", "specialist")
    generation("specialist's generation", config, config.stages[0])


def general() -> None:
    """A generation of the preset ``general``: 10,000 steps of PPO with drawn settings in 32 candidates, 16 checks."""
    from experiments.evolve_presets import evolve_preset

    config = evolve_preset("CartPole-v1", "general")
    stage = config.stages[-1]
    generation("general's generation of PPO", config, replace(stage, agents=stage.agents[:1]))


def generation(case: str, config: "EvolveConfig", stage: "StageConfig") -> None:
    """Reports a generation of ``stage`` whole, its parts alone, and its training inside beside the floor."""
    from synthetic_envs.saving import load_synthetic
    from synthetic_envs.zoo import zoo_folder

    env, params = load_synthetic(zoo_folder("CartPole-bandit-v1"))
    case = f"CartPole bandit, {case}"
    compiling, whole = whole_generation(config, stage, params)
    report(f"{case}, compiling", "seconds", compiling, lower_is_better=True)
    report(case, "seconds", whole, lower_is_better=True)
    training, products, measuring = parts(env, params, stage)
    report(f"{case}, training inside", "seconds", training, None, products, lower_is_better=True)
    report(f"{case}, training inside over its matrix products", "ratio", training / products, lower_is_better=True)
    report(f"{case}, on the real dynamics", "seconds", measuring, lower_is_better=True)


def whole_generation(config: "EvolveConfig", stage: "StageConfig", params: Any) -> tuple[float, float]:
    """Returns seconds to compile, and of the fastest of some generations of a search around ``params``."""
    from experiments.evolve import make_problem
    from synthetic_envs.evolution import evolve, make_evaluate
    from synthetic_envs.executor import InProcess, Job

    class Timed(InProcess):
        def run(self, state: Any, jobs: list[Job]) -> list[Any]:
            spent.append([])
            done = []
            for job in jobs:
                begun = time.perf_counter()
                done += super().run(state, [job])
                spent[-1].append(time.perf_counter() - begun)
            return done

    spent: list[list[float]] = []
    search = replace(stage.search, num_generations=_GENERATIONS, target=None, sigma=0.02)
    problem = make_problem(config, stage, params)
    for _ in evolve(problem, search, config.seed, executor=Timed(make_evaluate(problem, search, config.seed))):
        pass
    fastest = min(sum(jobs) for jobs in spent[1:])
    return spent[0][0] - fastest / len(spent[0]), fastest


def parts(env: "Bandit", params: "BanditParams", stage: "StageConfig") -> tuple[float, float, float]:
    """Returns seconds a generation of the training inside, of its matrix products, and on the real dynamics."""
    import jax

    from agents.training.compiled import make_compiled_training
    from envs.functional_copies import functional_copy
    from experiments.greedy_return import make_greedy_return
    from experiments.hyperparameter_ranges import sample_hyperparameters

    inner, num_jobs = stage.agents[0], stage.search.num_jobs
    training, real = make_compiled_training(env, inner.agent), functional_copy(env.spec.env_id)
    num_rows = -(-(stage.search.population_size + stage.search.num_checks) // num_jobs)
    keys = jax.random.split(jax.random.key(0), num_rows)

    def train(key: jax.Array, candidate: Any) -> Any:
        hyper = sample_hyperparameters(key, "ppo", training.hyper) if inner.sampled else training.hyper
        return training.train(key, candidate, hyper)

    def near(key: jax.Array) -> Any:
        return jax.tree.map(lambda x: x + 0.02 * jax.random.normal(key, x.shape), params)

    candidates, train_all = jax.vmap(near)(keys), jax.jit(jax.vmap(train))
    measure = make_greedy_return(real, training.networks, stage.fitness.num_episodes)
    measure_all = jax.jit(jax.vmap(lambda key, policy: measure(key, policy, None)))
    policies, products = train_all(keys, candidates), products_of(env, candidates, inner.agent, keys)
    runs = (lambda: train_all(keys, candidates), products, lambda: measure_all(keys, policies))
    trained, multiplied, measured = (num_jobs * seconds for seconds in fastest(runs))
    return trained, multiplied, measured


def products_of(env: "Bandit", candidates: "BanditParams", config: Any, keys: "jax.Array") -> Callable[[], Any]:
    """Returns what runs the matrix products of training PPO in each of the ``candidates``."""
    import jax
    import jax.numpy as jnp

    from benchmarks.matrix_products import forward, ppo_inputs, ppo_products, ppo_weights

    size, num_actions = env.spec.observation_space.shape[0], int(env.spec.action_space.n)  # type: ignore[attr-defined, index]
    nets = jax.vmap(lambda key: ppo_weights(key, config, size, num_actions))(keys)
    inputs = jax.vmap(lambda key: ppo_inputs(key, config, size))(keys)
    bandits = {name: [layer["w"] for _, layer in sorted(net.items())] for name, net in candidates.items()}

    def train(nets: Any, inputs: Any, bandit: Any) -> Any:
        def step(contexts: jax.Array) -> jax.Array:
            given = jnp.concatenate([contexts, jnp.zeros((len(contexts), num_actions))], axis=1)
            return forward(bandit["state"], contexts)[-1] + 1e-20 * forward(bandit["reward"], given)[-1]

        return ppo_products(config, config.num_updates, step)(nets, inputs)

    compiled = jax.jit(jax.vmap(train))
    return lambda: compiled(nets, inputs, bandits)


def fastest(runs: tuple[Callable[[], Any], ...]) -> list[float]:
    """Returns the seconds of each in its best round; they take turns, for others use this machine, too."""
    import jax

    best = [float("inf")] * len(runs)
    for number in range(1 + _ROUNDS):
        for place, run in enumerate(runs):
            begun = time.perf_counter()
            jax.block_until_ready(run())
            spent = time.perf_counter() - begun
            best[place] = min(best[place], spent) if number else best[place]  # the first compiles
    return best


def solving() -> None:
    """``simulacra evolve --preset specialist``, from the start of its process to the artifact.

    It ends when its fresh agents solve CartPole. Once with nothing compiled before, and once more with what the first
    has left on disk.
    """
    program = [sys.executable, "-c", "from experiments.cli import main; main()", "evolve"]
    case = "CartPole bandit, specialist from scratch until solved"
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, "SIMULACRA_CACHE": str(Path(folder) / "cache")}
        for out, told, goal in (("first", ", nothing compiled before", 30.0), ("second", ", started again", None)):
            begun, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
            command = [*program, "--out", str(Path(folder) / out)]
            subprocess.run(command, env=environment, check=True, capture_output=True)
            report(case + told, "seconds", time.perf_counter() - begun, goal, lower_is_better=True)
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
            spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
            report(case + told, "CPU-seconds", spent, lower_is_better=True)
        artifact = json.loads((Path(folder) / "first" / "artifact.json").read_text())
    history = artifact["provenance"]["history"]
    report(f"{case}, generations", "generations", len(history["check_mean"]), lower_is_better=True)
    report(f"{case}, steps on the real dynamics", "steps", history["real_steps"], lower_is_better=True)
    report(f"{case}, real return of 16 fresh agents in its last generation", "return", history["check_mean"][-1], 475.0)


CASES: dict[str, Callable[[], None]] = {"specialist": specialist, "general": general, "solving": solving}

if __name__ == "__main__":
    main()
