"""The cells of a table as numbers, in the order of its episodes, with the place of every cell for messages.

Shape legend: ``N`` rows of the table, ``C`` columns, ``E`` episodes.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from envs.errors import InputError


@dataclass(frozen=True)
class OrderedRows:
    """The rows of a table, episode by episode.

    Attributes:
        table: the rows in that order.
        source: the file, for messages.
        ids: the episode number of each row ``[N]``, whole float64.
        starts: the first row of each episode ``[E]``.
    """

    table: pa.Table
    source: Path
    ids: np.ndarray
    starts: np.ndarray

    @property
    def stops(self) -> np.ndarray:
        """The row behind the last one of each episode ``[E]``."""
        return np.append(self.starts[1:], len(self.ids))

    def place(self, row: int) -> str:
        """Returns "episode, row, file", the row counted from the episode's start."""
        first = self.starts[np.searchsorted(self.starts, row, side="right") - 1]
        return f"episode {self.ids[row]:.0f}, row {row - first} in {self.source}"

    def numbers(self, names: list[str]) -> np.ndarray:
        """Returns columns as float64 ``[N, C]``, NaN only where a cell is empty.

        Raises:
            InputError: a cell that holds no number, NaN or infinity.
        """
        return np.stack([parse_numbers(self.table[name], name, self.place) for name in names], axis=1)

    def require_filled(self, values: np.ndarray, names: list[str], rows: np.ndarray) -> None:
        """Raises `InputError` at the first empty cell of ``values`` ``[N, C]`` in ``rows`` (mask ``[N]``)."""
        empty = np.isnan(values) & rows[:, None]
        if empty.any():
            row, column = np.argwhere(empty)[0]
            raise InputError(f"{names[column]} of {self.place(row)}: expected a number, found an empty cell")


def order_rows(table: pa.Table, source: Path) -> OrderedRows:
    """Sorts by ``episode`` and ``step`` where there are steps; otherwise the rows must be in order already.

    Raises:
        InputError: no row, an episode number that is empty or not whole, an episode whose rows lie apart, or steps
            that are not consecutive.
    """
    if len(table) == 0:
        raise InputError(f"expected rows in {source}, found none")
    has_steps = "step" in table.column_names
    columns = [_whole_numbers(table, name, source) for name in ("episode", "step")[: 1 + has_steps]]
    if has_steps:
        order = np.lexsort(columns[::-1])
        table, columns = table.take(order), [column[order] for column in columns]
    ids = columns[0]
    starts = np.flatnonzero(np.append(True, ids[1:] != ids[:-1]))
    rows = OrderedRows(table, source, ids, starts)
    if len(np.unique(ids)) != len(starts):
        raise InputError(f"expected the rows of an episode together in {source}, or a column step to sort them by")
    gaps = has_steps & (np.diff(columns[-1]) != 1) & (ids[1:] == ids[:-1])
    if gaps.any():
        row = int(gaps.argmax()) + 1
        found = f"{columns[-1][row]:.0f} after {columns[-1][row - 1]:.0f}"
        raise InputError(f"step of {rows.place(row)}: expected consecutive numbers, found {found}")
    return rows


def _whole_numbers(table: pa.Table, name: str, source: Path) -> np.ndarray:
    values = parse_numbers(table[name], name, lambda row: f"data row {row} in {source}")
    wrong = np.isnan(values) | (values != np.floor(values))
    if wrong.any():
        row = int(wrong.argmax())
        raise InputError(f"{name} of data row {row} in {source}: expected a whole number, got {table[name][row]}")
    return values


def parse_numbers(column: pa.ChunkedArray, name: str, place: Callable[[int], str]) -> np.ndarray:
    """Returns a column as float64 ``[N]``, NaN only where a cell is empty; True and False are 1 and 0.

    Args:
        column: numbers, booleans or text.
        name: its name, for messages.
        place: says where a row is, for messages.

    Raises:
        InputError: a cell that holds no number, NaN or infinity.
    """
    if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
        column = _plain_text(column)
    try:
        cast = pc.cast(column, pa.float64(), safe=False)
    except pa.ArrowInvalid:
        row = next(i for i, cell in enumerate(column.to_pylist()) if not _is_number(cell))
        raise InputError(f"{name} of {place(row)}: expected a number, got {column[row].as_py()!r}") from None
    except pa.ArrowNotImplementedError:
        raise InputError(f"column {name}: expected one number a row, found {column.type}, at {place(0)}") from None
    values = cast.to_numpy()
    wrong = ~np.isfinite(values) & ~pc.is_null(column).to_numpy()
    if wrong.any():
        row = int(wrong.argmax())
        raise InputError(f"{name} of {place(row)}: expected a finite number, got {values[row]}")
    return values


def _plain_text(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Text without spaces around it; empty cells as nulls, and true and false as 1 and 0."""
    text = pc.utf8_trim_whitespace(column)
    text = pc.if_else(pc.equal(text, ""), None, text)
    lower = pc.utf8_lower(text)
    return pc.if_else(pc.equal(lower, "true"), "1", pc.if_else(pc.equal(lower, "false"), "0", text))


def _is_number(cell: str | None) -> bool:
    try:
        pc.cast(pa.scalar(cell, pa.string()), pa.float64())
    except pa.ArrowInvalid:
        return False
    return True
