"""The commands of ``simulacra``, as dataclasses that tyro reads. Heavy imports happen inside `run`, not here."""

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Literal

import tyro

from agents.configs import PPOConfig
from envs.errors import InputError
from experiments.configs import ImaginationConfig, TransferConfig
from experiments.presets import CARTPOLE
from planners.configs import CEMConfig, MCTSConfig, PlannerConfig, RandomShootingConfig
from synthetic_envs.configs import BanditConfig, EvolutionConfig
from worldmodels.configs import EnsembleConfig, FitConfig


@dataclass(frozen=True)
class Collect:
    """Record logs of a real environment, or import somebody else's."""

    out: Path
    """folder to make"""
    env: str = "CartPole-v1"
    """Gymnasium id of the real environment"""
    steps: int = 10_000
    """steps to record"""
    behaviour: str = "random"
    """who acts: random, mixed (random and a weak scripted rule), or the folder of a policy"""
    source: Path | None = None
    """import this instead of recording: Minari, D4RL-style HDF5, Parquet, CSV or npz (docs/logs.md has the layouts)"""
    source_format: str | None = None
    """format of the source: minari, d4rl, parquet, csv or npz; by default from its name"""
    seed: int = 0
    """fixes the recording"""
    overwrite: bool = False
    """replace a log that is there"""

    def run(self) -> None:
        from envs.logs import Log

        log: Log
        if self.source_format is not None and self.source is None:
            raise InputError("expected --source-format only together with --source")
        if self.source is not None:
            from envs.importers import import_log

            log = import_log(self.source, self.out, self.env, self.source_format, self.overwrite)
        else:
            from envs.record import record
            from envs.spec import spec_of
            from experiments.behaviours import BEHAVIOURS, make_behaviour
            from experiments.policies import is_artifact, open_policy

            spec = spec_of(self.env)
            saved = self.behaviour not in BEHAVIOURS and is_artifact(self.behaviour)
            policy = open_policy(self.behaviour) if saved else make_behaviour(self.behaviour, spec)
            log = record(policy, self.env, self.steps, self.seed, self.out, self.overwrite, "recording")
        print(f"{log.num_steps:,} steps in {log.num_episodes:,} episodes at {self.out}")


@dataclass(frozen=True)
class Fit:
    """Train a world model from logs and measure it on held-out episodes."""

    logs: Path
    """folder of the log"""
    out: Path
    """folder to make"""
    ensemble: EnsembleConfig = field(default_factory=EnsembleConfig)
    fit: FitConfig = field(default_factory=FitConfig)
    overwrite: bool = False
    """replace a world model that is there"""

    def run(self) -> None:
        from envs.artifact import require_artifact_place
        from envs.logs import open_log

        require_artifact_place(self.out, self.overwrite)
        log = open_log(self.logs)
        from experiments.fit import fit_world_model
        from experiments.quality_text import quality_lines

        _, quality = fit_world_model(log, self.out, self.ensemble, self.fit, self.overwrite)
        print("\n".join([f"world model at {self.out}; on held-out episodes:", *quality_lines(quality.to_json())]))


@dataclass(frozen=True)
class Evolve:
    """Evolve a contextual bandit that trains agents for a real environment."""

    out: Path
    """folder to make"""
    env: str = "CartPole-v1"
    """real environment: classic control, whose dynamics are at hand as compiled functions"""
    bandit: BanditConfig = field(default_factory=BanditConfig)
    evolution: EvolutionConfig = field(default_factory=lambda: CARTPOLE.evolution)
    agent: PPOConfig = field(default_factory=lambda: replace(CARTPOLE.ppo, total_steps=CARTPOLE.bandit_steps))
    episodes: int = 16
    """real episodes that score each agent"""
    seed: int = 0
    """fixes the evolution"""
    overwrite: bool = False
    """replace a bandit that is there"""

    def run(self) -> None:
        from envs.artifact import require_artifact_place

        require_artifact_place(self.out, self.overwrite)
        from experiments.evolve import evolve_bandit

        history = evolve_bandit(
            self.env, self.agent, self.out, self.bandit, self.evolution, self.episodes, self.seed, self.overwrite
        )
        print(f"bandit at {self.out}: {len(history.fitness_mean)} generations, {history.real_steps:,} real steps, "
              f"{history.seconds:.0f} s; fresh agents reach {history.best_check:.1f} in the best")  # fmt: skip


