from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest

from envs.errors import InputError
from envs.importers import import_log
from envs.logs import Log

_NAMES = {"terminated": "terminals", "truncated": "timeouts"}


@pytest.fixture
def file(tmp_path: Path, cartpole: Log, flat_arrays: Callable) -> Path:
    with h5py.File(tmp_path / "data.hdf5", "w") as opened:
        for name, values in flat_arrays(cartpole).items():
            opened.create_dataset(_NAMES.get(name, name), data=values, compression="gzip")
    return tmp_path / "data.hdf5"


def replace(file: Path, name: str, make: Callable[[h5py.File], object] | None) -> None:
    with h5py.File(file, "a") as opened:
        del opened[name]
        if make is not None:
            make(opened)


def run(file: Path) -> Log:
    return import_log(file, file.parent / "log", "CartPole-v1")


def test_round_trip(file: Path, cartpole: Log) -> None:
    assert run(file).sha256 == cartpole.sha256


def test_round_trip_without_timeouts(file: Path, cartpole: Log) -> None:
    replace(file, "timeouts", None)
    assert run(file).sha256 == cartpole.sha256


def test_without_next_observations_the_last_transitions_are_dropped(file: Path, cartpole: Log) -> None:
    replace(file, "next_observations", None)
    log = run(file)
    assert log.manifest["source"]["dropped_transitions"] == cartpole.num_episodes
    assert log.manifest["source"]["dropped_terminations"] == cartpole.terminated.sum()
    np.testing.assert_array_equal(log.lengths, cartpole.lengths - 1)
    np.testing.assert_array_equal(log.episode(0).observations, cartpole.episode(0).observations[:-1])


@pytest.mark.parametrize("name", ["observations", "actions", "rewards", "terminals"])
def test_missing_field(file: Path, name: str) -> None:
    replace(file, name, None)
    with pytest.raises(InputError, match=rf"expected /{name} in .*data.hdf5, found only: "):
        run(file)


def test_external_link_is_refused(file: Path) -> None:
    with h5py.File(file.parent / "other.hdf5", "w") as other:
        other["rewards"] = np.zeros(300, np.float32)
    replace(file, "rewards", lambda opened: opened.__setitem__("rewards", h5py.ExternalLink("other.hdf5", "rewards")))
    with pytest.raises(InputError, match=r"/rewards in .*data.hdf5 is a link to somewhere else, which is refused"):
        run(file)
    assert not (file.parent / "log").exists()


def test_soft_link_is_refused(file: Path) -> None:
    replace(file, "rewards", lambda opened: opened.__setitem__("rewards", h5py.SoftLink("/actions")))
    with pytest.raises(InputError, match=r"/rewards in .* is a link to somewhere else"):
        run(file)


def test_external_storage_is_refused(file: Path) -> None:
    (file.parent / "secret.bin").write_bytes(b"\0" * 1200)
    place = [(str(file.parent / "secret.bin"), 0, 1200)]
    replace(file, "rewards", lambda opened: opened.create_dataset("rewards", (300,), np.float32, external=place))
    with pytest.raises(InputError, match=r"/rewards in .* takes its data from other files, which is refused"):
        run(file)


def test_virtual_data_set_is_refused(file: Path) -> None:
    layout = h5py.VirtualLayout((300,), np.float32)
    layout[:] = h5py.VirtualSource("other.hdf5", "rewards", (300,))
    replace(file, "rewards", lambda opened: opened.create_virtual_dataset("rewards", layout))
    with pytest.raises(InputError, match=r"/rewards in .* takes its data from other files, which is refused"):
        run(file)


def test_group_and_text_are_refused(file: Path) -> None:
    replace(file, "rewards", lambda opened: opened.create_group("rewards"))
    with pytest.raises(InputError, match=r"expected one array /rewards in .*, found a group of several"):
        run(file)
    replace(file, "rewards", lambda opened: opened.create_dataset("rewards", data=["one"] * 300))
    with pytest.raises(InputError, match=r"expected numbers in /rewards in .*, found object"):
        run(file)


def test_damaged_file(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:5000])
    with pytest.raises(InputError, match="expected a readable HDF5 file"):
        run(file)


def test_damaged_chunk(file: Path) -> None:
    with h5py.File(file, "r") as opened:
        offset = opened["rewards"].id.get_chunk_info(0).byte_offset
    content = bytearray(file.read_bytes())
    content[offset : offset + 8] = b"\xff" * 8
    file.write_bytes(content)
    with pytest.raises(InputError, match="expected a readable HDF5 file"):
        run(file)


@pytest.mark.parametrize("name", ["observations", "rewards", "next_observations"])
def test_nan_is_named(file: Path, cartpole: Log, name: str) -> None:
    with h5py.File(file, "a") as opened:
        opened[name][cartpole.lengths[0] + 2] = np.nan
    with pytest.raises(InputError, match=f"{name} of episode 1, row 2: expected finite numbers, got nan"):
        run(file)
    assert not (file.parent / "log").exists()
