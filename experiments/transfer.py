"""The transfer study: train or plan on each stand-in of an environment, and judge it all on the real one.

Every stage's outcome is kept in the run's folder, so a killed study goes on where it stopped::

    logs/  worlds/world-model/  worlds/bandit/  policies/<world>-<method>-seed<k>/
    report.html  results.json  results.csv  config.json  stages/
"""

import time
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces

from agents.agent_policy import load_policy
from envs.artifact import read_artifact_json
from envs.errors import InputError, unknown_name
from envs.evaluate import evaluate
from envs.files import plain_json
from envs.logs import open_log
from envs.policy import Policy, RandomPolicy
from envs.record import record
from envs.spec import EnvSpec, spec_of
from envs.threads import torch_threads
from experiments.bandit_rewards import bandit_rewards
from experiments.behaviours import make_behaviour
from experiments.configs import TransferConfig
from experiments.evolve import evolve_for
from experiments.evolve_configs import EvolveConfig, FitnessConfig, InnerAgent, StageConfig
from experiments.fit import fit_world_model
from experiments.model_card.policy_ranking import mixtures, rank
from experiments.model_card.text import quality_lines, ranking_told
from experiments.report import write_report
from experiments.results import Results, Row, SeedReturns, make_results, make_row, row_from_json, write_results
from experiments.run_folder import RunFolder
from experiments.train import provenance_of, train
from experiments.worlds import FUNCTIONAL_COPIES, open_world
from planners.configs import PlannerConfig
from planners.planner_policy import PlannerPolicy, make_planner
from worldmodels.quality.views import make_views
from worldmodels.saving import load_model
from worldmodels.training.split import split_episodes

Say = Callable[[str], None]


def transfer(
    config: TransferConfig,
    out: Path | str,
    resume: bool = False,
    overwrite: bool = False,
    say: Say = print,
    progress: bool = True,
) -> Results:
    """Runs the study and writes its report.

    Args:
        config: see `experiments.presets`.
        out: folder of the run.
        resume: go on with the run that is there.
        overwrite: delete the run that is there.
        say: takes one line on what is being done.
        progress: show progress bars.

    Returns:
        The results, which are also in ``out``.

    Raises:
        InputError: see `RunFolder`; an environment or a behaviour that the study cannot serve.
    """
    spec = spec_of(config.env_id)
    behaviour = make_behaviour(config.behaviour, spec)
    _require_served(config, spec)
    folder = RunFolder(Path(out), _as_json(config), resume, overwrite)
    try:
        with torch_threads(1):
            return _Study(config, folder, behaviour, say, progress).run()
    except InputError:
        if folder.is_new:  # nothing was run there before, and with other settings this would not be resumed
            folder.remove()
        raise


def _require_served(config: TransferConfig, spec: EnvSpec) -> None:
    """Raises `InputError` for what a late stage would refuse, so that hours of work do not end in it."""
    if config.env_id not in FUNCTIONAL_COPIES:
        raise unknown_name("environment with compiled dynamics, which evolution needs,", config.env_id,
                           FUNCTIONAL_COPIES)  # fmt: skip
    if not isinstance(spec.action_space, spaces.Discrete):
        raise InputError(f"expected Discrete actions for the study's tree search, {config.env_id} has "
                         f"{spec.action_space}")  # fmt: skip
    size = spaces.utils.flatdim(spec.observation_space)
    if not all(0 <= axis < size for axis in config.bandit_axes):
        raise InputError(f"expected bandit_axes among the {size} dimensions of the observation, "
                         f"got {config.bandit_axes}")  # fmt: skip
    if len(config.observation_names) not in (0, size):
        raise InputError(f"expected {size} observation_names, one a dimension, or none, "
                         f"got {config.observation_names}")  # fmt: skip


def _as_json(config: TransferConfig) -> dict[str, Any]:
    """The configuration as it looks when read back from a file, with lists for tuples."""
    content: dict[str, Any] = plain_json(asdict(config))
    return content


