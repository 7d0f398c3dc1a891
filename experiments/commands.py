"""The commands of ``simulacra``, as dataclasses that tyro reads. Heavy imports happen inside `run`, not here."""

import sys
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any, Generic, Literal, TypeVar

import tyro

from agents.configs import AgentConfig
from envs.compilation_cache import kept_compilations
from envs.errors import InputError
from experiments.configs import ANYWHERE, OfflineConfig, RankingConfig, TransferConfig
from experiments.evolve_configs import FitnessConfig, ReportConfig
from experiments.presets import CARTPOLE
from experiments.signals import sigterm_raises
from planners.configs import (
    PLANNERS,
    CEMConfig,
    GradientConfig,
    ICEMConfig,
    MCTSConfig,
    MPPIConfig,
    PlannerConfig,
    RandomShootingConfig,
)
from synthetic_envs.configs import (
    BanditConfig,
    DistillationConfig,
    EvolutionConfig,
    MDPConfig,
    RewardNetworkConfig,
    SyntheticConfig,
    TargetBanditConfig,
)
from worldmodels.configs import EpisodeConfig, FitConfig, ModelChoice

Kind = Literal["bandit", "target-bandit", "mdp", "reward-network"]
"""Of synthetic environments."""


@dataclass(frozen=True, kw_only=True)
class _WithPlanners:
    """A command that knows planners by name, and their settings."""

    random_shooting: RandomShootingConfig = field(default_factory=RandomShootingConfig)
    cem: CEMConfig = field(default_factory=CEMConfig)
    icem: ICEMConfig = field(default_factory=ICEMConfig)
    mppi: MPPIConfig = field(default_factory=MPPIConfig)
    gradient: GradientConfig = field(default_factory=GradientConfig)
    mcts: MCTSConfig = field(default_factory=MCTSConfig)

    def planners(self) -> dict[str, PlannerConfig]:
        return {name: getattr(self, name.replace("-", "_")) for name in PLANNERS}


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
    """folder to make; training works in a folder of this name with .fit behind it"""
    model: Annotated[ModelChoice, tyro.conf.arg(name="")] = field(default_factory=ModelChoice)
    fit: FitConfig = field(default_factory=FitConfig)
    ranking: bool = True
    """also rank policies in the model and for real, which trains one inside the model and runs the real environment"""
    resume: bool = False
    """go on with the training that is there, or start a new one where there is none"""
    overwrite: bool = False
    """replace a world model, or an unfinished training, that is there"""

    @sigterm_raises()
    def run(self) -> None:
        from envs.artifact import require_artifact_place
        from envs.logs import open_log
        from envs.work_folder import require_one_choice

        require_one_choice(self.resume, self.overwrite)
        require_artifact_place(self.out, self.overwrite or self.resume)
        log = open_log(self.logs)
        from experiments.fit import finished_model, fit_world_model
        from experiments.model_card.text import quality_lines
        from worldmodels.training.log_warnings import log_warnings
        from worldmodels.training.split import split_episodes

        config = self.model.chosen
        if self.resume and finished_model(log, self.out, config, self.fit) is not None:
            print(f"the world model at {self.out} is complete; nothing is left to do")
            return
        split_episodes(log.lengths, self.fit)  # refuses a log that is too short before anything is said of it
        for warning in log_warnings(log):
            print(f"simulacra: warning: {warning}", file=sys.stderr)
        ranking = RankingConfig() if self.ranking else None
        _, card = fit_world_model(log, self.out, config, self.fit, ranking, self.resume, self.overwrite)
        print("\n".join([f"world model at {self.out}; on held-out episodes:", *quality_lines(card)]))