@dataclass(frozen=True)
class Train:
    """Train PPO on a real environment, a world model or a bandit."""

    world: str
    """Gymnasium id, or the folder of a world model or synthetic environment"""
    out: Path
    """folder to make"""
    agent: PPOConfig = field(default_factory=PPOConfig)
    imagination: ImaginationConfig = field(default_factory=ImaginationConfig)
    seed: int = 0
    """fixes the training"""
    overwrite: bool = False
    """replace a policy that is there"""

    def run(self) -> None:
        from envs.artifact import require_artifact_place

        require_artifact_place(self.out, self.overwrite)
        from agents.agent_policy import save_policy
        from envs.threads import torch_threads
        from experiments.train import provenance_of, train
        from experiments.worlds import open_world

        with torch_threads(1):
            training = train(open_world(self.world, self.imagination), self.agent, [self.seed], "PPO")
        provenance = {**provenance_of(self.world, training), "seed": self.seed}
        save_policy(self.out, training.policies[0], provenance, self.overwrite)
        curve = training.curve
        print(f"policy at {self.out}; return on {curve.measured_on} after training: {curve.returns[0][-1]:.1f}")


@dataclass(frozen=True)
class Evaluate:
    """Judge a policy or a planner on the real environment."""

    policy: str
    """folder of a policy, random, or a planner: random-shooting, cem, mcts"""
    model: Path | None = None
    """world model to plan on; by default planners plan on the real simulator"""
    env: str = "CartPole-v1"
    """Gymnasium id of the real environment"""
    episodes: int = 20
    """episodes to run"""
    seed: int = 0
    """fixes starts and random choices"""
    stochastic: bool = False
    """let a trained policy sample its actions"""
    random_shooting: RandomShootingConfig = field(default_factory=RandomShootingConfig)
    cem: CEMConfig = field(default_factory=CEMConfig)
    mcts: MCTSConfig = field(default_factory=MCTSConfig)

    def run(self) -> None:
        from envs.evaluate import evaluate
        from envs.threads import torch_threads
        from experiments.policies import open_policy

        planners: dict[str, PlannerConfig] = {
            "random-shooting": self.random_shooting,
            "cem": self.cem,
            "mcts": self.mcts,
        }
        policy = open_policy(self.policy, self.env, planners, self.model, self.stochastic)
        with torch_threads(1):
            found = evaluate(policy, self.env, self.episodes, self.seed, progress="evaluating")
        print(f"{self.policy} on {self.env}, {self.episodes} episodes: mean return {found.returns.mean():.1f}, "
              f"standard deviation {found.returns.std():.1f}, worst {found.returns.min():.1f}")  # fmt: skip


@dataclass(frozen=True)
class Transfer:
    """Train and plan on every stand-in, judge all of it on the real environment, write one report."""

    out: Path
    """folder of the run"""
    preset: str = "cartpole"
    """named configuration; the settings below start from it"""
    resume: bool = False
    """go on with the run that is there, or start a new one where there is none"""
    overwrite: bool = False
    """delete the run that is there"""
    config: TransferConfig = field(default_factory=lambda: CARTPOLE)

    def run(self) -> None:
        from experiments.results import table_lines
        from experiments.transfer import transfer

        results = transfer(self.config, self.out, self.resume, self.overwrite)
        print("\n" + "\n".join(table_lines(results)))
        print(f"\nreport: {self.out / 'report.html'}")


@dataclass(frozen=True)
class Inspect:
    """Say what a log, a world model, a synthetic environment, a policy or a run is."""

    path: Annotated[Path, tyro.conf.Positional]
    """its folder"""
    format: Literal["text", "json"] = "text"
    """how to say it"""

    def run(self) -> None:
        from experiments.inspect import inspect_lines

        print("\n".join(inspect_lines(self.path, as_json=self.format == "json")))


Command = Collect | Fit | Evolve | Train | Evaluate | Transfer | Inspect
COMMANDS: dict[str, type[Command]] = {
    "collect": Collect,
    "fit": Fit,
    "evolve": Evolve,
    "train": Train,
    "evaluate": Evaluate,
    "transfer": Transfer,
    "inspect": Inspect,
}
