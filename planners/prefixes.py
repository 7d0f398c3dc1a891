"""Sequences of Discrete actions that begin alike are imagined once as long as they are alike.

Where a model's outcomes are not drawn, equal actions from an equal state give equal steps. Of the sequences that a
planner draws over a few actions many share their beginnings: two actions make 32 different beginnings of 5 steps,
however many sequences there are.

Shape legend: ``B`` rows, ``N`` sequences a row, ``H`` steps, ``U`` different beginnings.
"""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from envs.world_model import Imagination, ModelState, index_state

ImagineFn = Callable[[ModelState, Tensor], Imagination]
"""Imagines ``[B, H]`` actions from a state ``[B, ...]``."""

_WORTH_SHARING = 0.75
"""Sequences are imagined together where that leaves at most this share of the steps."""


def imagine_shared(state: ModelState, actions: Tensor, imagine: ImagineFn) -> Imagination:
    """Imagines ``actions`` ``[B, N, H]`` from ``state`` ``[B, ...]``: the same as ``imagine`` of all ``B * N`` rows.

    The horizon is cut into parts, in each of which the number of different beginnings at most doubles; a part is
    imagined for those beginnings alone.
    """
    rows, num_sequences, horizon = actions.shape
    beginnings = _beginnings(actions)
    counts = [int(one.max()) + 1 for one in beginnings]
    parts = _parts(counts)
    work = sum((end - start) * counts[end - 1] for start, end in parts)
    source = np.repeat(np.arange(rows), num_sequences)  # where each sequence's state lies at the start of a part
    if work > _WORTH_SHARING * rows * num_sequences * horizon:
        return imagine(index_state(state, torch.from_numpy(source).to(actions.device)), actions.flatten(0, 1))
    flat, done = actions.flatten(0, 1), []
    for start, end in parts:
        of_sequence = beginnings[end - 1]
        _, first = np.unique(of_sequence, return_index=True)  # a sequence that has each beginning
        from_state, chosen, back = (
            torch.from_numpy(one).to(flat.device) for one in (source[first], first, of_sequence)
        )
        imagined = imagine(index_state(state, from_state), flat[chosen, start:end])
        state, source = imagined.state, of_sequence
        done.append((imagined.reward[:, back], imagined.continuation[:, back], _taken(imagined.uncertainty, back)))
    reward, continuation, uncertainty = zip(*done, strict=True)
    return Imagination(
        state=index_state(state, back),
        reward=torch.cat(reward),
        continuation=torch.cat(continuation),
        uncertainty=None if uncertainty[0] is None else torch.cat(uncertainty),
    )


def _taken(values: Tensor | None, index: Tensor) -> Tensor | None:
    return None if values is None else values[:, index]


def _beginnings(actions: Tensor) -> list[np.ndarray]:
    """Returns for each step which of the different beginnings up to it each sequence has ``[B * N]``, from 0 on."""
    rows, num_sequences, horizon = actions.shape
    taken = actions.flatten(0, 1).cpu().numpy()
    taken = taken - taken.min()
    base, now, beginnings = int(taken.max()) + 1, np.repeat(np.arange(rows), num_sequences), []
    for t in range(horizon):
        _, now = np.unique(now * base + taken[:, t], return_inverse=True)
        beginnings.append(now)
    return beginnings


def _parts(counts: list[int]) -> list[tuple[int, int]]:
    """Cuts the steps where the number of beginnings has grown more than twofold."""
    parts, start = [], 0
    for t in range(1, len(counts)):
        if counts[t] > 2 * counts[start]:
            parts.append((start, t))
            start = t
    return [*parts, (start, len(counts))]
