"""Evolving a synthetic environment for a real one, in stages, resumable after any interruption.

The work lies in the folder ``<out>.evolve`` while it is under way::

    config.json    the configuration, and the packages' versions
    search/        stage-<i>.checkpoint: state of a stage's search and what its generations brought, after each of them
"""

import resource
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import jax
import numpy as np
from tqdm import tqdm

from agents.table import name_of
from envs.artifact import package_versions, require_artifact_place
from envs.checkpoint import load_checkpoint, save_checkpoint
from envs.errors import InputError, require
from envs.files import plain_json, sha256_of
from envs.functional import FunctionalEnv, Params
from envs.functional_copies import functional_copy
from envs.spec import spec_of
from envs.work_folder import Layout, open_work_folder
from experiments.evolve_configs import EvolveConfig, StageConfig
from experiments.finished_work import is_finished
from experiments.inner_training import make_member_fn
from experiments.protocol import verified_return
from synthetic_envs.evolution import (
    EvolutionState,
    Generation,
    Problem,
    evolve,
    make_evaluate,
    start_evolution,
)
from synthetic_envs.executor import EvaluateFn, Executor, InProcess, ProcessPool
from synthetic_envs.saving import load_synthetic, save_synthetic
from synthetic_envs.synthetic_env import SyntheticEnv, make_synthetic
from synthetic_envs.zoo import folder_named

_INIT = 1
"""Folded into the seed's key for the start of the search, so that it shares no draws with the search itself."""
_LAYOUT = Layout("search", "search", ())


@dataclass(frozen=True)
class EvolutionHistory:
    """What an evolution did; ``G`` generations of all stages, a number of which is null where it was not finite.

    Attributes:
        fitness_mean: mean real return over the population ``[G]``.
        fitness_best: best of the population ``[G]``.
        check_mean: mean real return of fresh agents trained in the search's centre ``[G]``.
        check_worst: the worst of them ``[G]``.
        stages: generations of each stage.
        without_selection: generations whose fitness told nothing apart.
        best_check: the highest mean check of the last stage, whose centre is kept; chosen as the highest of many, it
            flatters.
        real_steps: steps on the real dynamics, all generations together.
        imagined_steps: steps in the world model, where candidates were measured in one; then there were no real ones.
        verified: mean return, on the real environment itself, of ten fresh agents of each kind that the last stage
            trained; where candidates were measured in a world model, else null.
        seconds: wall time, compilation included.
        cpu_seconds: of all processes.
    """

    fitness_mean: list[float | None]
    fitness_best: list[float | None]
    check_mean: list[float | None]
    check_worst: list[float | None]
    stages: list[int]
    without_selection: int
    best_check: float
    real_steps: int
    imagined_steps: int
    verified: float | None
    seconds: float
    cpu_seconds: float


def evolve_for(
    config: EvolveConfig,
    out: Path | str,
    num_workers: int = 1,
    resume: bool = False,
    overwrite: bool = False,
    progress: str | None = "evolution",
) -> EvolutionHistory | None:
    """Evolves a synthetic environment and saves it as an artifact; the history is in its provenance.

    Args:
        config: what is evolved and how.
        out: folder of the artifact.
        num_workers: processes that evaluate candidates; 1 for this one alone. The result does not depend on it.
        resume: go on with the evolution that is there, or start where there is none.
        overwrite: replace what is at ``out``, and an unfinished evolution beside it.
        progress: title of the progress bar, or None for no bar.

    Returns:
        What was done; None where a complete environment was there to resume.

    Raises:
        InputError: an environment without compiled dynamics, spaces that an agent cannot serve, a number out of range,
            ``out`` exists and is not what is resumed, or no generation brought a finite return.
    """
    out = Path(out)
    require(num_workers >= 1, "the workers of an evolution", "of at least 1", num_workers)
    for stage in config.stages:  # refuses what it cannot serve before any folder is made
        make_problem(config, stage)
    place, work = out.with_name(f"{out.name}.evolve"), _work(config)
    if resume and is_finished(out, "synthetic_env", "evolution", work):
        _remove(place)
        return None
    require_artifact_place(out, overwrite)
    open_work_folder(place, {**work, "versions": package_versions()}, _LAYOUT, resume, overwrite)
    best = _warm_start(config)
    rows, spent = [], [0.0, 0.0]
    for number in range(len(config.stages)):
        run = _Stage(config, number, best, place / "search" / f"stage-{number}.checkpoint", spent)
        best = run.finish(num_workers, progress)
        rows.append(run.rows)
        spent = run.spent
        require_sound(run.state)
    verified = None if config.model is None else _verified(config, best)
    history = _history(rows, float(run.state.best_check), spent, verified)
    provenance = {"seed": config.seed, "evolution": work, "history": asdict(history)}
    save_synthetic(out, _env(config), best, provenance, overwrite)
    _remove(place)
    return history


