"""Logs: recorded episodes, read from disk without loading them.

Shape legend: ``R`` rows of all episodes (an episode of ``T`` steps takes ``T + 1``, see `envs.log_format`),
``N`` steps, ``E`` episodes, ``O`` the observation's shape, ``A`` the action's shape.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from tokenize import TokenError
from typing import Any

import numpy as np

from envs.errors import InputError
from envs.files import sha256_of
from envs.log_format import HEADER_BYTES, MANIFEST, Column, column_file, columns_of, read_manifest, require_columns
from envs.spec import EnvSpec


@dataclass(frozen=True, eq=False)
class Episode:
    """One episode of ``T`` steps.

    Attributes:
        observations: ``[T+1, *O]``; the last one is what the last action led to.
        actions: ``[T, *A]``.
        rewards: ``[T]`` float32.
        terminated: the environment ended the episode at its last step.
        truncated: a limit, or the end of the recording, cut the episode after its last step.
    """

    observations: np.ndarray
    actions: np.ndarray
    rewards: np.ndarray
    terminated: bool
    truncated: bool


@dataclass(frozen=True, eq=False)
class Transitions:
    """Single steps, in the order of the log.

    Attributes:
        observation: ``[N, *O]``.
        action: ``[N, *A]``.
        reward: ``[N]`` float32.
        terminated: ``[N]`` bool.
        truncated: ``[N]`` bool.
        next_observation: ``[N, *O]``, also after an end: never the start of the next episode.
    """

    observation: np.ndarray
    action: np.ndarray
    reward: np.ndarray
    terminated: np.ndarray
    truncated: np.ndarray
    next_observation: np.ndarray


@dataclass(frozen=True, eq=False)
class Log:
    """An open log. Make one with `open_log`; its arrays are read-only and stay on disk until they are indexed.

    The last row of an episode holds only its final observation; the other columns are zero there.

    Attributes:
        path: the folder.
        spec: the environment that was recorded.
        manifest: the content of ``manifest.json``.
        observations: ``[R, *O]``.
        actions: ``[R, *A]``.
        rewards: ``[R]`` float32.
        terminated: ``[R]`` bool.
        truncated: ``[R]`` bool.
        episode_starts: ``[E+1]`` int64, the first row of each episode, then ``R``.
    """

    path: Path
    spec: EnvSpec
    manifest: dict[str, Any]
    observations: np.ndarray
    actions: np.ndarray
    rewards: np.ndarray
    terminated: np.ndarray
    truncated: np.ndarray
    episode_starts: np.ndarray

    @property
    def num_episodes(self) -> int:
        return len(self.episode_starts) - 1

    @property
    def num_steps(self) -> int:
        return len(self.observations) - self.num_episodes

    @property
    def lengths(self) -> np.ndarray:
        """Steps of each episode, ``[E]`` int64."""
        return np.diff(self.episode_starts) - 1

    @property
    def sha256(self) -> str:
        """One hash that identifies the contents: equal for equal episodes of the same environment."""
        return self.manifest["sha256"]

    def episode(self, index: int) -> Episode:
        """Returns a copy of one episode; raises `InputError` for an index outside ``[0, E)``."""
        self.require_episodes(np.array([index]))
        start, stop = self.episode_starts[index], self.episode_starts[index + 1]
        return Episode(
            observations=np.array(self.observations[start:stop]),
            actions=np.array(self.actions[start : stop - 1]),
            rewards=np.array(self.rewards[start : stop - 1]),
            terminated=bool(self.terminated[stop - 2]),
            truncated=bool(self.truncated[stop - 2]),
        )

    def transitions(self, episodes: np.ndarray | None = None) -> Transitions:
        """Returns the steps of ``episodes`` (indices ``[K]``, all by default), copied into memory.

        Raises:
            InputError: an index outside ``[0, E)``.
        """
        rows = self._step_rows(np.arange(self.num_episodes) if episodes is None else np.asarray(episodes))
        return Transitions(
            observation=np.asarray(self.observations)[rows],
            action=np.asarray(self.actions)[rows],
            reward=np.asarray(self.rewards)[rows],
            terminated=np.asarray(self.terminated)[rows],
            truncated=np.asarray(self.truncated)[rows],
            next_observation=np.asarray(self.observations)[rows + 1],
        )

    def _step_rows(self, episodes: np.ndarray) -> np.ndarray:
        """Rows ``[N]`` that hold a step: runs of consecutive rows, made by one cumulative sum of offsets."""
        self.require_episodes(episodes)
        lengths = self.lengths[episodes]
        first_steps = np.cumsum(lengths) - lengths
        return np.arange(lengths.sum()) + np.repeat(self.episode_starts[episodes] - first_steps, lengths)

    def require_episodes(self, episodes: np.ndarray) -> None:
        """Raises `InputError` unless ``episodes`` are indices ``[K]`` in ``[0, E)``."""
        if episodes.ndim != 1 or episodes.dtype.kind not in "iu":
            raise InputError(f"expected episode indices [K], got {episodes.dtype} of shape {episodes.shape}")
        outside = episodes[(episodes < 0) | (episodes >= self.num_episodes)]
        if len(outside):
            raise InputError(f"expected episodes in [0, {self.num_episodes}) of {self.path}, got {outside[0]}")

    def __reduce__(self) -> tuple[Callable[..., "Log"], tuple[Path, bool]]:
        """A log goes to another process as its path, not as its data."""
        return open_log, (self.path, False)


def open_log(path: Path | str, verify: bool = True) -> Log:
    """Opens a log for reading; one left by a recorder that was killed has every episode finished before that.

    Args:
        path: the folder.
        verify: check the SHA-256 of every file (reads all of it); sizes and counts are always checked.

    Raises:
        InputError: no log there, no episode in it, a newer format, a truncated or changed file, or a manifest and
            data that disagree.
    """
    path = Path(path)
    manifest = read_manifest(path)
    if manifest["num_episodes"] == 0:
        raise InputError(f"expected episodes in {path}, found an empty log")
    spec = EnvSpec.from_json(manifest["spec"])
    columns = columns_of(spec)
    require_columns(manifest, columns, path / MANIFEST)
    arrays = {name: _map_column(path, manifest, name, column, verify) for name, column in columns.items()}
    _require_counts(path, manifest, arrays["episode_starts"])
    return Log(path, spec, manifest, **arrays)


def _map_column(folder: Path, manifest: dict[str, Any], name: str, column: Column, verify: bool) -> np.ndarray:
    file = column_file(folder, name)
    num_rows = manifest["num_episodes"] + 1 if name == "episode_starts" else manifest["num_rows"]
    num_bytes = num_rows * column.row_bytes
    if not file.is_file():
        raise InputError(f"expected {file}, which {MANIFEST} describes, found nothing")
    size = file.stat().st_size
    if size < HEADER_BYTES + num_bytes:
        raise InputError(f"{file} is truncated: expected {HEADER_BYTES + num_bytes} bytes, found {size}")
    if manifest["closed"]:  # a recorder that was killed may leave more rows than count, and a header that says so
        _require_header(file, column, num_rows)
        if size > HEADER_BYTES + num_bytes:
            raise InputError(f"{file} and {MANIFEST} disagree: expected {HEADER_BYTES + num_bytes} bytes, found {size}")
    if verify and sha256_of(file, HEADER_BYTES, num_bytes) != manifest["columns"][name]["sha256"]:
        raise InputError(f"{file} was changed: its SHA-256 is not the one that {MANIFEST} records")
    array = np.memmap(file, column.dtype, "r", HEADER_BYTES, (num_rows, *column.row_shape))
    return np.array(array) if name == "episode_starts" else array


def _require_header(file: Path, column: Column, num_rows: int) -> None:
    with file.open("rb") as opened:
        try:
            np.lib.format.read_magic(opened)
            shape, fortran_order, dtype = np.lib.format.read_array_header_1_0(opened)
        except (ValueError, SyntaxError, TokenError) as error:
            raise InputError(f"expected an .npy header in {file}, but it is damaged: {error}") from None
        found = (shape, fortran_order, dtype, opened.tell())
    expected = ((num_rows, *column.row_shape), False, column.dtype, HEADER_BYTES)
    if found != expected:
        raise InputError(f"{file} and {MANIFEST} disagree: expected {expected[0]} {expected[2]}, found {shape} {dtype}")


def _require_counts(path: Path, manifest: dict[str, Any], episode_starts: np.ndarray) -> None:
    num_rows, num_steps, num_episodes = (manifest[f"num_{name}"] for name in ("rows", "steps", "episodes"))
    in_order = episode_starts[0] == 0 and (np.diff(episode_starts) >= 2).all() and episode_starts[-1] == num_rows
    if not in_order or num_steps != num_rows - num_episodes:
        raise InputError(f"{MANIFEST} and episode_starts.npy in {path} disagree on where episodes start and end")
