"""`LogWriter`: validates episodes and appends them to a log, so that a kill at any moment leaves a readable one.

Rows are written behind the last row that counts; then the manifest, which says how many count, is replaced. Until
then nothing has changed for a reader, and the next episode overwrites what an interrupted one left. The layout is
that of `envs.log_format`.
"""

import hashlib
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO

import numpy as np

from envs.errors import InputError
from envs.files import new_folder, write_json
from envs.log_checks import episode_rows
from envs.log_format import (
    FORMAT_VERSION,
    HEADER_BYTES,
    MANIFEST,
    column_file,
    columns_of,
    contents_sha256,
    npy_header,
    read_manifest,
    require_columns,
)
from envs.logs import Episode
from envs.spec import EnvSpec

_BLOCK = 1 << 20


@dataclass(frozen=True)
class _State:
    """What counts so far: rows, episodes, and the running SHA-256 of each column."""

    num_rows: int
    num_episodes: int
    hashes: dict[str, Any]


class LogWriter:
    """Writes a log, episode by episode. A context manager: leaving the block closes it, also after an error.

    An episode counts as soon as `add` returns (unless ``commit_each`` is off): it then survives a killed process.
    Closing also waits for the disk.
    A log that was closed after an error without any episode is removed again.

    Attributes:
        path: the folder.
        spec: the environment that is recorded.
        source: where the episodes come from, as JSON; whatever is put into it before closing is written too.
    """

    def __init__(
        self,
        path: Path | str,
        spec: EnvSpec,
        source: dict[str, Any],
        overwrite: bool = False,
        append: bool = False,
        commit_each: bool = True,
    ):
        """Makes the folder ``path``, or reopens the log in it.

        Args:
            path: the folder; it must not exist, or be empty, unless ``overwrite`` or ``append`` is given.
            spec: the environment that is recorded.
            source: where the episodes come from, as JSON.
            overwrite: replace the log at ``path``.
            append: continue the log at ``path``, where there is one; what an interrupted recorder left unfinished
                is cut off.
            commit_each: let each episode count at once. Replacing the manifest takes 1-3 ms; an importer, whose
                folder is temporary anyway, does it only when closing.

        Raises:
            InputError: ``path`` is taken, holds a damaged log, or a log of another environment.
        """
        self.path, self.spec, self.source = Path(path), spec, dict(source)
        self._columns, self._spec_json, self._commit_each = columns_of(spec), spec.to_json(), commit_each
        self._files: dict[str, BinaryIO] = {}
        self._sources: list[dict[str, Any]] = []
        self._state = _State(0, 0, {})
        self._created = not (append and (self.path / MANIFEST).exists())
        if self._created:
            require_log_place(self.path, overwrite)
            self._create(overwrite)
        self._reopen()

    @property
    def num_episodes(self) -> int:
        """Episodes that count so far, those found by ``append`` included."""
        return self._state.num_episodes

    @property
    def num_steps(self) -> int:
        """Their steps."""
        return self._state.num_rows - self._state.num_episodes

    def add(self, episode: Episode) -> None:
        """Validates an episode and appends it; it counts when this returns.

        Raises:
            InputError: a wrong shape or dtype, a value that is NaN or infinite, an action outside the space, no step,
                or an end that is neither a termination nor a truncation. The log stays as it was.
        """
        if not self._files:
            raise InputError(f"expected an open log, but the writer of {self.path} was closed")
        state = self._state
        rows = episode_rows(episode, self.spec, state.num_episodes, state.num_rows)
        hashes = {name: digest.copy() for name, digest in state.hashes.items()}
        for name, values in rows.items():
            self._write(name, values)
            hashes[name].update(values)
        # One assignment, so that an interrupt finds the old state or the new one.
        self._state = _State(state.num_rows + len(rows["rewards"]), state.num_episodes + 1, hashes)
        if self._commit_each:
            self._commit(closed=False)

    def close(self) -> None:
        """Cuts off what does not count, waits until all is on the disk, and marks the log as closed."""
        if not self._files:
            return
        for name, file in self._files.items():
            file.truncate(self._end(name))
            self._write_header(name, self._num_rows(name))
            os.fsync(file.fileno())
        self._commit(closed=True)
        self._close_files()

    def __enter__(self) -> "LogWriter":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if kind is not None and self._created and self.num_episodes == 0:
            self._close_files()
            shutil.rmtree(self.path, ignore_errors=True)
        else:
            self.close()

    def _create(self, overwrite: bool) -> None:
        """Makes a log of no episode, whole or not at all."""
        first_rows = dict.fromkeys(self._columns, b"") | {"episode_starts": np.zeros(1, np.int64).tobytes()}
        self._state = _State(0, 0, {name: hashlib.sha256(rows) for name, rows in first_rows.items()})
        with new_folder(self.path, overwrite) as folder:
            for name, column in self._columns.items():
                column_file(folder, name).write_bytes(npy_header(column, self._num_rows(name)) + first_rows[name])
            write_json(folder / MANIFEST, self._manifest(closed=True))

    def _reopen(self) -> None:
        manifest = read_manifest(self.path)
        self.spec.require_same(EnvSpec.from_json(manifest["spec"]), "the recording", f"the log at {self.path}")
        require_columns(manifest, self._columns, self.path / MANIFEST)
        self._sources = [manifest["source"], *manifest["appended"]] if manifest["num_episodes"] else []
        self.source["first_episode"] = manifest["num_episodes"]
        self._state = _State(manifest["num_rows"], manifest["num_episodes"], {})
        try:
            for name, entry in manifest["columns"].items():
                self._state.hashes[name] = self._reopen_column(name, entry["sha256"])
            self._commit(closed=False)
        except BaseException:
            self._close_files()
            raise

    def _reopen_column(self, name: str, sha256: str) -> Any:
        path = column_file(self.path, name)
        if not path.is_file():
            raise InputError(f"expected {path}, which {MANIFEST} describes, found nothing")
        self._files[name] = path.open("rb+")
        digest = _hash_of(self._files[name], self._end(name))
        if digest.hexdigest() != sha256:
            raise InputError(f"{path} is truncated or changed: its SHA-256 is not the one that {MANIFEST} records")
        return digest

    def _num_rows(self, name: str) -> int:
        return self._state.num_episodes + 1 if name == "episode_starts" else self._state.num_rows

    def _end(self, name: str) -> int:
        """The size of a column's file when it holds just the rows that count."""
        return HEADER_BYTES + self._num_rows(name) * self._columns[name].row_bytes

    def _write(self, name: str, values: np.ndarray) -> None:
        """Writes rows behind those that count, and the header that counts them; the manifest still does not."""
        file = self._files[name]
        file.seek(self._end(name))
        file.write(values.data)
        self._write_header(name, self._num_rows(name) + len(values))

    def _write_header(self, name: str, num_rows: int) -> None:
        file = self._files[name]
        file.seek(0)
        file.write(npy_header(self._columns[name], num_rows))
        file.flush()

    def _commit(self, closed: bool) -> None:
        write_json(self.path / MANIFEST, self._manifest(closed), durable=closed)

    def _manifest(self, closed: bool) -> dict[str, Any]:
        state, sources = self._state, [*self._sources, self.source]
        columns = {name: column.to_json(state.hashes[name].hexdigest()) for name, column in self._columns.items()}
        manifest: dict[str, Any] = {
            "format_version": FORMAT_VERSION,
            "closed": closed,
            "num_rows": state.num_rows,
            "num_steps": self.num_steps,
            "num_episodes": state.num_episodes,
            "columns": columns,
            "source": sources[0],
            "appended": sources[1:],
            "spec": self._spec_json,
        }
        return {**manifest, "sha256": contents_sha256(manifest)}

    def _close_files(self) -> None:
        for file in self._files.values():
            file.close()
        self._files = {}


def require_log_place(path: Path, overwrite: bool) -> None:
    """Raises `InputError` unless a log may be made at ``path``: nothing or an empty folder, or a log to overwrite.

    Only a log is ever overwritten: a folder that holds something else is refused even so.
    """
    if not path.exists() or (path.is_dir() and not any(path.iterdir())):
        return
    if not (path / MANIFEST).is_file():
        raise InputError(f"expected a free place for a log at {path}, found something that is not a log")
    if not overwrite:
        raise InputError(f"{path} already holds a log; choose another place or allow overwriting it")


def _hash_of(file: BinaryIO, end: int) -> Any:
    """The running SHA-256 of a column's rows up to the byte ``end``."""
    digest = hashlib.sha256()
    file.seek(HEADER_BYTES)
    left = end - HEADER_BYTES
    while left > 0 and (block := file.read(min(_BLOCK, left))):
        digest.update(block)
        left -= len(block)
    return digest