class _Study:
    """The stages, in their order; each is skipped when its outcome is in the folder already."""

    def __init__(self, config: TransferConfig, folder: RunFolder, behaviour: Policy, say: Say, progress: bool):
        self.config, self.folder, self.behaviour, self.say, self.progress = config, folder, behaviour, say, progress
        self.path = folder.path
        self.model_path, self.bandit_path = self.path / "worlds" / "world-model", self.path / "worlds" / "bandit"

    def run(self) -> Results:
        config, stage = self.config, self.folder.stage
        logs = stage("logs", self._record)
        self.say(f"logs: {logs['num_steps']:,} real steps in {logs['num_episodes']:,} episodes, "
                 f"mean return {logs['mean_return']:.1f}")  # fmt: skip
        model = stage("world-model", self._fit)
        self.say("world model, on held-out episodes:\n  " + "\n  ".join(quality_lines(model["quality"])))
        bandit = stage("bandit", self._evolve)
        history = bandit["history"]
        self.say(f"bandit: {len(history['fitness_mean'])} generations, {history['real_steps']:,} real steps; "
                 f"fresh agents reach {history['best_check']:.0f} in the best")  # fmt: skip
        prepared = logs["seconds"] + model["seconds"]
        steps = config.log_steps
        stages = {
            "none-random": lambda: self._judge_random(),
            "real-ppo": lambda: self._train("real", config.env_id, config.real_steps, None, 0.0),
            "world-model-ppo": lambda: self._train("world-model", self.model_path, config.model_steps, steps, prepared),
            "bandit-ppo": lambda: self._train(
                "bandit", self.bandit_path, config.bandit_steps, history["real_steps"], history["seconds"]
            ),
            "world-model-random-shooting": lambda: self._plan("random-shooting", config.shooting, prepared),
            "world-model-mcts": lambda: self._plan("mcts", config.mcts, prepared),
        }
        outcomes = {}
        for name, work in stages.items():
            outcomes[name] = stage(name, work)
            self._say_row(row_from_json(outcomes[name]["row"]))
        model["quality"]["ranking"] = stage("world-model-ranking", self._rank)
        self.say(f"policies in the world model and for real: {ranking_told(model['quality']['ranking'])}")
        return self._finish(logs, model, bandit, outcomes)

    def _record(self) -> dict[str, Any]:
        started = time.perf_counter()
        path, config = self.path / "logs", self.config
        log = record(self.behaviour, config.env_id, config.log_steps, config.seed, path, True, self._bar("recording"))
        returns = [float(log.episode(i).rewards.sum()) for i in range(log.num_episodes)]
        return {
            "num_steps": log.num_steps,
            "num_episodes": log.num_episodes,
            "mean_return": float(np.mean(returns)),
            "sha256": log.sha256,
            "seconds": time.perf_counter() - started,
        }

    def _fit(self) -> dict[str, Any]:
        config, log = self.config, open_log(self.path / "logs")
        fit = replace(config.fit, seed=config.seed)
        bar = self._bar("fitting")
        model, card = fit_world_model(log, self.model_path, config.ensemble, fit, resume=True, progress=bar)
        seconds = model.trained.provenance["seconds"]  # of all processes that worked on it
        views = make_views(model, log, split_episodes(log.lengths, fit).test)
        return {"quality": card, "views": views, "seconds": seconds}

    def _evolve(self) -> dict[str, Any]:
        config = self.config
        agent = InnerAgent(replace(config.ppo, total_steps=config.bandit_steps))
        stage = StageConfig((agent,), config.evolution, FitnessConfig(num_episodes=config.evolution_episodes))
        evolution = EvolveConfig(config.env_id, config.bandit, (stage,), config.seed)
        evolve_for(evolution, self.bandit_path, resume=True, progress=self._bar("evolving"))
        history = read_artifact_json(self.bandit_path, "synthetic_env")["provenance"]["history"]
        rewards = bandit_rewards(self.bandit_path, open_log(self.path / "logs"), config.bandit_axes)
        return {"history": history, "rewards": rewards}

    def _judge_random(self) -> dict[str, Any]:
        started = time.perf_counter()
        seeds = self._judge_together(RandomPolicy(spec_of(self.config.env_id)), "random")
        return {"row": asdict(make_row("none", "random", seeds, 0, time.perf_counter() - started))}

    def _train(
        self, world: str, source: str | Path, num_steps: int, real_steps: int | None, prepared: float
    ) -> dict[str, Any]:
        started, config = time.perf_counter(), self.config
        ppo = replace(config.ppo, total_steps=num_steps)
        opened = open_world(source, config.imagination)
        training = train(opened, ppo, self._seeds(), self._bar(f"PPO on {world}"))
        seconds = prepared + time.perf_counter() - started
        used = ppo.num_updates * ppo.steps_per_update if real_steps is None else real_steps
        origin = source if isinstance(source, str) else source.relative_to(self.path).as_posix()
        training.save(self.path / "policies" / f"{world}-ppo", self._seeds(), provenance_of(origin, training))
        judged = [
            SeedReturns(
                seed, evaluate(policy, config.env_id, config.num_episodes, self._judge_seed(seed)).returns.tolist()
            )
            for seed, policy in zip(self._seeds(), training.policies, strict=True)
        ]
        return {"row": asdict(make_row(world, "ppo", judged, used, seconds)), "curve": training.curve.to_json()}

    def _plan(self, method: str, planner: PlannerConfig, prepared: float) -> dict[str, Any]:
        started = time.perf_counter()
        policy = PlannerPolicy(load_model(self.model_path), make_planner(planner))
        seeds = self._judge_together(policy, f"planning with {method}")
        seconds = prepared + time.perf_counter() - started
        return {"row": asdict(make_row("world-model", method, seeds, self.config.log_steps, seconds))}

    def _judge_together(self, policy: Policy, title: str) -> list[SeedReturns]:
        """A policy without training has only its random choices to vary: all seeds' episodes run in one batch."""
        config, seeds = self.config, self._seeds()
        starts = [self._judge_seed(seed) for seed in seeds]
        found = evaluate(policy, config.env_id, config.num_episodes, starts, progress=self._bar(title))
        rows = found.returns.reshape(len(seeds), config.num_episodes)
        return [SeedReturns(seed, row.tolist()) for seed, row in zip(seeds, rows, strict=True)]

    def _rank(self) -> dict[str, Any]:
        """Ranks the first seed's policy from the world model, and its mixtures with random actions."""
        seed = self._seeds()[0]
        policies = mixtures(load_policy(self.path / "policies" / f"world-model-ppo-seed{seed}"))
        model, title = load_model(self.model_path), self._bar("ranking policies")
        return asdict(rank(model, policies, self.config.num_episodes, self._judge_seed(seed), title))

    def _finish(self, logs: Any, model: Any, bandit: Any, outcomes: dict[str, Any]) -> Results:
        config = self.config
        spec = gymnasium.spec(config.env_id)
        rows = [row_from_json(outcome["row"]) for outcome in outcomes.values()]
        results = make_results(config.env_id, spec.reward_threshold, rows, _as_json(config))
        size = spaces.utils.flatdim(spec_of(config.env_id).observation_space)
        parts = {
            "logs": logs,
            "quality": model["quality"],
            "views": model["views"],
            "spec": spec_of(config.env_id).to_json(),
            "evolution": bandit["history"],
            "bandit_rewards": bandit["rewards"],
            "curves": {
                f"PPO on {row.world}": outcomes[f"{row.world}-ppo"]["curve"] for row in rows if row.method == "ppo"
            },
            "names": config.observation_names or tuple(f"observation {i}" for i in range(size)),
        }
        write_results(results, self.path)
        write_report(results, parts, self.path)
        return results

    def _say_row(self, row: Row) -> None:
        self.say(f"{row.method} on {row.world}: return {row.iqm:.1f} [{row.ci_low:.1f}, {row.ci_high:.1f}], "
                 f"worst seed {row.worst:.1f}, {row.seconds:.0f} s")  # fmt: skip

    def _seeds(self) -> list[int]:
        return [self.config.seed + i for i in range(self.config.num_seeds)]

    def _judge_seed(self, seed: int) -> int:
        """The same real starts for every row, and none that training or recording has seen."""
        return 1_000_000 + seed

    def _bar(self, title: str) -> str | None:
        return title if self.progress else None
