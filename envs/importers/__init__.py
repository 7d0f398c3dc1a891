"""`import_log`: turns data sets of other tools into logs, validated on entry. ``docs/logs.md`` shows each layout."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from envs.errors import InputError, unknown_name
from envs.files import new_folder, sha256_of
from envs.importers import csv, d4rl, minari, npz, parquet
from envs.log_writer import LogWriter, require_log_place
from envs.logs import Episode, Log, open_log
from envs.spec import EnvSpec, spec_of

Reader = Callable[[Path, EnvSpec, dict[str, Any]], Iterator[Episode]]
"""Yields the episodes of a file, and puts into the dict what the log should say about how they were read."""

READERS: dict[str, Reader] = {
    "minari": minari.read_episodes,
    "d4rl": d4rl.read_episodes,
    "parquet": parquet.read_episodes,
    "csv": csv.read_episodes,
    "npz": npz.read_episodes,
}
_BY_SUFFIX = {".hdf5": "d4rl", ".h5": "d4rl", ".parquet": "parquet", ".csv": "csv", ".npz": "npz"}


def import_log(
    source: Path | str, out: Path | str, env_id: str, file_format: str | None = None, overwrite: bool = False
) -> Log:
    """Imports a data set as a log; nothing is left at ``out`` where that fails.

    Args:
        source: the file, or the folder of a Minari data set.
        out: the log folder to make.
        env_id: id of the real Gymnasium environment that the data comes from; it says which shapes, dtypes and
            actions are right.
        file_format: one of `READERS`; by default it is guessed from the name.
        overwrite: replace a log at ``out``.

    Raises:
        InputError: nothing at ``source``, an unknown format or environment, ``out`` taken, a missing field, or data
            that does not fit the environment.
    """
    source, out = Path(source), Path(out)
    if not source.exists():
        raise InputError(f"expected data to import at {source}, found nothing")
    file_format = file_format or guess_format(source)
    if file_format not in READERS:
        raise unknown_name("file format", file_format, READERS)
    file = minari.main_file(source) if file_format == "minari" else source
    if not file.is_file():
        raise InputError(f"expected a {file_format} file at {file}, found {'a folder' if file.is_dir() else 'nothing'}")
    spec = spec_of(env_id)
    require_log_place(out, overwrite)
    origin = {"kind": "import", "format": file_format, "file": file.name, "sha256": sha256_of(file)}
    with new_folder(out, overwrite) as folder:
        _write(folder, spec, READERS[file_format], file, origin)
    return open_log(out, verify=False)


def _write(folder: Path, spec: EnvSpec, reader: Reader, file: Path, origin: dict[str, Any]) -> None:
    with LogWriter(folder, spec, origin, commit_each=False) as writer:
        for episode in reader(file, spec, writer.source):
            writer.add(episode)
        if writer.num_episodes == 0:
            raise InputError(f"expected at least one episode with a step in {file}, found none")


def guess_format(source: Path) -> str:
    """Returns the format that a name suggests; raises `InputError` where it suggests none."""
    if source.is_dir() or source.name == minari.MAIN_FILE:
        return "minari"
    if source.suffix.lower() not in _BY_SUFFIX:
        raise InputError(
            f"expected a Minari folder or a file ending in {', '.join(_BY_SUFFIX)}, got {source}; "
            f"else name its format: {', '.join(READERS)}"
        )
    return _BY_SUFFIX[source.suffix.lower()]
