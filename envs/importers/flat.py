"""Flat transitions, the layout of D4RL files and of plain ``.npz`` files, cut into episodes.

Row i holds an observation, the action taken there, its reward and its two end flags. What the last action of an
episode led to is only known where there are ``next_observations``; without them that transition is dropped, and the
log says how many were.

Shape legend: ``N`` rows of the file, ``O`` the observation's shape, ``A`` the action's shape.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Protocol

import numpy as np

from envs.errors import InputError
from envs.log_checks import require_finite
from envs.logs import Episode


class Rows(Protocol):
    """An array in memory, or an HDF5 data set that is read a slice at a time."""

    @property
    def shape(self) -> tuple[int, ...]: ...

    def __getitem__(self, rows: slice) -> np.ndarray: ...


@dataclass(frozen=True)
class FlatTransitions:
    """The columns of one file.

    Attributes:
        observations: ``[N, *O]``.
        actions: ``[N, *A]``.
        rewards: ``[N]``.
        terminated: ``[N]`` bool.
        truncated: ``[N]`` bool, or None where the file does not tell.
        next_observations: ``[N, *O]``, or None where the file has none.
        where: the file, for messages.
    """

    observations: Rows
    actions: Rows
    rewards: Rows
    terminated: np.ndarray
    truncated: np.ndarray | None
    next_observations: Rows | None
    where: str

    def __post_init__(self) -> None:
        columns = {"observations": self.observations, "actions": self.actions, "rewards": self.rewards}
        optional = {"truncated": self.truncated, "next_observations": self.next_observations}
        columns |= {name: column for name, column in optional.items() if column is not None}
        for name, column in columns.items():
            if column.shape[:1] != self.terminated.shape:
                raise InputError(
                    f"{name} in {self.where}: expected {len(self.terminated)} rows, as many as end flags, "
                    f"got shape {column.shape}"
                )
        if self.truncated is None and self.next_observations is None:
            raise InputError(
                f"expected time limits (timeouts or truncated) or next_observations in {self.where}, found neither: "
                "without them the end of a cut episode cannot be told"
            )


def read_flags(values: np.ndarray, name: str, where: str) -> np.ndarray:
    """Returns end flags ``[N]`` as bool; raises `InputError` for another shape or values other than 0 and 1."""
    if values.ndim != 1 or values.dtype.kind not in "biuf":
        raise InputError(f"{name} in {where}: expected one flag a row, got {values.dtype} of shape {values.shape}")
    wrong = (values != 0) & (values != 1)
    if wrong.any():
        row = int(wrong.argmax())
        raise InputError(f"{name} in {where}, row {row}: expected 0 or 1, got {values[row]}")
    return values.astype(bool)


def cut_episodes(flat: FlatTransitions, notes: dict[str, Any]) -> Iterator[Episode]:
    """Yields the episodes in their order; counts in ``notes`` what had to be dropped or cut."""
    if flat.next_observations is None:
        yield from _without_next(flat, notes)
    else:
        yield from _with_next(flat, flat.next_observations, notes)


def _segments(flat: FlatTransitions) -> Iterator[tuple[int, int]]:
    """First row and row behind the last one of every run of rows that ends with a flag, or with the file."""
    num_rows = len(flat.terminated)
    ends = flat.terminated if flat.truncated is None else flat.terminated | flat.truncated
    stops = np.union1d(np.flatnonzero(ends) + 1, [num_rows]) if num_rows else np.zeros(0, int)
    start = 0
    for stop in stops.tolist():
        yield start, stop
        start = stop


def _without_next(flat: FlatTransitions, notes: dict[str, Any]) -> Iterator[Episode]:
    notes |= {"dropped_transitions": 0, "dropped_terminations": 0, "dropped_episodes": 0}
    for start, stop in _segments(flat):
        last = stop - 1  # its observation ends the episode; its action led to something unknown
        notes["dropped_transitions"] += 1
        notes["dropped_terminations"] += int(flat.terminated[last])
        notes["dropped_episodes"] += int(last == start)
        if last > start:
            columns = (flat.observations[start:stop], flat.actions[start:last], flat.rewards[start:last])
            yield Episode(*columns, terminated=False, truncated=True)


def _with_next(flat: FlatTransitions, next_observations: Rows, notes: dict[str, Any]) -> Iterator[Episode]:
    """An episode also ends, as truncated, where the next observation is not the one of the next row."""
    notes |= {"cut_at_jumps": 0}
    episode = 0
    for start, stop in _segments(flat):
        observations, following = flat.observations[start:stop], next_observations[start:stop]
        if observations.shape != following.shape:
            raise InputError(
                f"observations and next_observations in {flat.where}: expected rows of one shape, "
                f"got {observations.shape[1:]} and {following.shape[1:]}"
            )
        require_finite(observations, "observations", episode)
        require_finite(following, "next_observations", episode)
        jumps = (observations[1:] != following[:-1]).any(axis=tuple(range(1, observations.ndim)))
        notes["cut_at_jumps"] += int(jumps.sum())
        cuts = [0, *(np.flatnonzero(jumps) + 1).tolist(), stop - start]
        for first, behind in pairwise(cuts):
            joined = np.concatenate([observations[first:behind], following[behind - 1 : behind]])
            yield _episode_from(flat, joined, start + first, start + behind)
            episode += 1


def _episode_from(flat: FlatTransitions, observations: np.ndarray, start: int, stop: int) -> Episode:
    terminated = bool(flat.terminated[stop - 1])
    truncated = flat.truncated is not None and bool(flat.truncated[stop - 1])
    columns = (flat.actions[start:stop], flat.rewards[start:stop])
    return Episode(observations, *columns, terminated, truncated or not terminated)
