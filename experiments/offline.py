"""From logs to agents: fit a world model, train inside it only, and judge the agents on the real environment.

Every stage's outcome is kept in the run's folder, so a killed study goes on where it stopped::

    worlds/world-model/  policies/<algorithm>-seed<k>/  report.html  results.json  results.csv  config.json  stages/

``results.json`` has, beside the table, ``gap``: what the same policies return inside the model, and by how much that is
more than what they return for real (the exploitation gap).
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
from agents.configs import AgentConfig
from agents.table import make_networks, name_of
from envs.artifact import read_artifact_json
from envs.errors import InputError
from envs.evaluate import evaluate
from envs.files import plain_json
from envs.logs import Log, open_log
from envs.policy import Policy, RandomPolicy
from envs.spec import spec_of
from envs.threads import torch_threads
from experiments.branched import train_branched
from experiments.configs import OfflineConfig
from experiments.fit import fit_world_model
from experiments.model_card.policy_ranking import imagined_returns
from experiments.model_card.text import quality_lines
from experiments.offline_report import write_offline_report
from experiments.results import Gap, Results, SeedReturns, make_results, make_row, write_results
from experiments.run_folder import RunFolder
from experiments.statistics import bootstrap_interval, interquartile_mean
from experiments.train import Training, provenance_of, train
from experiments.worlds import open_world
from worldmodels.configs import ModelConfig
from worldmodels.families.table import name_of as family_name_of
from worldmodels.quality.views import make_views
from worldmodels.saving import KIND, load_model

Say = Callable[[str], None]


def offline(
    logs: Path | str,
    out: Path | str,
    config: OfflineConfig,
    model: ModelConfig | Path,
    resume: bool = False,
    overwrite: bool = False,
    say: Say = print,
    progress: bool = True,
) -> tuple[Results, Gap]:
    """Runs the study and writes its report.

    Args:
        logs: folder of the log, all that is ever learned from.
        out: folder of the run.
        config: the study.
        model: settings of the world model to fit, or the folder of one that was learned from this log.
        resume: go on with the run that is there.
        overwrite: delete the run that is there.
        say: takes one line on what is being done.
        progress: show progress bars.

    Returns:
        The table, which is also in ``out``, and the exploitation gap.

    Raises:
        InputError: see `RunFolder`; a log of an environment that is not installed or that the agent cannot serve; or
            a model of another log.
    """
    log = open_log(logs)
    agent = agent_for(log, config)
    content = {"study": asdict(config), "log_sha256": log.sha256, "model": _origin(model, log)}
    folder = RunFolder(Path(out), plain_json(content), resume, overwrite)
    try:
        with torch_threads(1):
            return _Study(config, agent, log, model, folder, say, progress).run(plain_json(content))
    except InputError:
        if folder.is_new:  # nothing was run there before, and with other settings this would not be resumed
            folder.remove()
        raise


def agent_for(log: Log, config: OfflineConfig) -> AgentConfig:
    """Returns the settings of the agent that is to be trained; raises `InputError` where it cannot serve the log."""
    discrete = isinstance(log.spec.action_space, spaces.Discrete)
    name = config.algorithm or ("ppo" if discrete and config.experience == "episodes" else "sac")
    agent: AgentConfig = config.sac if name == "sac" else config.ppo
    spec_of(log.spec.env_id).require_same(log.spec, "the installed environment", "the log")
    make_networks(log.spec, agent)
    return agent


def _origin(model: ModelConfig | Path, log: Log) -> dict[str, Any]:
    """What decides which world model is used, as JSON."""
    if not isinstance(model, Path):
        return {"family": family_name_of(model), "config": asdict(model)}
    content = read_artifact_json(model, KIND)
    learned_from = content["provenance"].get("log_sha256")
    if learned_from != log.sha256:
        raise InputError(f"expected a world model learned from the log at {log.path} (SHA-256 {log.sha256[:12]}...), "
                         f"found one learned from another ({str(learned_from)[:12]}...) at {model}")  # fmt: skip
    return {"artifact": str(model), "json_sha256": content["json_sha256"]}


class _Study:
    """The stages, in their order; each is skipped when its outcome is in the folder already."""

    def __init__(
        self,
        config: OfflineConfig,
        agent: AgentConfig,
        log: Log,
        model: ModelConfig | Path,
        folder: RunFolder,
        say: Say,
        progress: bool,
    ):
        self.config, self.agent, self.log, self.folder, self.say = config, agent, log, folder, say
        self.progress, self.path, self.env_id = progress, folder.path, log.spec.env_id
        self.method = name_of(agent)
        self.fitted = None if isinstance(model, Path) else model
        self.model_path = model if isinstance(model, Path) else self.path / "worlds" / "world-model"

    def run(self, content: dict[str, Any]) -> tuple[Results, Gap]:
        stage = self.folder.stage
        log, model = self.log, stage("world-model", self._prepare)
        self.say(f"logs: {log.num_steps:,} real steps in {log.num_episodes:,} episodes")
        if model["quality"] is not None:
            self.say("world model, on held-out episodes:\n  " + "\n  ".join(quality_lines(model["quality"])))
        random = stage("random", self._judge_random)
        seeds = []
        for seed in self._seeds():
            seeds.append(stage(f"{self.method}-seed{seed}", lambda seed=seed: self._train(seed)))  # type: ignore[misc]
            self.say(f"{self.method}, seed {seed}: real return {np.mean(seeds[-1]['real']):.1f}, imagined "
                     f"{np.mean(seeds[-1]['imagined']):.1f}, {seeds[-1]['seconds']:.0f} s")  # fmt: skip
        return self._finish(content, model, random, seeds)

    def _prepare(self) -> dict[str, Any]:
        if self.fitted is None:
            model = load_model(self.model_path)
            card = model.trained.provenance.get("quality")
        else:
            fit = replace(self.config.fit, seed=self.config.seed)
            bar = self._bar("fitting")
            model, card = fit_world_model(self.log, self.model_path, self.fitted, fit, resume=True, progress=bar)
        provenance = model.trained.provenance
        views = make_views(model, self.log, np.array(provenance["test_episodes"]))
        return {"quality": card, "views": views, "seconds": provenance["seconds"]}

    def _judge_random(self) -> dict[str, Any]:
        started = time.perf_counter()
        returns = [self._judge(RandomPolicy(self.log.spec), seed) for seed in self._seeds()]
        return {"returns": returns, "seconds": time.perf_counter() - started}

    def _train(self, seed: int) -> dict[str, Any]:
        started = time.perf_counter()
        training = self._trained(seed)
        seconds = time.perf_counter() - started
        name = self.path / "policies" / self.method
        inside = self.model_path if self.fitted is None else self.model_path.relative_to(self.path)
        training.save(name, [seed], provenance_of(inside.as_posix(), training))
        policy = load_policy(f"{name}-seed{seed}")  # what is judged is what was saved
        judged = self._judge_seed(seed)
        imagined = imagined_returns(load_model(self.model_path), policy, self.config.episodes, judged)
        return {
            "real": self._judge(policy, seed),
            "imagined": imagined.tolist(),
            "curve": training.curve.to_json(),
            "seconds": seconds,
        }

    def _trained(self, seed: int) -> Training:
        config, title = self.config, self._bar(f"{self.method.upper()} in the model, seed {seed}")
        if config.experience == "branched":
            model = load_model(self.model_path)
            return train_branched(model, self.log, config.sac, config.branched, config.imagination, seed, title)
        return train(open_world(self.model_path, config.imagination), self.agent, [seed], title)

    def _judge(self, policy: Policy, seed: int) -> list[float]:
        returns: list[float] = evaluate(
            policy, self.env_id, self.config.episodes, self._judge_seed(seed)
        ).returns.tolist()
        return returns

    def _finish(
        self, content: dict[str, Any], model: dict[str, Any], random: dict[str, Any], seeds: list[dict[str, Any]]
    ) -> tuple[Results, Gap]:
        spec, numbers = gymnasium.spec(self.env_id), self._seeds()
        by_random = [SeedReturns(seed, row) for seed, row in zip(numbers, random["returns"], strict=True)]
        real = [SeedReturns(seed, one["real"]) for seed, one in zip(numbers, seeds, strict=True)]
        imagined = [SeedReturns(seed, one["imagined"]) for seed, one in zip(numbers, seeds, strict=True)]
        seconds = model["seconds"] + sum(one["seconds"] for one in seeds)
        rows = [
            make_row("none", "random", by_random, 0, random["seconds"]),
            make_row("world-model", self.method, real, self.log.num_steps, seconds),
        ]
        results, gap = make_results(self.env_id, spec.reward_threshold, rows, content), make_gap(imagined, real)
        write_results(results, self.path, {"gap": asdict(gap)})
        write_offline_report(results, gap, self.log, model, [one["curve"] for one in seeds], self.path)
        return results, gap

    def _seeds(self) -> list[int]:
        return [self.config.seed + i for i in range(self.config.seeds)]

    def _judge_seed(self, seed: int) -> int:
        """Starts that no training has seen."""
        return 1_000_000 + seed

    def _bar(self, title: str) -> str | None:
        return title if self.progress else None


def make_gap(imagined: list[SeedReturns], real: list[SeedReturns]) -> Gap:
    """Returns the exploitation gap of the same policies' ``imagined`` and ``real`` returns."""
    inside, outside = (np.array([np.mean(one.returns) for one in seeds]) for seeds in (imagined, real))
    low, high = bootstrap_interval(inside - outside)
    gap = float(interquartile_mean(inside - outside))
    return Gap(imagined, float(interquartile_mean(inside)), gap, low, high)


def gap_told(gap: Gap) -> str:
    """Returns the exploitation gap as a sentence."""
    return (f"In the model the same policies return {gap.imagined_iqm:.1f}: imagined minus real {gap.gap:+.1f} "
            f"[{gap.gap_low:+.1f}, {gap.gap_high:+.1f}].")  # fmt: skip