@dataclass(frozen=True)
class Evolve:
    """Evolve a bandit, a synthetic MDP or a reward network that trains agents for a real environment."""

    out: Path
    """folder to make; evolution works in a folder of this name with .evolve behind it"""
    search: EvolutionConfig
    """of the last stage"""
    fitness: FitnessConfig
    """of the last stage"""
    env: str = "CartPole-v1"
    """real environment whose dynamics are at hand as compiled functions: classic control, or brax/NAME"""
    preset: str = "specialist"
    """how: specialist (one agent with fixed settings, in seconds), general (then two, with drawn settings) or paper
    (all, as published, for hours on a GPU or many workers); the settings below start from it"""
    kind: Kind = "bandit"
    """what is evolved, whose settings are those below under its name; a target bandit's are a bandit's"""
    bandit: BanditConfig = field(default_factory=BanditConfig)
    mdp: MDPConfig = field(default_factory=MDPConfig)
    reward_network: RewardNetworkConfig = field(default_factory=RewardNetworkConfig)
    start: str | None = None
    """folder of a synthetic environment to begin with, evolved or distilled, or the id of one of the zoo's, of the same
    kind and settings; by default evolution begins with random weights"""
    model: str | None = None
    """folder of a world model to measure candidates in, so that its logs alone become a synthetic environment; by
    default they are measured on the real dynamics"""
    seed: int = 0
    """fixes the evolution"""
    workers: int = 1
    """processes that evaluate candidates, of which a generation has search.num-jobs parts to give; they change
    nothing but the time it takes"""
    report: bool = True
    """also write report.html into the folder, for which fresh agents are trained in the environment and directly"""
    resume: bool = False
    """go on with the evolution that is there, or start a new one where there is none"""
    overwrite: bool = False
    """replace an environment, or an unfinished evolution, that is there"""

    @sigterm_raises()
    @kept_compilations()
    def run(self) -> None:
        from envs.artifact import require_artifact_place
        from envs.work_folder import require_one_choice

        require_one_choice(self.resume, self.overwrite)
        require_artifact_place(self.out, self.overwrite or self.resume)
        from experiments.evolve import evolve_for
        from experiments.evolve_presets import evolve_preset

        preset = evolve_preset(self.env, self.preset)
        last = replace(preset.stages[-1], search=self.search, fitness=self.fitness)
        stages = (*preset.stages[:-1], last)
        config = replace(
            preset, synthetic=_chosen(self), start=self.start, model=self.model, stages=stages, seed=self.seed
        )
        history = evolve_for(config, self.out, self.workers, self.resume, self.overwrite)
        if history is None:
            print(f"the {self.kind} at {self.out} is complete; nothing is left to do")
        else:
            steps, where = f"{history.real_steps:,} real steps", ""
            if self.model is not None:
                steps, where = f"{history.imagined_steps:,} imagined steps and no real one", ", in the world model"
            found = f"fresh agents reach {history.best_check:.1f} in the best{where}"
            if history.verified is not None:
                found += f", and {history.verified:.1f} on the real environment"
            print(f"{self.kind} at {self.out}: {len(history.fitness_mean)} generations, {steps}, "
                  f"{history.seconds:.0f} s; {found}")  # fmt: skip
        if history is not None and history.without_selection:
            print(f"simulacra: warning: in {history.without_selection} generations all candidates did equally well or "
                  "none was finite, so the search stayed where it was", file=sys.stderr)  # fmt: skip
        if self.report and not (self.out / "report.html").exists():  # an interruption may have come before it
            self._write_report()

    def _write_report(self) -> None:
        from experiments.evolve_report import write_evolve_report

        try:
            print(f"report: {write_evolve_report(self.out, self.out / 'report.html')}")
        except InputError as error:  # what was evolved is saved all the same
            print(f"simulacra: warning: there is no report: {error}", file=sys.stderr)


