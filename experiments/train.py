"""Training an agent on any world, several seeds, with learning curves measured on the real environment's dynamics."""

from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from agents.agent import Learner
from agents.agent_policy import AgentPolicy, save_policy
from agents.configs import AgentConfig, BCConfig, ReplayConfig
from agents.table import make_agent
from agents.training.offline import OfflineState, logged_steps, make_offline_training, start_online, start_with_policy
from envs.errors import require
from envs.logs import Log
from envs.spec import EnvSpec
from experiments.train_folder import Point, TrainFolder
from experiments.train_loops import Start, Telling, train_compiled, train_on_host, train_on_log
from experiments.worlds import FUNCTIONAL_COPIES, World


@dataclass(frozen=True)
class Curve:
    """A learning curve of ``S`` seeds.

    Attributes:
        steps: steps taken in the world at each point ``[K]``.
        returns: ``[S][K]``, mean return on a compiled copy of the real dynamics (for the eye only: neither counted
            nor used), or inside the world itself where there is no such copy.
        measured_on: ``real dynamics``, ``the world itself`` or, from a log without a copy of them, ``nothing``.
    """

    steps: list[int]
    returns: list[list[float]]
    measured_on: str

    def last_known(self, row: int) -> float:
        """Returns a seed's last return that is known: no episode may have ended at the last points. NaN for none."""
        known = [value for value in self.returns[row] if not np.isnan(value)]
        return known[-1] if known else float("nan")

    def to_json(self) -> dict[str, Any]:
        """Returns a JSON object, in which a return that is not known (NaN) is null."""
        returns = [[None if np.isnan(value) else value for value in row] for row in self.returns]
        return {**asdict(self), "returns": returns}


@dataclass(frozen=True)
class Training:
    """Trained policies, one a seed.

    Attributes:
        policies: of the seeds in their order.
        curve: how they learned.
        points: all that was measured at the points of the curve.
        log_curve: how they learned from a log before.
    """

    policies: list[AgentPolicy]
    curve: Curve
    points: list[Point] = field(default_factory=list)
    log_curve: Curve | None = None

    def save(self, stem: Path, seeds: Sequence[int], provenance: dict[str, Any]) -> None:
        """Writes the policies as the folders ``<stem>-seed<seed>``, replacing older ones."""
        for policy, seed in zip(self.policies, seeds, strict=True):
            save_policy(f"{stem}-seed{seed}", policy, {**provenance, "seed": seed}, overwrite=True)


@dataclass(frozen=True)
class FromLog:
    """Learning from a log, alone or before collecting begins.

    Attributes:
        log: what to learn from.
        gradient_steps: steps of the optimiser, at least 1.
    """

    log: Log
    gradient_steps: int

    def __post_init__(self) -> None:
        require(self.gradient_steps >= 1, "gradient_steps on a log", "of at least 1", self.gradient_steps)


def train(
    world: World | None,
    config: AgentConfig,
    seeds: Sequence[int],
    progress: str | None = None,
    folder: TrainFolder | None = None,
    from_log: FromLog | None = None,
) -> Training:
    """Trains one agent a seed.

    Args:
        world: to train on; the same agent and the same update serve every kind. None to learn from a log alone.
        config: of the agent, which it thereby chooses; ``total_steps`` is for each seed.
        seeds: at least one.
        progress: title of a progress bar, or None for no bar.
        folder: keeps checkpoints and metrics, and has those of the training that is resumed.
        from_log: learn from this first; what was learned, and the log in the replay buffer, go on in ``world``. PPO,
            A2C and REINFORCE, which need whole rollouts, start in ``world`` with the policy of behaviour cloning.

    Raises:
        InputError: spaces that the agent cannot serve, a seed out of range, neither a world nor a log, a log of another
            environment, an agent that cannot learn from logs, a checkpoint of another training, or one that diverged.
    """
    for seed in seeds:
        require(0 <= seed < 2**32, "a seed", f"from 0 to {2**32 - 1}", seed)
    require_fit(world, config, from_log)
    folder, start, log_curve = folder or TrainFolder(), None, None
    with closing(folder):
        if from_log is not None:
            states, told = _learn_from_log(config, seeds, progress, folder, from_log)
            spec = from_log.log.spec
            log_curve = _curve(told.points, seeds, spec, "nothing")
            if world is None:
                policies = [AgentPolicy(spec, config, state.params) for state in states]
                return Training(policies, log_curve, told.points)
            start = Start(
                [_start(config, state, seed, from_log.log) for state, seed in zip(states, seeds, strict=True)]
            )
        assert world is not None
        loop = train_compiled if world.functional else train_on_host
        with _telling(folder, config.num_updates * config.steps_per_update * len(seeds), progress) as told:
            finals = loop(world, config, seeds, start, told)
    policies = [AgentPolicy(world.spec, config, params) for params in finals]
    return Training(policies, _curve(told.points, seeds, world.spec, "the world itself"), told.points, log_curve)


def require_fit(world: World | None, config: AgentConfig, from_log: FromLog | None) -> None:
    """Raises `InputError` where `train` would refuse a world, an agent or a log; nothing is trained yet."""
    require(world is not None or from_log is not None, "a training", "on a world, from a log, or both", "neither")
    if world is not None:
        make_agent(world.spec, config)
        collects = not isinstance(config, BCConfig)
        require(collects, "an agent that learns by collecting", "such as ppo, which starts with cloned behaviour", "bc")
    if from_log is not None:
        make_offline_training(from_log.log.spec, config if world is None else _learns_from_log(config))
        if world is not None:
            world.spec.require_same(from_log.log.spec, "the world", "the log")


def _learn_from_log(
    config: AgentConfig, seeds: Sequence[int], progress: str | None, folder: TrainFolder, from_log: FromLog
) -> tuple[list[OfflineState], Telling]:
    log, num_steps = from_log.log, from_log.gradient_steps
    with _telling(folder, num_steps * len(seeds), progress and f"{progress} from the log") as told:
        learns = _learns_from_log(config)
        return [train_on_log(log, learns, row, seed, num_steps, told) for row, seed in enumerate(seeds)], told


def _learns_from_log(config: AgentConfig) -> ReplayConfig:
    """Returns the settings of the agent that learns from the log: the same, or a cloner of behaviour with its networks.

    What needs whole rollouts cannot learn from single steps, but can start with a policy.
    """
    if isinstance(config, ReplayConfig):
        return config
    return BCConfig(
        hidden=config.hidden, activation=config.activation, normalise_observations=config.normalise_observations
    )


def _start(config: AgentConfig, state: OfflineState, seed: int, log: Log) -> Learner:
    if not isinstance(config, ReplayConfig):
        return start_with_policy(log.spec, config, state, seed)
    return start_online(log.spec, config, state, logged_steps(log.transitions(), log.spec, config))


@contextmanager
def _telling(folder: TrainFolder, total: int, progress: str | None) -> Iterator[Telling]:
    with tqdm(total=total, desc=progress, unit="step", unit_scale=True, disable=progress is None, leave=False) as bar:
        yield Telling(folder, bar)


def _curve(points: Sequence[Point], seeds: Sequence[int], spec: EnvSpec, otherwise: str) -> Curve:
    measured_on = "real dynamics" if spec.env_id in FUNCTIONAL_COPIES else otherwise
    returns = [[point.returns for point in points if point.row == row] for row in range(len(seeds))]
    return Curve(sorted({point.steps for point in points}), returns, measured_on)


def provenance_of(world_path: str, training: Training) -> dict[str, Any]:
    """Returns what a policy artifact should say of its origin."""
    return {"trained_on": world_path, "curve": training.curve.to_json()}
