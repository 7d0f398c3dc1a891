"""What a log cannot teach a world model, told before one is trained on it."""

from collections.abc import Iterator

import numpy as np
from gymnasium import spaces

from envs.logs import Log

_BLOCK_ROWS = 1 << 16
_MOST_NAMED = 8


def log_warnings(log: Log) -> list[str]:
    """Returns one sentence for each thing that no model can learn from ``log``; an empty list where there is none.

    Looked for: actions that are all the same or never tried, observation dimensions that never change, and
    terminations that never come. The log is read once, in blocks.
    """
    return [*_of_actions(log), *_of_observations(log), *_of_terminations(log)]


def _of_actions(log: Log) -> list[str]:
    taken = np.ones(len(log.actions), bool)
    taken[log.episode_starts[1:] - 1] = False  # an episode's last row holds no action
    low, high = _range(block[taken[rows]] for rows, block in _blocks(log.actions))
    if np.array_equal(low, high):
        return [f"every action in the log is the same ({_listed(np.ravel(low))}): what others do cannot be learned"]
    if isinstance(log.spec.action_space, spaces.Discrete):
        never = _never_tried(log, taken)
        return [f"{_these('action', never)} never tried in the log: the effect cannot be learned"] if len(never) else []
    same = np.flatnonzero(np.ravel(low == high))
    if len(same) == 0:
        return []
    return [f"{_these('number', same, ' of the action')} constant in the log: the effect cannot be learned"]


def _never_tried(log: Log, taken: np.ndarray) -> np.ndarray:
    """Returns the actions of a Discrete space that no row ``taken`` ``[R]`` holds."""
    space = log.spec.action_space
    assert isinstance(space, spaces.Discrete)
    tried = np.zeros(int(space.n), bool)
    for rows, block in _blocks(log.actions):
        tried[np.unique(block[taken[rows]]) - int(space.start)] = True
    never: np.ndarray = np.flatnonzero(~tried) + int(space.start)
    return never


def _of_observations(log: Log) -> list[str]:
    low, high = _range(block for _, block in _blocks(log.observations))
    same = np.flatnonzero(np.ravel(low == high))
    if len(same) == 0:
        return []
    if len(same) == np.size(low):
        return [f"every observation in the log is the same ({_listed(np.ravel(low))}): there is nothing to learn"]
    return [f"{_these('dimension', same, ' of the observation')} constant in the log: predicted to stay so"]


def _of_terminations(log: Log) -> list[str]:
    if any(block.any() for _, block in _blocks(log.terminated)):
        return []
    return ["no episode in the log was terminated: the model cannot learn what ends an episode"]


def _blocks(column: np.ndarray) -> Iterator[tuple[slice, np.ndarray]]:
    """Yields the rows and the content of each block of a column on disk."""
    for start in range(0, len(column), _BLOCK_ROWS):
        rows = slice(start, start + _BLOCK_ROWS)
        yield rows, np.asarray(column[rows])


def _range(blocks: Iterator[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Returns the lowest and highest value of each number over the rows of all blocks."""
    ends = [(block.min(axis=0), block.max(axis=0)) for block in blocks if len(block)]
    return np.min([low for low, _ in ends], axis=0), np.max([high for _, high in ends], axis=0)


def _these(noun: str, indices: np.ndarray, owner: str = "") -> str:
    """Returns ``action 2 is``, or ``numbers 2, 3 of the action are`` with an ``owner``; counted from 0."""
    verb, plural = ("is", "") if len(indices) == 1 else ("are", "s")
    return f"{noun}{plural} {_listed(indices)}{owner} {verb}"


def _listed(values: np.ndarray) -> str:
    shown = ", ".join(f"{value:g}" for value in values[:_MOST_NAMED].tolist())
    return shown if len(values) <= _MOST_NAMED else f"{shown} and {len(values) - _MOST_NAMED} more"
