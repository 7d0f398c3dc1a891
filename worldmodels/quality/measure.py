"""`measure`: all that can be known of a world model from held-out episodes, beside the trivial baselines.

Shape legend: ``E`` episodes, ``K`` horizons, ``Y`` predicted numbers.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

import numpy as np
from gymnasium import spaces

from envs.errors import require
from envs.logs import Log
from worldmodels.prediction import Categorical, Mixture
from worldmodels.quality.calibration import Coverage, Reliability, coverage_of, reliability_of
from worldmodels.quality.finite import finite_json
from worldmodels.quality.held_out import HeldOut, Scales, hold_out, vector_scales
from worldmodels.quality.intervals import EpisodeResampling, Estimate, Interval
from worldmodels.quality.likelihood import categorical_surprise, mixture_surprise
from worldmodels.quality.one_step import (
    OneStep,
    TerminationQuality,
    predict_one_step,
    reward_error,
    step_errors,
    termination_quality,
)
from worldmodels.quality.open_loop import OpenLoop, open_loop
from worldmodels.quality.uncertainty import UncertaintyQuality, uncertainty_quality
from worldmodels.saved_model import PredictiveModel
from worldmodels.training.split import Split

MAX_HORIZON = 25


@dataclass(frozen=True)
class Quality:
    """What `measure` found. Where there is one entry a contestant, the names are ``model`` and the baselines'.

    Attributes:
        num_episodes: held-out episodes.
        num_steps: their steps.
        num_rows: steps that one-step measures were made on.
        num_starts: at each horizon, the start points that the open-loop error is a mean over, ``K``.
        unit: of the open-loop error: ``standard deviations`` or ``share of wrong states``.
        open_loop: each contestant's error after 1, ..., ``K`` steps.
        surprise: each contestant's negative log-likelihood, nats a predicted number, or a state.
        coverage: each contestant's coverage of central intervals; empty for Discrete observations.
        reliability: each contestant's confidence and accuracy; empty for vectors.
        reward_error: each contestant's one-step root mean square error of the reward.
        reward_spread: standard deviation of the held-out rewards: the error of always predicting their mean.
        termination: how well each contestant tells ends.
        termination_in_log: whether any episode of the whole log was terminated.
        uncertainty: whether the model is unsure where it is wrong.
    """

    num_episodes: int
    num_steps: int
    num_rows: int
    num_starts: list[int]
    unit: str
    open_loop: dict[str, Estimate]
    surprise: dict[str, Interval]
    coverage: dict[str, Coverage]
    reliability: dict[str, Reliability]
    reward_error: dict[str, float]
    reward_spread: float
    termination: dict[str, TerminationQuality]
    termination_in_log: bool
    uncertainty: UncertaintyQuality

    def to_json(self) -> dict[str, Any]:
        """Returns a JSON object, in which a number that is not finite, as the error of what diverged, is null."""
        content: dict[str, Any] = finite_json(asdict(self))
        return content


def measure(
    model: PredictiveModel,
    baselines: Mapping[str, PredictiveModel],
    log: Log,
    split: Split,
    horizon: int = MAX_HORIZON,
    seed: int = 0,
) -> Quality:
    """Measures ``model`` on the test episodes of ``log``, which it should not have been trained on.

    Args:
        model: what is measured.
        baselines: by name, what it is measured beside.
        log: of the same environment.
        split: its test episodes are measured on; the training episodes set the units of errors.
        horizon: most steps of open-loop prediction, K; fewer where no episode is that long.
        seed: chooses steps where there are too many, and the resamples of the intervals.

    Raises:
        InputError: no test episode, a horizon below 1, or a log of another environment.
    """
    log.spec.require_same(model.spec, "the log", "the world model")
    require(horizon >= 1, "horizon", "of at least 1", horizon)
    held_out = hold_out(log, split.test, seed)
    space = log.spec.observation_space
    first_state = int(space.start) if isinstance(space, spaces.Discrete) else 0
    scales = None if isinstance(space, spaces.Discrete) else vector_scales(log, split.train)
    horizon = min(horizon, int(held_out.lengths.max()))
    found = {name: _look(one, held_out, scales, horizon) for name, one in {"model": model, **baselines}.items()}
    ours = found["model"]
    starts = EpisodeResampling(held_out.episode_of(held_out.starts), len(held_out.lengths), seed)
    rows = EpisodeResampling(held_out.episode_of(held_out.rows), len(held_out.lengths), seed)
    return Quality(
        num_episodes=len(held_out.lengths),
        num_steps=int(held_out.lengths.sum()),
        num_rows=len(held_out.rows),
        num_starts=ours.rollouts.inside.sum(0).tolist(),
        unit="share of wrong states" if scales is None else "standard deviations",
        open_loop={name: _curve(one.rollouts, starts, scales) for name, one in found.items()},
        surprise={name: rows.mean_of(_surprise(one.step, scales, first_state)) for name, one in found.items()},
        coverage=_coverages(found, scales, rows),
        reliability=_reliabilities(found, first_state),
        reward_error={name: reward_error(one.step) for name, one in found.items()},
        reward_spread=float(ours.step.truth.reward.std(dtype=np.float64)),
        termination={
            name: termination_quality(one.step.ends, one.step.truth.terminated) for name, one in found.items()
        },
        termination_in_log=bool(np.asarray(log.terminated).any()),
        uncertainty=uncertainty_quality(ours.step.uncertainty, step_errors(ours.step, scales), ours.rollouts),
    )


class _Found(NamedTuple):
    """What one contestant said."""

    rollouts: OpenLoop
    step: OneStep


def _look(model: PredictiveModel, held_out: HeldOut, scales: Scales | None, horizon: int) -> _Found:
    states = held_out.states(model)
    return _Found(open_loop(model, states, held_out, scales, horizon), predict_one_step(model, states, held_out))


def _curve(rollouts: OpenLoop, resampling: EpisodeResampling, scales: Scales | None) -> Estimate:
    average = resampling.mean if scales is None else resampling.root_mean
    return average(rollouts.error, rollouts.inside)


def _surprise(step: OneStep, scales: Scales | None, first_state: int) -> np.ndarray:
    if isinstance(step.expected, Categorical):
        return categorical_surprise(step.expected, step.truth.observation - first_state)
    assert scales is not None
    return mixture_surprise(step.expected, step.truth.target, scales.target)


def _coverages(found: dict[str, _Found], scales: Scales | None, rows: EpisodeResampling) -> dict[str, Coverage]:
    covered = {
        name: coverage_of(one.step.expected, one.step.truth.target, scales.target, rows)
        for name, one in found.items()
        if scales is not None and isinstance(one.step.expected, Mixture)
    }
    return {name: one for name, one in covered.items() if one is not None}


def _reliabilities(found: dict[str, _Found], first_state: int) -> dict[str, Reliability]:
    return {
        name: reliability_of(one.step.expected, one.step.truth.observation - first_state)
        for name, one in found.items()
        if isinstance(one.step.expected, Categorical)
    }
