"""``.npz`` files of flat transitions: arrays ``observations``, ``actions``, ``rewards``, ``terminated``, ``truncated``.

``next_observations`` is read where the file has it, see `envs.importers.flat`. Pickled arrays are never loaded: a
pickle can run code.
"""

import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from envs.errors import InputError
from envs.importers.flat import FlatTransitions, cut_episodes, read_flags
from envs.logs import Episode
from envs.spec import EnvSpec

_REQUIRED = ("observations", "actions", "rewards", "terminated")
_OPTIONAL = ("truncated", "next_observations")
_FLAGS = ("terminated", "truncated")


def read_episodes(source: Path, _spec: EnvSpec, notes: dict[str, Any]) -> Iterator[Episode]:
    """Yields the episodes of a file; raises `InputError` for a missing, pickled or ill-shaped array."""
    arrays = _read_arrays(source)
    missing = [name for name in _REQUIRED if name not in arrays]
    if missing:
        raise InputError(f"expected the arrays {', '.join(_REQUIRED)} in {source}, {', '.join(missing)} missing")
    flags = {name: read_flags(arrays[name], name, str(source)) for name in _FLAGS if name in arrays}
    flat = FlatTransitions(
        arrays["observations"],
        arrays["actions"],
        arrays["rewards"],
        flags["terminated"],
        flags.get("truncated"),
        arrays.get("next_observations"),
        where=str(source),
    )
    yield from cut_episodes(flat, notes)


def _read_arrays(source: Path) -> dict[str, np.ndarray]:
    if not zipfile.is_zipfile(source):
        raise InputError(f"expected an .npz archive at {source}, found something else (a pickle is never loaded)")
    try:
        with np.load(source, allow_pickle=False) as archive:
            return {name: np.asarray(archive[name]) for name in (*_REQUIRED, *_OPTIONAL) if name in archive}
    except (ValueError, OSError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise InputError(f"expected plain arrays in {source}, but it is damaged or holds pickles: {error}") from None