@dataclass(frozen=True)
class Distil(_WithPlanners):
    """Make a bandit, a synthetic MDP or a reward network that teaches what a policy does, without evolution."""

    policy: str
    """folder of the policy, the teacher: trained on the real environment, or in a world model of the log; or
    optimal:NAME for the best there is on an environment of classic control; or a planner on a model:
    random-shooting, cem, icem, mppi, gradient, mcts"""
    out: Path
    """folder to make"""
    model: Path | None = None
    """folder of the world model that a planner plans on"""
    logs: Path | None = None
    """folder of a log of the real environment, which says where its states lie; by default the policy is recorded,
    with more and less of random actions"""
    steps: int = 10_000
    """steps to record where there is no log"""
    kind: Kind = "bandit"
    """what is made, whose settings are those below under its name; a target bandit's are a bandit's"""
    bandit: BanditConfig = field(default_factory=BanditConfig)
    mdp: MDPConfig = field(default_factory=MDPConfig)
    reward_network: RewardNetworkConfig = field(default_factory=RewardNetworkConfig)
    distillation: DistillationConfig = field(default_factory=DistillationConfig)
    seed: int = 0
    """fixes the distillation"""
    overwrite: bool = False
    """replace what is there"""

    @kept_compilations()
    def run(self) -> None:
        from envs.artifact import require_artifact_place

        require_artifact_place(self.out, self.overwrite)
        from experiments.distil import distil_for, teacher_named

        told = distil_for(
            teacher_named(self.policy, self.planners(), self.model), self.out, _chosen(self), self.logs, self.steps,
            self.distillation, self.seed, self.overwrite, progress=True,
        )  # fmt: skip
        meaning = "of the values' variance is in its potential" if self.kind == "reward-network" else (
            "of new states are paid best for what the teacher does"
        )  # fmt: skip
        print(f"{self.kind} at {self.out}, distilled in {told.seconds:.0f} s: {told.agreement:.1%} {meaning}")


def _chosen(command: Evolve | Distil) -> SyntheticConfig:
    """Returns the settings of the kind that a command makes."""
    kinds: dict[str, SyntheticConfig] = {
        "bandit": command.bandit,
        "target-bandit": TargetBanditConfig(**vars(command.bandit)),
        "mdp": command.mdp,
        "reward-network": command.reward_network,
    }
    return kinds[command.kind]


Settings = TypeVar("Settings", bound=AgentConfig)


@dataclass(frozen=True)
class Train(Generic[Settings]):
    """Train an agent on a real environment, a world model or a bandit, from logs, or from logs first."""

    out: Path
    """folder to make; training works in a folder of this name with .train behind it"""
    agent: Settings
    """settings of the agent; by default those tuned for the environment, or the algorithm's own"""
    world: str | None = None
    """Gymnasium id, or the folder of a world model or synthetic environment; none to learn from logs alone"""
    logs: Path | None = None
    """folder of a log to learn from, alone (bc, cql, iql, td3-bc, and what else learns from single steps) or before
    going on in the world (ppo, a2c and reinforce begin with cloned behaviour)"""
    gradient_steps: int = 10_000
    """steps of the optimiser on the log"""
    algorithm: str = "ppo"
    """the agent, whose settings are those below; its names are above"""
    imagination: EpisodeConfig = ANYWHERE
    seed: int = 0
    """fixes the training"""
    resume: bool = False
    """go on with the training that is there, or start a new one where there is none"""
    overwrite: bool = False
    """replace a policy, or an unfinished training, that is there"""

    @sigterm_raises()
    @kept_compilations()
    def run(self) -> None:
        from envs.artifact import require_artifact_place
        from envs.work_folder import require_one_choice

        if self.world is None and self.logs is None:
            raise InputError("expected --world to train on, --logs to learn from, or both; got neither")
        require_one_choice(self.resume, self.overwrite)
        require_artifact_place(self.out, self.overwrite or self.resume)
        from experiments.train_policy import Source, train_policy

        source = Source(self.world, self.logs, self.gradient_steps, self.imagination)
        curve = train_policy(source, self.out, self.agent, self.seed, self.resume, self.overwrite)
        if curve is None:
            print(f"the policy at {self.out} is complete; nothing is left to do")
        elif curve.measured_on == "nothing":
            print(f"policy at {self.out}; simulacra evaluate says what it is worth")
        else:
            print(f"policy at {self.out}; return on {curve.measured_on} after training: {curve.last_known(0):.1f}")