def make_problem(config: EvolveConfig, stage: StageConfig, start: Params | None = None) -> Problem:
    """Returns what a stage searches; it starts from random parameters where ``start`` is None."""
    real, env = _measured_in(config), _env(config)
    if start is None:
        start = env.init_params(jax.random.fold_in(jax.random.key(config.seed), _INIT))
    return Problem(start, tuple(make_member_fn(env, real, inner, stage.fitness) for inner in stage.agents))


def evaluator_of(config: EvolveConfig, number: int) -> EvaluateFn:
    """Returns what evaluates the candidates of a stage; every process makes its own."""
    stage = config.stages[number]
    return make_evaluate(make_problem(config, stage), stage.search, _seed_of(config, number))


def _warm_start(config: EvolveConfig) -> Params | None:
    """Returns the parameters that the first stage begins with, None for random ones."""
    if config.start is None:
        return None
    env, params = load_synthetic(folder_named(config.start))
    own = _env(config)
    own.spec.require_same(env.spec, "the evolution", f"the synthetic environment at {config.start}")
    if env.config != own.config:
        raise InputError(f"expected a start of the settings {own.config}, {config.start} has {env.config}")
    return params


def _verified(config: EvolveConfig, best: Params) -> float:
    """Returns what agents that were evolved for reach on the real environment; they are trained for the first time."""
    agents = config.stages[-1].agents
    return float(np.mean([verified_return(_env(config), best, inner) for inner in agents]))


class _Stage:
    """One search, from its checkpoint or its start to its end.

    Attributes:
        state: of the search.
        rows: what its generations brought, as JSON.
        spent: wall and CPU seconds of all stages so far, whatever was lost to interruptions left out.
    """

    def __init__(self, config: EvolveConfig, number: int, start: Params | None, checkpoint: Path, spent: list[float]):
        self._config, self._number, self._checkpoint = config, number, checkpoint
        self._stage, self._seed = config.stages[number], _seed_of(config, number)
        self._problem = make_problem(config, self._stage, start)
        self.state = start_evolution(self._problem, self._stage.search, self._seed)
        self.rows: list[dict[str, Any]] = []
        self.spent = spent
        if checkpoint.is_file():
            self.state, told = load_checkpoint(checkpoint, self.state)
            self.rows, self.spent = told["rows"], told["spent"]

    def finish(self, num_workers: int, progress: str | None) -> Params:
        """Returns the parameters that it found."""
        begun, before = _clocks(), self.spent
        executor = self._executor(num_workers)
        try:
            for generation in self._shown(executor, progress):
                self.state = generation.state
                self.rows.append(_row(generation, self._stage))
                self._save(begun, before)
        finally:
            executor.close()
        self._save(begun, before)  # once more: only now are the seconds of other processes known
        return self.state.best

    def _shown(self, executor: Executor, progress: str | None) -> Iterator[Generation]:
        search, title = self._stage.search, progress
        if progress is not None and len(self._config.stages) > 1:
            title = f"{progress}, stage {self._number + 1}"
        with tqdm(total=search.num_generations, initial=len(self.rows), desc=title, unit="gen",
                  disable=title is None, leave=False) as bar:  # fmt: skip
            for generation in evolve(self._problem, search, self._seed, self.state, executor):
                yield generation
                bar.update()
                bar.set_postfix_str(_told(generation, self._stage))

    def _executor(self, num_workers: int) -> Executor:
        make = partial(evaluator_of, self._config, self._number)
        return InProcess(make()) if num_workers == 1 else ProcessPool(make, num_workers)

    def _save(self, begun: list[float], before: list[float]) -> None:
        self.spent = [old + now - then for old, now, then in zip(before, _clocks(), begun, strict=True)]
        save_checkpoint(self._checkpoint, self.state, {"rows": self.rows, "spent": self.spent})


