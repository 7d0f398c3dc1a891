"""Distilling a teacher into a synthetic environment: a trained agent, a planner, an agent trained in a world model.

With a log at hand not one further real step is taken. On classic control the teacher may be the best there is
(`experiments.optimal_q`).
"""

import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
from gymnasium import spaces
from tqdm import tqdm

from agents.agent_policy import load_policy
from envs.artifact import read_artifact_json, require_artifact_place
from envs.errors import InputError, require
from envs.logs import Log, open_log
from envs.policy import Policy
from envs.record import record
from envs.spec import spec_of
from experiments.model_card.policy_ranking import EpsilonPolicy
from experiments.optimal_q import OptimalPolicy, optimal_q
from planners.configs import PlannerConfig
from synthetic_envs.bandit import Bandit
from synthetic_envs.configs import BanditConfig, DistillationConfig, SyntheticConfig
from synthetic_envs.distillation import Distilled, distil_bandit, distil_mdp, distil_potential
from synthetic_envs.lessons import LessonFn, lessons_from_choices, lessons_from_values
from synthetic_envs.mdp import SyntheticMDP
from synthetic_envs.reward_network import RewardNetwork
from synthetic_envs.saving import save_synthetic
from synthetic_envs.synthetic_env import SyntheticEnv, make_synthetic

_OPTIMAL = "optimal:"
_MOST_ROWS = 1024
_STRAYING = (0.0, 0.2, 0.5, 1.0)
"""Shares of random actions with which the teacher is recorded, so that agents learn what to do off its way, too."""
_CUT_OFF = 0.3
"""Share of a return that may be lost behind the end of a recording where values are learned from returns."""


@dataclass(frozen=True)
class Teacher:
    """Who is learned from.

    Attributes:
        policy: asked in single observations, each as the first of an episode.
        title: what it is called in the artifact's provenance.
        value_fn: values ``[N, K]`` of all actions for observations ``[N, O]``, where they are known.
        progress: show a bar where it thinks for more than two seconds.
    """

    policy: Policy
    title: str
    value_fn: Callable[[np.ndarray], np.ndarray] | None = None
    progress: bool = False

    def lesson_fn(self, observations: np.ndarray) -> Any:
        """Tells what to do, and for Discrete actions of known values how much it matters; a `LessonFn`."""
        space = self.policy.spec.action_space
        if self.value_fn is not None and isinstance(space, spaces.Discrete):
            return lessons_from_values(jnp.asarray(self.value_fn(observations)))
        policy = self.policy
        parts = [observations[i : i + _MOST_ROWS] for i in range(0, len(observations), _MOST_ROWS)]
        asked = tqdm(parts, "asking the teacher", unit="part", disable=not self.progress, leave=False, delay=2)
        told = [policy.act(part, policy.initial_state(len(part), seed=0))[0] for part in asked]
        return lessons_from_choices(space, np.concatenate(told))


def optimal_teacher(env_id: str) -> Teacher:
    """Returns the best there is; raises `InputError` where it is not known."""
    q = optimal_q(env_id)
    title = f"the optimum of {env_id} by value iteration on a grid, {q.num_steps:,} steps of its known dynamics"
    return Teacher(OptimalPolicy(env_id), title, lambda observations: np.asarray(q.at(jnp.asarray(observations))))


def teacher_named(name: str, planners: Mapping[str, PlannerConfig] | None = None, model: Path | None = None) -> Teacher:
    """Returns the policy in the folder ``name``, the best there is for ``optimal:ENVIRONMENT``, or a planner.

    Args:
        name: a folder, ``optimal:`` and an environment, or a key of ``planners``.
        planners: settings of the planners that can be named.
        model: folder of the world model that a planner plans on; for planners only.

    Raises:
        InputError: an unknown name, a planner without a model, or a model for a teacher that does not plan.
    """
    planners = planners or {}
    if name.startswith(_OPTIMAL) and model is None:
        return optimal_teacher(name.removeprefix(_OPTIMAL))
    if model is None:
        if name in planners:
            raise InputError(f"expected the model that {name} is to plan on, got none")
        return Teacher(load_policy(Path(name)), name)
    from experiments.policies import open_policy  # torch is loaded only where it is needed

    planner = open_policy(name, read_artifact_json(model)["spec"]["env_id"], planners, model)
    return Teacher(planner, f"{name} on the model at {model}")


@dataclass(frozen=True)
class Distillation:
    """What a distillation gave.

    Attributes:
        agreement: see `synthetic_envs.distillation.Distilled`.
        real_steps: observations that states were placed by.
        seconds: wall time.
        cpu_seconds: of this process.
    """

    agreement: float
    real_steps: int
    seconds: float
    cpu_seconds: float


