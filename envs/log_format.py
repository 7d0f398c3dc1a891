"""The layout of a log folder: which files it has, their headers, and the manifest that says how much of them counts.

A log is a folder with ``manifest.json`` and one flat ``.npy`` file a column. An episode of ``T`` steps takes ``T + 1``
rows: row t holds observation t, the action taken there, its reward and whether it ended the episode; the last row
holds the final observation and zeros. `envs.log_writer` writes it, `envs.logs` reads it.
"""

import hashlib
import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from envs.errors import InputError
from envs.files import read_json
from envs.spec import EnvSpec

FORMAT_VERSION = 1
HEADER_BYTES = 256
MANIFEST = "manifest.json"
_FIELDS = {
    "format_version": int,
    "sha256": str,
    "closed": bool,
    "num_rows": int,
    "num_steps": int,
    "num_episodes": int,
    "columns": dict,
    "spec": dict,
    "source": dict,
    "appended": list,
}


@dataclass(frozen=True)
class Column:
    """One file of a log: the type and shape of a row."""

    dtype: np.dtype
    row_shape: tuple[int, ...]

    @property
    def row_bytes(self) -> int:
        return self.dtype.itemsize * math.prod(self.row_shape)

    def to_json(self, sha256: str) -> dict[str, Any]:
        """Returns the manifest's entry for this column."""
        return {"dtype": self.dtype.str, "row_shape": list(self.row_shape), "sha256": sha256}


def columns_of(spec: EnvSpec) -> dict[str, Column]:
    """Returns the columns of a log of ``spec`` by name; ``episode_starts`` counts rows, the others are rows.

    Raises:
        InputError: the observation or action space has no single array shape (Dict, Tuple, ...).
    """
    for name, space in (("observation", spec.observation_space), ("action", spec.action_space)):
        if space.shape is None or space.dtype is None:
            raise InputError(f"a log needs {name}s that are one array of a fixed shape, {spec.env_id} has {space}")
    flag = Column(np.dtype(bool), ())
    return {
        "observations": _column_of(spec.observation_space),
        "actions": _column_of(spec.action_space),
        "rewards": Column(np.dtype(np.float32), ()),
        "terminated": flag,
        "truncated": flag,
        "episode_starts": Column(np.dtype(np.int64), ()),
    }


def _column_of(space: Any) -> Column:
    return Column(np.dtype(space.dtype), tuple(int(size) for size in space.shape))


def column_file(folder: Path, name: str) -> Path:
    """Returns the file of a column."""
    return folder / f"{name}.npy"


def npy_header(column: Column, num_rows: int) -> bytes:
    """Returns an ``.npy`` header (format 1.0) of exactly `HEADER_BYTES`, so that the row count can grow in place."""
    shape = (num_rows, *column.row_shape)
    text = repr({"descr": column.dtype.str, "fortran_order": False, "shape": shape}).encode()
    start = b"\x93NUMPY\x01\x00" + (HEADER_BYTES - 10).to_bytes(2, "little")
    if len(start) + len(text) + 1 > HEADER_BYTES:
        raise InputError(f"expected rows of fewer dimensions than {len(column.row_shape)}")
    return (start + text).ljust(HEADER_BYTES - 1) + b"\n"


def contents_sha256(manifest: dict[str, Any]) -> str:
    """Returns the hash that identifies what a log holds: its spec, its counts and the hash of every column.

    Where the data came from and whether the recorder was closed make no difference.
    """
    names = ("format_version", "num_rows", "num_steps", "num_episodes", "columns", "spec")
    text = json.dumps({name: manifest[name] for name in names}, sort_keys=True, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def read_manifest(folder: Path) -> dict[str, Any]:
    """Reads and checks a manifest, which may count 0 episodes.

    Raises:
        InputError: no folder, no manifest, damaged JSON, a newer format, a missing field, or a changed manifest.
    """
    if not folder.is_dir():
        raise InputError(f"expected a log folder at {folder}, found {'a file' if folder.exists() else 'nothing'}")
    file = folder / MANIFEST
    if not file.is_file():
        raise InputError(f"expected a log with a {MANIFEST} at {folder}, found a folder without one")
    manifest = read_json(file)
    version = manifest.get("format_version") if isinstance(manifest, dict) else None
    if not isinstance(version, int) or version > FORMAT_VERSION:
        raise InputError(f"expected log format {FORMAT_VERSION} or older in {file}, found {version}")
    for name, kind in _FIELDS.items():
        if not isinstance(manifest.get(name), kind):
            raise InputError(f"expected {name!r} ({kind.__name__}) in {file}, found {manifest.get(name)!r}")
    if contents_sha256(manifest) != manifest["sha256"]:
        raise InputError(f"{file} was changed: its spec, counts or columns do not have the SHA-256 that it records")
    return manifest


def require_columns(manifest: dict[str, Any], columns: dict[str, Column], file: Path) -> None:
    """Raises `InputError` unless the manifest describes exactly the columns that its spec asks for."""
    described = {name: (entry.get("dtype"), entry.get("row_shape")) for name, entry in manifest["columns"].items()}
    expected = {name: (column.dtype.str, list(column.row_shape)) for name, column in columns.items()}
    if described != expected:
        raise InputError(f"the spec and the columns in {file} disagree: expected {expected}, found {described}")
