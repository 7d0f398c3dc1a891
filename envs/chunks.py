"""`ChunkSampler`: batches of windows of consecutive steps, drawn straight from a memory-mapped log.

Shape legend: ``B`` windows, ``T`` steps a window, ``O`` the observation's shape, ``A`` the action's shape.
"""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from envs.errors import InputError
from envs.logs import Log


@dataclass(frozen=True, eq=False)
class Chunks:
    """Windows of ``T`` steps, each within one episode.

    Attributes:
        observations: ``[B, T+1, *O]``; the last one is what the last action led to.
        actions: ``[B, T, *A]``.
        rewards: ``[B, T]`` float32.
        terminated: ``[B, T]`` bool; only the last step of a window can be True.
        truncated: ``[B, T]`` bool; likewise.
    """

    observations: np.ndarray
    actions: np.ndarray
    rewards: np.ndarray
    terminated: np.ndarray
    truncated: np.ndarray


class ChunkSampler:
    """Draws windows uniformly from all windows of ``length`` steps that lie within one episode.

    Attributes:
        num_windows: how many different windows there are.
    """

    def __init__(
        self,
        log: Log,
        length: int,
        episodes: np.ndarray | None = None,
        short_episodes: Literal["error", "skip"] = "error",
    ):
        """Prepares the windows.

        Args:
            log: where they come from.
            length: steps of a window, at least 1.
            episodes: indices ``[K]`` of the episodes to draw from; all by default.
            short_episodes: what to do about episodes of fewer steps than ``length``.

        Raises:
            InputError: ``length`` below 1, a short episode (with "error"), no episode left (with "skip").
        """
        if length < 1 or short_episodes not in ("error", "skip"):
            raise InputError(f"expected a length of at least 1 and error or skip, got {length} and {short_episodes!r}")
        self._settings = (log, length, episodes, short_episodes)
        episodes = np.arange(log.num_episodes) if episodes is None else np.asarray(episodes)
        log.require_episodes(episodes)
        counts = log.lengths[episodes] - length + 1
        _require_long_enough(log, episodes, length, counts >= 1, short_episodes)
        self._episode_rows = log.episode_starts[episodes][counts >= 1]
        self._ends = np.cumsum(counts[counts >= 1])
        self._before_ends = self._ends - counts[counts >= 1]
        columns = (log.actions, log.rewards, log.terminated, log.truncated)
        self._columns = tuple(_windows(column, length) for column in columns)
        self._observations = _windows(log.observations, length + 1)
        self.num_windows = int(self._ends[-1])

    def sample(self, batch_size: int, rng: np.random.Generator) -> Chunks:
        """Draws ``batch_size`` windows with replacement; raises `InputError` for a batch size below 1."""
        if batch_size < 1:
            raise InputError(f"expected a batch size of at least 1, got {batch_size}")
        windows = rng.integers(self.num_windows, size=batch_size)
        episodes = np.searchsorted(self._ends, windows, side="right")
        rows = self._episode_rows[episodes] + windows - self._before_ends[episodes]
        return Chunks(self._observations[rows], *(column[rows] for column in self._columns))

    def __reduce__(self) -> tuple[type["ChunkSampler"], tuple[Any, ...]]:
        """A sampler goes to another process as its settings: its views would be written out window by window."""
        return ChunkSampler, self._settings


def _require_long_enough(
    log: Log, episodes: np.ndarray, length: int, long_enough: np.ndarray, short_episodes: str
) -> None:
    num_short = len(episodes) - int(long_enough.sum())
    if num_short == len(episodes):
        raise InputError(f"expected an episode of at least {length} steps in {log.path}, all {num_short} are shorter")
    if num_short and short_episodes == "error":
        first = episodes[long_enough.argmin()]
        raise InputError(
            f"{num_short} of {len(episodes)} episodes in {log.path} are shorter than {length} steps "
            f"(episode {first} has {log.lengths[first]}); choose shorter chunks or skip short episodes"
        )


def _windows(column: np.ndarray, length: int) -> np.ndarray:
    """A view ``[R - length + 1, length, ...]`` of all windows of rows.

    Indexing it copies each window as one block: half the time of an index for every row.
    """
    return np.moveaxis(np.lib.stride_tricks.sliding_window_view(column, length, axis=0), -1, 1)