def distil_for(
    teacher: Teacher,
    out: Path,
    synthetic: SyntheticConfig | None = None,
    logs: Path | None = None,
    steps: int = 10_000,
    config: DistillationConfig | None = None,
    seed: int = 0,
    overwrite: bool = False,
    progress: bool = False,
) -> Distillation:
    """Saves a synthetic environment that teaches what ``teacher`` does, as an artifact.

    Args:
        teacher: who is learned from.
        out: folder of the artifact.
        synthetic: what is made, a bandit by default.
        logs: of the real environment; its observations say where states lie, its actions do not matter for a bandit.
            None to record the teacher, straying.
        steps: to record where there are no logs.
        config: of the fits.
        seed: fixes everything.
        overwrite: replace what is at ``out``.
        progress: show a bar while a slow teacher thinks.

    Raises:
        InputError: a log of another environment, spaces that the synthetic environment cannot serve, or ``out``
            exists.
    """
    require_artifact_place(out, overwrite)
    require(0 <= seed < 2**32, "a seed", f"from 0 to {2**32 - 1}", seed)
    teacher = replace(teacher, progress=progress)
    started, cpu, config = time.perf_counter(), time.process_time(), config or DistillationConfig()
    # The spec of a recording tells no limit of its own; the environment's does.
    env = make_synthetic(spec_of(teacher.policy.spec.env_id), synthetic or BanditConfig())
    with tempfile.TemporaryDirectory() as folder:
        log, source = _log(teacher.policy, logs, steps, seed, Path(folder) / "log")
        found = _distilled(env, teacher, log, config, seed)
        seconds, cpu = time.perf_counter() - started, time.process_time() - cpu
        told = Distillation(found.agreement, len(log.observations), seconds, cpu)
    provenance = {"seed": seed, "teacher": teacher.title, **source, "distillation": {**asdict(config), **asdict(told)}}
    save_synthetic(out, env, found.params, provenance, overwrite)
    return told


def _distilled(env: SyntheticEnv, teacher: Teacher, log: Log, config: DistillationConfig, seed: int) -> Distilled:
    lesson_fn: LessonFn = teacher.lesson_fn
    if isinstance(env, Bandit):  # observations that ended episodes included
        return distil_bandit(env, np.asarray(log.observations, np.float32), lesson_fn, config, seed)
    if isinstance(env, SyntheticMDP):
        return distil_mdp(env, log.transitions(), lesson_fn, config, seed)
    assert isinstance(env, RewardNetwork)
    observations, values = _values(teacher, log, env.config.gamma)
    return distil_potential(env, observations, values, config, seed)


def _log(teacher: Policy, logs: Path | None, steps: int, seed: int, place: Path) -> tuple[Log, dict[str, Any]]:
    """Returns real steps, and what is to be said of their source."""
    if logs is not None:
        log = open_log(logs)
        teacher.spec.require_same(log.spec, "the teacher", "the log")
        return log, {"log_sha256": log.sha256}
    straying = EpsilonPolicy(teacher, *_STRAYING)
    log = record(straying, teacher.spec.env_id, steps, seed, place, progress="recording")
    return log, {"recorded": {"steps": steps, "random_shares": _STRAYING}}


def _values(teacher: Teacher, log: Log, gamma: float) -> tuple[np.ndarray, np.ndarray]:
    """Returns observations ``[N, O]`` and what is still to be earned in them ``[N]``, known or as it was earned."""
    steps = log.transitions()
    if teacher.value_fn is not None:
        return steps.observation, np.asarray(teacher.value_fn(steps.observation)).max(-1)
    returns, whole = discounted_returns(steps.reward, steps.terminated, steps.truncated, gamma)
    kept = whole if whole.sum() >= 2 else np.ones_like(whole)
    return steps.observation[kept], returns[kept]


def discounted_returns(
    reward: np.ndarray, terminated: np.ndarray, truncated: np.ndarray, gamma: float
) -> tuple[np.ndarray, np.ndarray]:
    """Returns what was earned from each step on ``[N]`` float32, and whether too little was cut off to matter ``[N]``.

    Episodes lie one after the other; the last one may be unfinished.
    """
    returns, weight = np.zeros(len(reward), np.float32), np.zeros(len(reward))
    earned, left = 0.0, 1.0
    for i in reversed(range(len(reward))):
        if terminated[i] or truncated[i]:
            earned, left = 0.0, float(not terminated[i])
        earned, left = reward[i] + gamma * earned, gamma * left
        returns[i], weight[i] = earned, left
    return returns, weight <= _CUT_OFF
