"""What pictures of a world model are drawn from: single steps and whole trajectories, predicted beside real.

Shape legend: ``P`` steps, ``T`` steps of the trajectory, ``D`` observation dimensions (1 for Discrete observations),
``Y = D + 1``, ``R`` samples.
"""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch

from envs.logs import Log
from envs.world_model import ModelState, index_state, num_rows, repeat_state
from worldmodels.quality.finite import finite_json
from worldmodels.quality.held_out import chosen, hold_out
from worldmodels.saved_model import PredictiveModel

LEVEL = 0.9
"""What the predicted interval of a trajectory covers of the samples."""

_MAX_POINTS = 400
_NUM_SAMPLES = 200
_WARM_UP = 10


@dataclass(frozen=True)
class StepView:
    """Some held-out steps: the change of the observation, then the reward.

    Attributes:
        real: ``[P][Y]``.
        predicted: ``[P][Y]``, the most likely outcome.
    """

    real: list[list[float]]
    predicted: list[list[float]]


@dataclass(frozen=True)
class TrajectoryView:
    """One held-out episode and what the model imagines of it, driven by the logged actions from the first row on.

    Attributes:
        seen: steps that the model had seen of the episode before, which is what models that remember go by.
        real: ``[T+1][D]``.
        imagined: ``[T+1][D]``, the most likely outcome.
        low: ``[T+1][D]``, lower end of the interval that holds 90% of sampled imaginations.
        high: ``[T+1][D]``, its upper end.
    """

    seen: int
    real: list[list[float]]
    imagined: list[list[float]]
    low: list[list[float]]
    high: list[list[float]]


def make_views(
    model: PredictiveModel, log: Log, episodes: np.ndarray, max_steps: int = 100, seed: int = 0
) -> dict[str, Any]:
    """Returns, as JSON, what the pictures of ``model`` are drawn from.

    Args:
        model: the world model.
        log: of the same environment.
        episodes: indices ``[E]``, held out; the longest is the trajectory.
        max_steps: follow at most so many steps.
        seed: chooses the single steps and draws the samples.

    Returns:
        ``step`` (`StepView`) and ``trajectory`` (`TrajectoryView`); numbers that are not finite are null.
    """
    views = {
        "step": asdict(view_steps(model, log, episodes, seed)),
        "trajectory": asdict(view_trajectory(model, log, episodes, max_steps, seed)),
    }
    content: dict[str, Any] = finite_json(views)
    return content


def view_steps(model: PredictiveModel, log: Log, episodes: np.ndarray, seed: int = 0) -> StepView:
    """Returns up to 400 steps of ``episodes``, chosen by ``seed``."""
    held_out = hold_out(log, episodes, seed)
    rows = np.sort(np.random.default_rng([seed, 5]).permutation(len(held_out.steps.reward))[:_MAX_POINTS])
    imagined = model.step(chosen(held_out.states(model), rows), held_out.actions(model, rows))
    before = _flat(held_out.steps.observation[rows])
    real, predicted = (_flat(held_out.steps.next_observation[rows]), _flat(imagined.observation.cpu().numpy()))
    rewards = (held_out.steps.reward[rows], imagined.reward.cpu().numpy())
    columns = [
        np.column_stack((after - before, reward)) for after, reward in zip((real, predicted), rewards, strict=True)
    ]
    return StepView(columns[0].tolist(), columns[1].tolist())


def view_trajectory(
    model: PredictiveModel, log: Log, episodes: np.ndarray, max_steps: int = 100, seed: int = 0
) -> TrajectoryView:
    """Returns the longest of ``episodes`` beside the imagination of it; ``seed`` draws the samples."""
    longest = episodes[[int(np.argmax(log.lengths[episodes]))]]
    held_out = hold_out(log, longest, seed)
    steps = held_out.steps
    seen = min(_WARM_UP, len(steps.reward) // 2) if model.remembers else 0
    actions, first = steps.action[seen : seen + max_steps], held_out.states(model)
    state = index_state(first, slice(seen, seen + 1))
    start = steps.observation[seen]
    imagined = _imagine(model, state, start, actions, None)
    generator = torch.Generator(model.device).manual_seed(seed)
    samples = _imagine(model, repeat_state(state, _NUM_SAMPLES), start, actions, generator)
    low, high = np.quantile(samples, [(1 - LEVEL) / 2, (1 + LEVEL) / 2], axis=0)
    real = _flat(np.concatenate((start[None], steps.next_observation[seen : seen + max_steps])))
    return TrajectoryView(seen, real.tolist(), imagined[0].tolist(), low.tolist(), high.tolist())


def _imagine(
    model: PredictiveModel,
    state: ModelState,
    start: np.ndarray,
    actions: np.ndarray,
    generator: torch.Generator | None,
) -> np.ndarray:
    """Returns the flat observations ``[R, T+1, D]`` that ``actions`` ``[T, *A]``, the same in all rows, lead to."""
    rows = num_rows(state)
    path = [_flat(np.repeat(start[None], rows, axis=0))]
    for action in actions:
        same = torch.as_tensor(np.repeat(action[None], rows, axis=0)).to(model.device)
        imagined = model.step(state, same, generator)
        state = imagined.state
        path.append(_flat(imagined.observation.cpu().numpy()))
    return np.stack(path, axis=1)


def _flat(observations: np.ndarray) -> np.ndarray:
    return observations.reshape(len(observations), -1).astype(np.float64)
