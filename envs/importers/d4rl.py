"""D4RL-style HDF5: flat transitions ``observations``, ``actions``, ``rewards``, ``terminals``, ``timeouts``.

Layout: Fu et al. 2020, "D4RL: Datasets for Deep Data-Driven Reinforcement Learning". ``next_observations`` is read
where the file has it, see `envs.importers.flat`.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from envs.importers.flat import FlatTransitions, cut_episodes, read_flags
from envs.importers.hdf5 import open_hdf5, read_dataset
from envs.logs import Episode
from envs.spec import EnvSpec


def read_episodes(source: Path, _spec: EnvSpec, notes: dict[str, Any]) -> Iterator[Episode]:
    """Yields the episodes of a file; raises `InputError` for a missing, linked or ill-shaped field."""
    with open_hdf5(source) as file:
        required = {name: read_dataset(file, name, source) for name in ("observations", "actions", "rewards")}
        terminals = read_flags(read_dataset(file, "terminals", source)[:], "terminals", str(source))
        names = file.keys()
        timeouts = read_dataset(file, "timeouts", source)[:] if "timeouts" in names else None
        flat = FlatTransitions(
            **required,
            terminated=terminals,
            truncated=None if timeouts is None else read_flags(timeouts, "timeouts", str(source)),
            next_observations=read_dataset(file, "next_observations", source) if "next_observations" in names else None,
            where=str(source),
        )
        yield from cut_episodes(flat, notes)
