"""Windows of consecutive steps for models with a memory; each batch is a function of the seed and its step alone.

Windows slide over every episode and beyond its ends, where they are padded: short episodes, and the first and the last
steps of long ones, count as often as all others. A window that does not begin with its episode starts with ``burn_in``
steps that only fill the memory (Kapturowski et al. 2019, R2D2, https://openreview.net/forum?id=r1lyTjAqYX); so an empty
memory is learned from only where it is one: at the start of an episode.

Shape legend: ``N`` steps in all, ``E`` episodes, ``T`` steps of a window, ``B`` windows of a batch.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from worldmodels.configs import FitConfig

_VALIDATION_WINDOWS = 256


class Windows(NamedTuple):
    """A batch of windows.

    Attributes:
        steps: a named tuple of tensors ``[T, B, ...]``. A window that is shorter than ``T`` is padded at its end.
        counted: ``[T, B]`` bool, the steps that are learned from: neither padding nor there to fill the memory. At
            least one in every window.
    """

    steps: Any
    counted: Tensor


class WindowSource:
    """All windows of some episodes.

    Args:
        steps: a named tuple of tensors ``[N, ...]``: whole episodes one after the other.
        lengths: steps of each episode ``[E]``.
        window: steps of a window, ``T``.
        burn_in: steps that only fill the memory, fewer than ``window``.
    """

    def __init__(self, steps: Any, lengths: np.ndarray, window: int, burn_in: int):
        self._steps, self._lengths, self._window, self._burn_in = steps, lengths, window, burn_in
        self._firsts = np.cumsum(lengths) - lengths
        self._num_windows = lengths + window - burn_in - 1  # the last of an episode counts its last step alone

    def draw(self, num_windows: int, random: np.random.Generator) -> Windows:
        """Returns windows drawn with replacement.

        Every step is counted equally often on average, but for the first ``burn_in`` of an episode: up to ``T /
        (T - burn_in)`` times as often.
        """
        ends = np.cumsum(self._num_windows)
        drawn = random.integers(ends[-1], size=num_windows)
        episode = np.searchsorted(ends, drawn, side="right")
        stop = ends[episode] - drawn
        begin = np.maximum(stop - self._window, 0)
        first_counted = np.where(begin > 0, begin + self._burn_in, 0)
        return self._take(episode, begin, first_counted, np.minimum(stop, self._lengths[episode]))

    def each_step_once(self) -> Iterator[Windows]:
        """Yields windows that together count every step once, in order."""
        stride = self._window - self._burn_in
        counts = -(-self._lengths // stride)
        episode = np.repeat(np.arange(len(counts)), counts)
        first_counted = stride * (np.arange(len(episode)) - np.repeat(np.cumsum(counts) - counts, counts))
        begin = np.maximum(first_counted - self._burn_in, 0)
        stop = np.minimum(first_counted + stride, self._lengths[episode])
        for start in range(0, len(episode), _VALIDATION_WINDOWS):
            part = slice(start, start + _VALIDATION_WINDOWS)
            yield self._take(episode[part], begin[part], first_counted[part], stop[part])

    def _take(self, episode: np.ndarray, begin: np.ndarray, first_counted: np.ndarray, stop: np.ndarray) -> Windows:
        """Gathers windows: of each its episode and the steps at which it begins, counts and stops, each ``[B]``."""
        step = begin + np.arange(self._window)[:, None]
        rows = torch.from_numpy(self._firsts[episode] + np.minimum(step, stop - 1))
        counted = torch.from_numpy((step >= first_counted) & (step < stop))
        return Windows(type(self._steps)(*(column[rows] for column in self._steps)), counted)


class WindowBatches:
    """Training windows; batch ``k`` depends on the seed and k alone, and ``next_step`` is the one that comes next."""

    def __init__(self, source: WindowSource, num_windows: int, config: FitConfig):
        self.next_step = 0
        self._source, self._num_windows, self._config = source, num_windows, config

    def __len__(self) -> int:
        """Batches from one look at the validation episodes to the next."""
        return self._config.updates_per_look

    def __iter__(self) -> Iterator[Windows]:
        for _ in range(len(self)):
            random = np.random.default_rng([self._config.seed, 1, self.next_step])
            self.next_step += 1
            yield self._source.draw(self._num_windows, random)


class ValidationWindows:
    """Windows that count every validation step once, the same ones in the same order each time."""

    def __init__(self, source: WindowSource):
        self._batches = list(source.each_step_once())

    def __len__(self) -> int:
        return len(self._batches)

    def __iter__(self) -> Iterator[Windows]:
        return iter(self._batches)
