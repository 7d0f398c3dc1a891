import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from envs.errors import InputError
from envs.importers import import_log
from envs.logs import Log


class Bomb:
    """What a pickle can do: running this test file's code while being loaded."""

    def __reduce__(self) -> tuple:
        return pytest.fail, ("the pickle was loaded",)


def test_round_trip(tmp_path: Path, cartpole: Log, flat_arrays: Callable) -> None:
    np.savez_compressed(tmp_path / "data.npz", **flat_arrays(cartpole))
    assert import_log(tmp_path / "data.npz", tmp_path / "log", "CartPole-v1").sha256 == cartpole.sha256


@pytest.mark.parametrize("content", [pickle.dumps(Bomb()), pickle.dumps(np.zeros(3)), b"", b"PK\x03\x04 and no more"])
def test_anything_but_an_archive_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "data.npz").write_bytes(content)
    with pytest.raises(InputError, match=r"expected an .npz archive at .*\(a pickle is never loaded\)"):
        import_log(tmp_path / "data.npz", tmp_path / "log", "CartPole-v1")


def test_pickled_array_is_refused(tmp_path: Path, cartpole: Log, flat_arrays: Callable) -> None:
    arrays = flat_arrays(cartpole) | {"rewards": np.array([Bomb()], dtype=object)}
    np.savez(tmp_path / "data.npz", **arrays)
    with pytest.raises(InputError, match="it is damaged or holds pickles: Object arrays"):
        import_log(tmp_path / "data.npz", tmp_path / "log", "CartPole-v1")


def test_damaged_archive(tmp_path: Path, cartpole: Log, flat_arrays: Callable) -> None:
    file = tmp_path / "data.npz"
    np.savez(file, **flat_arrays(cartpole))
    content = bytearray(file.read_bytes())
    content[1000] ^= 1
    file.write_bytes(content)
    with pytest.raises(InputError, match="it is damaged or holds pickles: Bad CRC-32"):
        import_log(file, tmp_path / "log", "CartPole-v1")


@pytest.mark.parametrize("name", ["observations", "actions", "rewards", "terminated"])
def test_missing_array(tmp_path: Path, cartpole: Log, flat_arrays: Callable, name: str) -> None:
    arrays = flat_arrays(cartpole)
    del arrays[name]
    np.savez(tmp_path / "data.npz", **arrays)
    with pytest.raises(InputError, match=f"expected the arrays .*, {name} missing"):
        import_log(tmp_path / "data.npz", tmp_path / "log", "CartPole-v1")