def _clocks() -> list[float]:
    """Wall and CPU seconds, those of processes that have ended included."""
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    return [time.perf_counter(), time.process_time() + ended.ru_utime + ended.ru_stime]


def _seed_of(config: EvolveConfig, number: int) -> int:
    return int(np.random.SeedSequence([config.seed, number]).generate_state(1)[0]) if number else config.seed


def _env(config: EvolveConfig) -> SyntheticEnv:
    return make_synthetic(spec_of(config.env_id), config.synthetic)


def _measured_in(config: EvolveConfig) -> FunctionalEnv:
    """Returns the dynamics on which agents are measured."""
    if config.model is None:
        return functional_copy(config.env_id)
    from experiments.imagined_env import imagined_env  # torch is loaded only where it is needed

    return imagined_env(config.model, config.env_id)


def _agents(generation: Generation, stage: StageConfig) -> list[str]:
    return [name_of(stage.agents[i].agent) for i in generation.agents]


def _row(generation: Generation, stage: StageConfig) -> dict[str, Any]:
    return {
        "agents": _agents(generation, stage),
        "fitness_mean": _known(generation.score.mean()),
        "fitness_best": _known(generation.score.max()),
        "check_mean": _known(generation.check.mean()),
        "check_worst": _known(generation.check.min()),
        "real_steps": generation.real_steps,
        "selected": generation.selected,
    }


def _told(generation: Generation, stage: StageConfig) -> str:
    agent = "" if len(stage.agents) == 1 else f"{'+'.join(_agents(generation, stage))}, "
    unmoved = "" if generation.selected else ", nothing to select by"
    return (f"{agent}real return {generation.score.mean():.0f}, best {generation.score.max():.0f}, "
            f"held out {generation.check.mean():.0f}{unmoved}")  # fmt: skip


def require_sound(state: EvolutionState) -> None:
    """Raises `InputError` where no generation of a search had finite returns: training or the environment diverged."""
    if not np.isfinite(float(state.best_check)):
        raise InputError("expected finite returns in some generation, got none: the agents diverge with these settings")


def _history(
    stages: list[list[dict[str, Any]]], best_check: float, spent: list[float], verified: float | None
) -> EvolutionHistory:
    rows = [row for stage in stages for row in stage]
    steps = sum(row["real_steps"] for row in rows)
    columns = {
        name: [row[name] for row in rows] for name in ("fitness_mean", "fitness_best", "check_mean", "check_worst")
    }
    return EvolutionHistory(
        **columns,
        stages=[len(stage) for stage in stages],
        without_selection=sum(not row["selected"] for row in rows),
        best_check=best_check,
        real_steps=steps if verified is None else 0,
        imagined_steps=0 if verified is None else steps,
        verified=verified,
        seconds=spent[0],
        cpu_seconds=spent[1],
    )


def _known(value: float) -> float | None:
    """A number for JSON, which has no NaN."""
    return float(value) if np.isfinite(value) else None


def _work(config: EvolveConfig) -> dict[str, Any]:
    """Everything that decides what the evolution does."""
    agents = [[name_of(inner.agent) for inner in stage.agents] for stage in config.stages]
    files = {"start": config.start and folder_named(config.start), "model": config.model}
    hashes = {name: path and sha256_of(Path(path) / "tensors.safetensors") for name, path in files.items()}
    told = {**asdict(config), **hashes, "kind": _env(config).family, "algorithms": agents}
    content: dict[str, Any] = plain_json(told)
    return content


def _remove(place: Path) -> None:
    if place.is_dir():
        _LAYOUT.remove(place)
