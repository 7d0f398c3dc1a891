"""A model's states along logged episodes: what it knew at each step, having seen only what came before.

Shape legend: ``N`` steps, ``E`` episodes, ``O`` the observation's shape, ``A`` the action's shape, ``Y`` predicted
numbers.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from envs.logs import Log, Transitions
from envs.world_model import ModelState, index_state, join_states
from worldmodels.saved_model import PredictiveModel, SavedWorldModel
from worldmodels.starts import StartPoints, Starts, start_rows


@dataclass(frozen=True)
class FilteredTransitions:
    """Some steps of a log and the model's state before each.

    Attributes:
        state: ``[N, ...]``, on the model's device.
        action: ``[N, *A]``, on the model's device.
        target: ``[N, Y]`` float32, the flat next observation, then the reward; on the CPU.
        terminated: ``[N]`` bool, on the CPU.
    """

    state: ModelState
    action: Tensor
    target: Tensor
    terminated: Tensor


def filtered_states(model: PredictiveModel, steps: Transitions, lengths: np.ndarray) -> ModelState:
    """Returns the state ``[N, ...]`` before each of ``steps``, which are whole episodes of ``lengths`` ``[E]`` steps.

    Episodes are followed side by side, so that the cost is one `encode` for each step of the longest.
    """
    observation = torch.from_numpy(steps.observation).to(model.device)
    if not model.remembers:
        return model.encode(observation)
    action = torch.from_numpy(steps.action).to(model.device)
    first = torch.from_numpy(np.cumsum(lengths) - lengths)
    longest_first = torch.from_numpy(np.argsort(-lengths, kind="stable"))
    counts = torch.from_numpy(lengths)[longest_first]
    found, positions = [], []
    state: ModelState | None = None
    for t in range(int(counts[0])):
        under_way = int((counts > t).sum())
        rows = first[longest_first[:under_way]] + t
        before = None if state is None else index_state(state, slice(0, under_way))
        state = model.encode(observation[rows], before, None if before is None else action[rows - 1])
        found.append(state)
        positions.append(rows)
    return index_state(join_states(found), torch.cat(positions).argsort().to(model.device))


def filtered_transitions(
    model: SavedWorldModel, log: Log, episodes: np.ndarray, max_rows: int, seed: int
) -> FilteredTransitions:
    """Returns the steps of ``episodes`` (indices ``[E]``), or ``max_rows`` of them chosen by ``seed``."""
    steps, lengths = log.transitions(episodes), log.lengths[episodes]
    state = filtered_states(model, steps, lengths)
    rows = np.sort(np.random.default_rng([seed, 4]).permutation(len(steps.reward))[:max_rows])
    after = steps.next_observation[rows].reshape(len(rows), -1).astype(np.float32)
    return FilteredTransitions(
        state=index_state(state, torch.from_numpy(rows).to(model.device)),
        action=torch.from_numpy(steps.action[rows]).to(model.device),
        target=torch.from_numpy(np.concatenate((after, steps.reward[rows, None]), axis=1)),
        terminated=torch.from_numpy(steps.terminated[rows]),
    )


def logged_starts(model: SavedWorldModel, log: Log, episodes: np.ndarray, seed: int) -> Starts:
    """Returns where imagined episodes can start: points of ``episodes`` with what the model remembered there."""
    steps, lengths = log.transitions(episodes), log.lengths[episodes]
    memory = model.memory(filtered_states(model, steps, lengths))

    def points(rows: np.ndarray) -> StartPoints:
        observation, chosen = torch.from_numpy(steps.observation[rows]), torch.from_numpy(rows).to(model.device)
        return StartPoints(observation, {name: value.cpu() for name, value in index_state(memory, chosen).items()})

    initial, every = start_rows(log, episodes, seed)
    return Starts(points(initial), points(every))
