"""Minari data sets on disk: ``<data set>/data/main_data.hdf5`` with one group an episode, and ``metadata.json``.

Each ``episode_<i>`` has ``observations`` ``[T+1, *O]``, ``actions``, ``rewards``, ``terminations`` and
``truncations`` ``[T]``. The file is read directly: the Minari package is not needed, and nothing is downloaded.
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from envs.errors import InputError
from envs.files import read_json
from envs.importers.flat import read_flags
from envs.importers.hdf5 import open_hdf5, read_dataset, read_group
from envs.logs import Episode
from envs.spec import EnvSpec

MAIN_FILE = "main_data.hdf5"


def main_file(source: Path) -> Path:
    """Returns the HDF5 file of a data set given by that file, its folder, or the folder above; it may not exist."""
    if not source.is_dir():
        return source
    inner = source / "data" / MAIN_FILE
    return inner if inner.exists() else source / MAIN_FILE


def read_episodes(source: Path, spec: EnvSpec, notes: dict[str, Any]) -> Iterator[Episode]:
    """Yields the episodes in the order of their numbers; one that has no end flag was cut, and counts as truncated.

    Raises:
        InputError: another environment, a missing or linked group, observations that are not one array of numbers
            (Dict spaces, images kept as JPEG), or an end before the last step.
    """
    _require_environment(source.parent / "metadata.json", spec)
    notes["cut_at_end"] = 0
    with open_hdf5(source) as file:
        for number in _episode_numbers(file, source):
            group = read_group(file, f"episode_{number}", source)
            terminated, truncated = (_last_flag(group, name, source) for name in ("terminations", "truncations"))
            notes["cut_at_end"] += int(not (terminated or truncated))
            observations = read_dataset(group, "observations", source)[()]
            actions, rewards = (read_dataset(group, name, source)[()] for name in ("actions", "rewards"))
            yield Episode(observations, actions, rewards, terminated, truncated or not terminated)


def _require_environment(metadata: Path, spec: EnvSpec) -> None:
    """Compares environment ids where the data set has a ``metadata.json`` that names one."""
    content = read_json(metadata) if metadata.is_file() else {}
    recorded = content.get("env_spec") if isinstance(content, dict) else None
    if not isinstance(recorded, str):
        return
    try:
        env_id = json.loads(recorded)["id"]
    except (ValueError, KeyError, TypeError):
        raise InputError(f"expected env_spec in {metadata} to be JSON with an id, found {recorded[:200]!r}") from None
    if env_id != spec.env_id:
        raise InputError(f"the Minari data set at {metadata.parent} was recorded on {env_id}, not on {spec.env_id}")


def _episode_numbers(file: h5py.File, source: Path) -> list[int]:
    matches = [re.fullmatch(r"episode_(0|[1-9]\d*)", name) for name in file.keys()]  # noqa: SIM118
    if not matches or not all(matches):
        raise InputError(f"expected groups episode_0, episode_1, ... in {source}, found {sorted(file.keys())[:5]}")
    return sorted(int(match[1]) for match in matches if match)


def _last_flag(group: h5py.Group, name: str, source: Path) -> bool:
    where = f"{source}, {group.name}"
    flags = read_flags(read_dataset(group, name, source)[()], name, where)
    early = np.flatnonzero(flags[:-1])
    if len(flags) == 0 or len(early):
        found = f"one at row {early[0]}" if len(early) else "no step"
        raise InputError(f"{name} in {where}: expected an end at the last step only, found {found}")
    return bool(flags[-1])
