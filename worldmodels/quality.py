"""How good a world model is, on episodes it has not seen: open-loop error, reward error, terminations.

Everything is the model's most likely outcome (no noise), started at every step of the held-out episodes (or a sample
of them) and driven by the logged actions. Intervals come from resampling whole episodes, since the steps of one
episode are alike: resampling single steps would make them too narrow.

Shape legend: ``P`` start points, ``E`` episodes, ``K`` horizons, ``N`` steps, ``D`` observation dimensions.
"""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch

from envs.errors import InputError
from envs.logs import Log, Transitions
from envs.world_model import WorldModel

MAX_HORIZON = 25
_MAX_STARTS = 5000
_NUM_RESAMPLES = 1000
_INTERVAL = (2.5, 97.5)


@dataclass(frozen=True)
class ErrorCurve:
    """Root mean square error after 1, ..., K steps, in standard deviations of the held-out observations.

    Attributes:
        error: ``K`` numbers, at least 0.
        low: lower ends of the 95% intervals.
        high: upper ends.
    """

    error: list[float]
    low: list[float]
    high: list[float]


@dataclass(frozen=True)
class TerminationQuality:
    """One-step prediction of terminations, by a continuation below 0.5.

    Attributes:
        num_terminated: terminations among the held-out steps.
        num_predicted: steps that the model ended.
        accuracy: share of steps judged rightly.
        precision: share of the predicted terminations that are real; None where none was predicted.
        recall: share of the real terminations that were predicted; None where none was seen.
    """

    num_terminated: int
    num_predicted: int
    accuracy: float
    precision: float | None
    recall: float | None


@dataclass(frozen=True)
class Quality:
    """What `measure` found.

    Attributes:
        num_episodes: held-out episodes.
        num_steps: their steps.
        num_starts: at each horizon, the start points that the error is a mean over.
        model: the model's open-loop error.
        no_change: the error of predicting that the observation stays as it is.
        reward_error: one-step root mean square error of the reward.
        reward_spread: standard deviation of the held-out rewards: the error of always predicting their mean.
        termination: how well ends are told.
    """

    num_episodes: int
    num_steps: int
    num_starts: list[int]
    model: ErrorCurve
    no_change: ErrorCurve
    reward_error: float
    reward_spread: float
    termination: TerminationQuality

    def to_json(self) -> dict[str, Any]:
        """Returns a JSON object."""
        return asdict(self)


def measure(model: WorldModel, log: Log, episodes: np.ndarray, horizon: int = MAX_HORIZON, seed: int = 0) -> Quality:
    """Measures ``model`` on ``episodes`` (indices ``[E]``) of ``log``, which it should not have been trained on.

    Args:
        model: what is measured.
        log: of the same environment.
        episodes: which episodes.
        horizon: most steps of open-loop prediction, K; fewer where no episode is that long.
        seed: chooses the start points where there are more than 5,000, and the resamples.

    Raises:
        InputError: no episode, or a log of another environment.
    """
    log.spec.require_same(model.spec, "the log", "the world model")
    if len(episodes) == 0 or horizon < 1:
        raise InputError(f"expected at least one episode and a horizon of at least 1, got {len(episodes)}, {horizon}")
    steps, lengths = log.transitions(episodes), log.lengths[episodes]
    horizon = min(horizon, int(lengths.max()))
    starts = _start_points(lengths, np.random.default_rng([seed, 0]))
    model_squares, still_squares = _open_loop_squares(model, steps, starts, horizon)
    resamples = np.random.default_rng([seed, 1]).multinomial(
        len(lengths), np.ones(len(lengths)) / len(lengths), _NUM_RESAMPLES
    )
    reward_error, termination = _one_step(model, steps)
    return Quality(
        num_episodes=len(lengths),
        num_steps=int(lengths.sum()),
        num_starts=np.isfinite(model_squares).sum(0).tolist(),
        model=_curve(model_squares, starts.episode, resamples),
        no_change=_curve(still_squares, starts.episode, resamples),
        reward_error=reward_error,
        reward_spread=float(steps.reward.std()),
        termination=termination,
    )


@dataclass(frozen=True)
class _StartPoints:
    """``row`` ``[P]`` in the flat steps, its ``episode`` ``[P]``, and the ``remaining`` steps ``[P]`` from there."""

    row: np.ndarray
    episode: np.ndarray
    remaining: np.ndarray


def _start_points(lengths: np.ndarray, random: np.random.Generator) -> _StartPoints:
    ends = np.cumsum(lengths)
    rows = np.arange(ends[-1])
    if len(rows) > _MAX_STARTS:
        rows = np.sort(random.choice(rows, _MAX_STARTS, replace=False))
    episode = np.searchsorted(ends, rows, side="right")
    return _StartPoints(rows, episode, ends[episode] - rows)


def _open_loop_squares(
    model: WorldModel, steps: Transitions, starts: _StartPoints, horizon: int
) -> tuple[np.ndarray, np.ndarray]:
    """Mean squared normalised errors ``[P, K]`` of the model and of no change; NaN beyond an episode's end."""
    std = steps.next_observation.std(axis=0, dtype=np.float64)
    inverse = np.divide(1.0, std, out=np.zeros_like(std), where=std > 0)
    squares, still_squares = (np.full((len(starts.row), horizon), np.nan) for _ in range(2))
    first = steps.observation[starts.row]
    state = model.encode(torch.from_numpy(first).to(model.device))
    for k in range(horizon):
        inside = starts.remaining > k
        rows = np.where(inside, starts.row + k, starts.row)  # beyond the end: any action, the result is not used
        imagined = model.step(state, torch.from_numpy(steps.action[rows]).to(model.device))
        state = imagined.state
        truth = steps.next_observation[rows]
        for values, predicted in ((squares, imagined.observation.cpu().numpy()), (still_squares, first)):
            error = np.square((predicted.astype(np.float64) - truth) * inverse).mean(axis=1)
            values[inside, k] = error[inside]
    return squares, still_squares


def _curve(squares: np.ndarray, episode: np.ndarray, resamples: np.ndarray) -> ErrorCurve:
    """Root mean squares over start points; intervals by resampling episodes with ``resamples`` ``[R, E]`` counts."""
    inside = np.isfinite(squares)
    sums, counts = (np.zeros((resamples.shape[1], squares.shape[1])) for _ in range(2))
    np.add.at(sums, episode, np.where(inside, squares, 0.0))
    np.add.at(counts, episode, inside)
    total = resamples @ counts
    means = np.divide(resamples @ sums, total, out=np.full(total.shape, np.nan), where=total > 0)
    low, high = np.sqrt(np.nanpercentile(means, _INTERVAL, axis=0))
    return ErrorCurve(np.sqrt(sums.sum(0) / counts.sum(0)).tolist(), low.tolist(), high.tolist())


def _one_step(model: WorldModel, steps: Transitions) -> tuple[float, TerminationQuality]:
    state = model.encode(torch.from_numpy(steps.observation).to(model.device))
    imagined = model.step(state, torch.from_numpy(steps.action).to(model.device))
    reward_error = np.sqrt(np.square(imagined.reward.cpu().numpy() - steps.reward).mean())
    predicted, real = imagined.continuation.cpu().numpy() < 0.5, steps.terminated
    hits, num_predicted, num_real = int((predicted & real).sum()), int(predicted.sum()), int(real.sum())
    termination = TerminationQuality(
        num_terminated=num_real,
        num_predicted=num_predicted,
        accuracy=float((predicted == real).mean()),
        precision=hits / num_predicted if num_predicted else None,
        recall=hits / num_real if num_real else None,
    )
    return float(reward_error), termination
