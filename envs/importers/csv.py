"""CSV files with a header line, in the layout of `envs.importers.table`: commas, UTF-8, empty cells for "nothing"."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv as pa_csv

from envs.errors import InputError
from envs.importers.table import episodes_of_table
from envs.logs import Episode
from envs.spec import EnvSpec


def read_episodes(source: Path, spec: EnvSpec, notes: dict[str, Any]) -> Iterator[Episode]:
    """Yields the episodes of a file; raises `InputError` for a damaged file or what the layout forbids."""
    yield from episodes_of_table(_read_text(source), spec, source, notes)


def _read_text(source: Path) -> pa.Table:
    """Every cell as text: the layout, not a guess from the first rows, decides what has to be a number."""
    try:
        with pa_csv.open_csv(source) as reader:
            names = reader.schema.names
        return pa_csv.read_csv(
            source,
            convert_options=pa_csv.ConvertOptions(column_types={name: pa.string() for name in names}),
        )
    except (pa.ArrowException, OSError) as error:
        raise InputError(f"expected a readable CSV file at {source}, but it is damaged: {error}") from None