@dataclass(frozen=True)
class Evaluate(_WithPlanners):
    """Judge a policy or a planner on the real environment."""

    policy: str
    """folder of a policy, random, or a planner: random-shooting, cem, icem, mppi, gradient, mcts"""
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

    @kept_compilations()
    def run(self) -> None:
        from envs.evaluate import evaluate
        from envs.threads import torch_threads
        from experiments.policies import open_policy, planning_cost, where_to_act

        policy = open_policy(self.policy, self.env, self.planners(), self.model, self.stochastic)
        with torch_threads(1):
            world = where_to_act(policy, self.env)
            alone = not isinstance(world, str)  # environments that are watched may look the same in different states
            found = evaluate(policy, world, self.episodes, self.seed, 1 if alone else 128, progress="evaluating")
        print(f"{self.policy} on {self.env}, {self.episodes} episodes: mean return {found.returns.mean():.1f}, "
              f"standard deviation {found.returns.std():.1f}, worst {found.returns.min():.1f}")  # fmt: skip
        if (cost := planning_cost(policy)) is not None:
            print(f"planning took {cost}")


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

    @kept_compilations()
    def run(self) -> None:
        from experiments.results import table_lines
        from experiments.transfer import transfer

        results = transfer(self.config, self.out, self.resume, self.overwrite)
        print("\n" + "\n".join(table_lines(results)))
        print(f"\nreport: {self.out / 'report.html'}")


@dataclass(frozen=True)
class Offline:
    """From logs to agents trained inside a world model of them only, judged on the real environment, with a report."""

    logs: Path
    """folder of the log"""
    out: Path
    """folder of the run"""
    model: Path | None = None
    """a world model learned from this log; by default one is fitted"""
    resume: bool = False
    """go on with the run that is there, or start a new one where there is none"""
    overwrite: bool = False
    """delete the run that is there"""
    config: Annotated[OfflineConfig, tyro.conf.arg(name="")] = field(default_factory=OfflineConfig)
    choice: Annotated[ModelChoice, tyro.conf.arg(name="")] = field(default_factory=ModelChoice)

    @sigterm_raises()
    @kept_compilations()
    def run(self) -> None:
        if self.model is not None and self.choice != ModelChoice():
            raise InputError("expected settings of a world model to fit, or the world model at --model, got both")
        from experiments.offline import gap_told, offline
        from experiments.results import table_lines

        model = self.choice.chosen if self.model is None else self.model
        results, gap = offline(self.logs, self.out, self.config, model, self.resume, self.overwrite)
        print("\n" + "\n".join(table_lines(results)))
        print(f"{gap_told(gap)}\n\nreport: {self.out / 'report.html'}")


@dataclass(frozen=True)
class Zoo:
    """List the ready-made synthetic environments: how each came about, and what agents learn in it."""

    name: Annotated[str | None, tyro.conf.Positional] = None
    """only this one"""

    def run(self) -> None:
        from experiments.zoo_recipes import card_lines
        from synthetic_envs.zoo import NAMES, read_card

        for name in NAMES if self.name is None else (self.name,):
            print("\n".join(card_lines(read_card(name))))


@dataclass(frozen=True)
class Report:
    """Write what a synthetic environment is worth, evolved or distilled, as one HTML page; trains agents to tell."""

    path: Annotated[str, tyro.conf.Positional]
    """its folder, or the id of one of the zoo's, such as simulacra/CartPole-bandit-v1"""
    out: Path | None = None
    """HTML file to write; by default report.html in the folder, for the zoo's <name>-report.html right here"""
    overwrite: bool = False
    """replace a page that is there"""
    config: Annotated[ReportConfig, tyro.conf.arg(name="")] = field(default_factory=ReportConfig)

    @kept_compilations()
    def run(self) -> None:
        from envs.artifact import read_artifact_json
        from envs.files import require_free
        from synthetic_envs.zoo import folder_named

        folder = folder_named(self.path)
        read_artifact_json(folder, "synthetic_env")
        beside = folder / "report.html" if folder == Path(self.path) else Path(f"{folder.name}-report.html")
        out = beside if self.out is None else self.out
        require_free(out, self.overwrite)
        from experiments.evolve_report import write_evolve_report

        print(f"report: {write_evolve_report(folder, out, self.config)}")


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


Command = Collect | Fit | Evolve | Distil | Train[Any] | Evaluate | Offline | Transfer | Zoo | Report | Inspect
COMMANDS: dict[str, type[Command]] = {
    "collect": Collect,
    "fit": Fit,
    "evolve": Evolve,
    "distil": Distil,
    "train": Train,
    "evaluate": Evaluate,
    "offline": Offline,
    "transfer": Transfer,
    "zoo": Zoo,
    "report": Report,
    "inspect": Inspect,
}
