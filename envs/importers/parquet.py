"""Parquet files, in the layout of `envs.importers.table`."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from envs.errors import InputError
from envs.importers.table import episodes_of_table
from envs.logs import Episode
from envs.spec import EnvSpec


def read_episodes(source: Path, spec: EnvSpec, notes: dict[str, Any]) -> Iterator[Episode]:
    """Yields the episodes of a file; raises `InputError` for a damaged file or what the layout forbids."""
    try:
        with pq.ParquetFile(source) as file:
            table = file.read()
    except (pa.ArrowException, OSError) as error:
        raise InputError(f"expected a readable Parquet file at {source}, but it is damaged: {error}") from None
    yield from episodes_of_table(table, spec, source, notes)
