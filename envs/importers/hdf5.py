"""HDF5 files from others, read without following them out of the file.

An HDF5 file can name other files: external links, external storage and virtual data sets make a reader hand out
whatever those hold. Only plain data sets that lie in the file itself are read.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import h5py

from envs.errors import InputError


@contextmanager
def open_hdf5(path: Path) -> Iterator[h5py.File]:
    """Opens a file for reading; raises `InputError` where it is no HDF5, or damaged."""
    try:
        with h5py.File(path, "r") as file:
            yield file
    except OSError as error:
        raise InputError(
            f"expected a readable HDF5 file at {path}, but it is damaged or something else: {error}"
        ) from None


def read_group(parent: h5py.Group, name: str, path: Path) -> h5py.Group:
    """Returns a group that lies in the file itself; raises `InputError`."""
    _require_own(parent, name, path)
    group = parent[name]
    if not isinstance(group, h5py.Group):
        raise InputError(f"expected a group {group.name} in {path}, found a data set")
    return group


def read_dataset(parent: h5py.Group, name: str, path: Path) -> h5py.Dataset:
    """Returns a data set of plain numbers that lies in the file itself; raises `InputError`."""
    _require_own(parent, name, path)
    dataset = parent[name]
    if not isinstance(dataset, h5py.Dataset):
        raise InputError(f"expected one array {dataset.name} in {path}, found a group of several")
    if dataset.is_virtual or dataset.external is not None:
        raise InputError(f"{dataset.name} in {path} takes its data from other files, which is refused")
    if dataset.shape is None or dataset.dtype.kind not in "biuf":
        raise InputError(f"expected numbers in {dataset.name} in {path}, found {dataset.dtype}")
    return dataset


def _require_own(parent: h5py.Group, name: str, path: Path) -> None:
    where = f"{parent.name.rstrip('/')}/{name}"
    if name not in parent.keys():  # noqa: SIM118 ("in parent" would follow a link)
        raise InputError(f"expected {where} in {path}, found only: {', '.join(sorted(parent.keys())) or 'nothing'}")
    try:
        link = parent.get(name, getlink=True)
    except TypeError:
        link = None
    if not isinstance(link, h5py.HardLink):
        raise InputError(f"{where} in {path} is a link to somewhere else, which is refused")
