"""Distilling a policy into a bandit: the teacher may be a trained agent, a planner, or trained in a world model.

With a log at hand not one further real step is taken.
"""

import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from envs.artifact import require_artifact_place
from envs.errors import require
from envs.logs import open_log
from envs.policy import Policy
from envs.record import record
from experiments.model_card.policy_ranking import EpsilonPolicy
from synthetic_envs.bandit import Bandit
from synthetic_envs.configs import BanditConfig, DistillationConfig
from synthetic_envs.distillation import distil
from synthetic_envs.saving import save_synthetic

_MOST_ROWS = 4096
_STRAYING = (0.0, 0.2, 0.5, 1.0)
"""Shares of random actions with which the teacher is recorded, so that agents learn what to do off its way, too."""


@dataclass(frozen=True)
class Distillation:
    """What a distillation gave.

    Attributes:
        agreement: see `synthetic_envs.distillation.Distilled`.
        real_steps: observations that contexts were placed by.
        seconds: wall time.
    """

    agreement: float
    real_steps: int
    seconds: float


def distil_policy(
    teacher: Policy,
    title: str,
    logs: Path | None,
    out: Path,
    steps: int = 10_000,
    bandit: BanditConfig | None = None,
    config: DistillationConfig | None = None,
    seed: int = 0,
    overwrite: bool = False,
) -> Distillation:
    """Saves a bandit that teaches what ``teacher`` does, as an artifact.

    Args:
        teacher: asked in single observations, each as the first of an episode.
        title: what it is called in the artifact's provenance.
        logs: of the real environment; its observations say where contexts lie, its actions do not matter. None to
            record the teacher, straying.
        out: folder of the artifact.
        steps: to record where there are no logs.
        bandit: its networks.
        config: of the fits.
        seed: fixes everything.
        overwrite: replace what is at ``out``.

    Raises:
        InputError: a log of another environment, spaces that a bandit cannot serve, or ``out`` exists.
    """
    require_artifact_place(out, overwrite)
    require(0 <= seed < 2**32, "a seed", f"from 0 to {2**32 - 1}", seed)
    started = time.perf_counter()
    observations, source = _observations(teacher, logs, steps, seed)
    env, config = Bandit(teacher.spec, bandit or BanditConfig()), config or DistillationConfig()

    def teach(observations: np.ndarray) -> np.ndarray:
        parts = [observations[i : i + _MOST_ROWS] for i in range(0, len(observations), _MOST_ROWS)]
        return np.concatenate([teacher.act(part, teacher.initial_state(len(part), seed))[0] for part in parts])

    found = distil(env, observations, teach, config, seed)
    told = Distillation(found.agreement, len(observations), time.perf_counter() - started)
    provenance = {"seed": seed, "teacher": title, **source, "distillation": {**asdict(config), **asdict(told)}}
    save_synthetic(out, env, found.params, provenance, overwrite)
    return told


def _observations(teacher: Policy, logs: Path | None, steps: int, seed: int) -> tuple[np.ndarray, dict[str, Any]]:
    """Returns observations ``[N, O]``, those that ended episodes included, and what is to be said of their source."""
    if logs is not None:
        log = open_log(logs)
        teacher.spec.require_same(log.spec, "the teacher", "the log")
        return np.asarray(log.observations, np.float32), {"log_sha256": log.sha256}
    straying = EpsilonPolicy(teacher, *_STRAYING)
    with tempfile.TemporaryDirectory() as folder:
        log = record(straying, teacher.spec.env_id, steps, seed, Path(folder) / "log", progress="recording")
        return np.array(log.observations, np.float32), {"recorded": {"steps": steps, "random_shares": _STRAYING}}
