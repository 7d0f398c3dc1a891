"""What an episode must satisfy before it enters a log, and the rows it then takes there.

Shape legend: ``T`` steps of the episode, ``N`` values of a batch.
"""

import numpy as np

from envs.errors import InputError
from envs.log_format import Column, columns_of
from envs.logs import Episode
from envs.spaces import first_outside
from envs.spec import EnvSpec


def episode_rows(episode: Episode, spec: EnvSpec, number: int, first_row: int) -> dict[str, np.ndarray]:
    """Returns the validated rows of an episode by column: ``[T+1, ...]``, and in ``episode_starts`` where it ends.

    Args:
        episode: what was recorded.
        spec: the environment it must fit.
        number: its index in the log, for messages.
        first_row: the row of the log where it starts.

    Raises:
        InputError: a wrong shape or dtype, a value that is NaN or infinite, an action outside the space, no step, or
            an end that is neither a termination nor a truncation.
    """
    length, columns = len(episode.actions), columns_of(spec)
    if length == 0:
        raise InputError(f"expected at least one step in episode {number}, got none")
    if not (episode.terminated or episode.truncated):
        raise InputError(
            f"expected episode {number} to end by a termination or a truncation, got neither; "
            "where only the recording stopped, it is truncated"
        )
    actions = _checked("actions", episode.actions, columns["actions"], length, number)
    _require_inside(spec, actions, number)
    return {
        "observations": _checked("observations", episode.observations, columns["observations"], length + 1, number),
        "actions": _with_zeros(actions),
        "rewards": _with_zeros(_checked("rewards", episode.rewards, columns["rewards"], length, number)),
        "terminated": _flag_rows(episode.terminated, length),
        "truncated": _flag_rows(episode.truncated, length),
        "episode_starts": np.array([first_row + length + 1], np.int64),
    }


def _checked(name: str, values: np.ndarray, column: Column, num_rows: int, number: int) -> np.ndarray:
    values, shape = np.asarray(values), (num_rows, *column.row_shape)
    if values.shape != shape:
        raise InputError(f"{name} of episode {number}: expected shape {shape}, got {values.shape}")
    converted = convert(values, column.dtype)
    if converted is None:
        raise InputError(
            f"{name} of episode {number}: expected {column.dtype} or what converts to it, got {values.dtype}"
        )
    require_finite(converted, name, number)
    return np.ascontiguousarray(converted)


def _require_inside(spec: EnvSpec, actions: np.ndarray, number: int) -> None:
    row = first_outside(spec.action_space, actions)
    if row is not None:
        raise InputError(
            f"actions of episode {number}, row {row}: expected an action inside {spec.action_space}, got {actions[row]}"
        )


def _with_zeros(values: np.ndarray) -> np.ndarray:
    return np.concatenate([values, np.zeros_like(values[:1])])


def _flag_rows(flag: bool, length: int) -> np.ndarray:
    rows = np.zeros(length + 1, bool)
    rows[length - 1] = flag
    return rows


def convert(values: np.ndarray, dtype: np.dtype) -> np.ndarray | None:
    """Returns ``values`` as ``dtype`` where that loses at most floating-point precision, None otherwise."""
    if values.dtype.kind not in "biuf":
        return None
    if dtype.kind == "f" or np.can_cast(values.dtype, dtype, "safe"):
        with np.errstate(over="ignore"):  # too large a value becomes infinite, and the caller says where
            return values.astype(dtype, copy=False)
    if dtype.kind in "iu" and values.dtype.kind in "iu":
        converted = values.astype(dtype)
        return converted if np.array_equal(converted, values) else None
    return None


def require_finite(values: np.ndarray, name: str, episode: int) -> None:
    """Raises `InputError`, naming field, episode and row, where ``values`` ``[N, ...]`` hold NaN or infinity."""
    finite = np.isfinite(values).reshape(len(values), -1)
    if not finite.all():
        row = int((~finite.all(axis=1)).argmax())
        value = values[row].reshape(-1)[(~finite[row]).argmax()]
        raise InputError(f"{name} of episode {episode}, row {row}: expected finite numbers, got {value}")
