"""Tables, the layout that CSV and Parquet files share, cut into episodes.

Columns: ``episode``, ``step`` (optional), ``observation_0``, ..., ``action_0``, ..., ``reward``, ``terminated``,
``truncated``; a single value may be called just ``observation`` or ``action``. An array is flattened in C order. The
last row of an episode holds its final observation and leaves action, reward and flags empty. A file without any such
row has no final observations: then the last transition of each episode is dropped, and the log says how many were.

Shape legend: ``N`` rows of the table, ``E`` episodes.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from gymnasium import spaces

from envs.errors import InputError
from envs.importers.cells import OrderedRows, order_rows
from envs.importers.flat import FlatTransitions, cut_episodes
from envs.logs import Episode
from envs.spec import EnvSpec


@dataclass(frozen=True)
class _Columns:
    """The fields of all rows: observations ``[N, *O]``, actions ``[N, *A]``, reward and two flags ``[N]``."""

    observations: np.ndarray
    actions: np.ndarray
    rewards: np.ndarray
    terminated: np.ndarray
    truncated: np.ndarray


def episodes_of_table(table: pa.Table, spec: EnvSpec, source: Path, notes: dict[str, Any]) -> Iterator[Episode]:
    """Yields the episodes of a table whose cells are numbers, booleans or (in CSV) text.

    Raises:
        InputError: a missing or surplus column, a cell that is empty, no number, NaN or infinite, rows of an episode
            that lie apart or are not consecutive, an end before the last step, or an episode without its final
            observation where others have theirs.
    """
    observation_names = _names_of("observation", spec.observation_space, table, source)
    action_names = _names_of("action", spec.action_space, table, source)
    step_names = [*action_names, "reward", "terminated", "truncated"]
    _require_names(table, ["episode", *observation_names, *step_names], source)
    rows = order_rows(table, source)
    observations, steps = rows.numbers(observation_names), rows.numbers(step_names)
    final = np.isnan(steps).all(axis=1)
    rows.require_filled(observations, observation_names, np.ones_like(final))
    rows.require_filled(steps, step_names, ~final)
    columns = _Columns(
        _shaped(observations, spec.observation_space),
        _shaped(steps[:, :-3], spec.action_space),
        steps[:, -3],
        *(_flags(rows, steps[:, column], step_names[column], final) for column in (-2, -1)),
    )
    if final.any():
        yield from _with_final(rows, columns, final, notes)
    else:
        yield from _without_final(rows, columns, notes)


def _with_final(rows: OrderedRows, columns: _Columns, final: np.ndarray, notes: dict[str, Any]) -> Iterator[Episode]:
    notes["cut_at_end"] = 0
    for start, stop in zip(rows.starts.tolist(), rows.stops.tolist(), strict=True):
        last = stop - 1
        misplaced = np.flatnonzero(final[start:last])
        if len(misplaced) or not final[last]:
            wrong = start + int(misplaced[0]) if len(misplaced) else last
            found = "one earlier" if len(misplaced) else "an action there"
            raise InputError(f"{rows.place(wrong)}: expected just the last row to have no action, found {found}")
        if start == last:
            raise InputError(f"{rows.place(start)}: expected at least one step in the episode, found none")
        terminated, truncated = bool(columns.terminated[last - 1]), bool(columns.truncated[last - 1])
        notes["cut_at_end"] += int(not (terminated or truncated))
        arrays = (columns.observations[start:stop], columns.actions[start:last], columns.rewards[start:last])
        yield Episode(*arrays, terminated, truncated or not terminated)


def _without_final(rows: OrderedRows, columns: _Columns, notes: dict[str, Any]) -> Iterator[Episode]:
    truncated = columns.truncated.copy()
    truncated[rows.stops - 1] |= ~columns.terminated[rows.stops - 1]
    arrays = (columns.observations, columns.actions, columns.rewards, columns.terminated, truncated)
    yield from cut_episodes(FlatTransitions(*arrays, next_observations=None, where=str(rows.source)), notes)


def _flags(rows: OrderedRows, values: np.ndarray, name: str, final: np.ndarray) -> np.ndarray:
    """End flags ``[N]``, checked to be 0 or 1 and set at the last step of an episode only."""
    last_steps = rows.stops - 1 - final[rows.stops - 1]
    before_last = np.ones_like(final)
    before_last[last_steps] = False
    wrong = ~np.isin(values, (0, 1)) & ~final | (values == 1) & before_last
    if wrong.any():
        row = int(wrong.argmax())
        raise InputError(
            f"{name} of {rows.place(row)}: expected 0 or 1, and 1 at the last step only, got {values[row]:g}"
        )
    return values == 1


def _names_of(field: str, space: spaces.Space, table: pa.Table, source: Path) -> list[str]:
    """The columns of a field; raises `InputError` where the table has more of them than the space has values."""
    size = int(np.prod(space.shape or ()))
    if size == 1 and field in table.column_names:
        return [field]
    names = [f"{field}_{i}" for i in range(size)]
    surplus = [name for name in table.column_names if re.fullmatch(rf"{field}_\d+", name) and name not in names]
    if surplus:
        raise InputError(f"expected {size} {field} columns in {source}, found {', '.join(surplus)} as well")
    return names


def _require_names(table: pa.Table, names: list[str], source: Path) -> None:
    missing = [name for name in names if name not in table.column_names]
    if missing:
        found = ", ".join(table.column_names)
        raise InputError(f"expected the columns {', '.join(missing)} in {source}, found only: {found}")
    twice = {name for name in names if table.column_names.count(name) > 1}
    if twice:
        raise InputError(f"expected each column once in {source}, found {', '.join(sorted(twice))} twice")


def _shaped(values: np.ndarray, space: spaces.Space) -> np.ndarray:
    """Columns ``[N, C]`` as rows of the space's shape, as whole numbers where the space wants them and all are."""
    values = np.nan_to_num(values).reshape(len(values), *(space.shape or ()))
    whole = space.dtype is not None and space.dtype.kind in "iu" and (values == np.floor(values)).all()
    return values.astype(np.int64) if whole else values
