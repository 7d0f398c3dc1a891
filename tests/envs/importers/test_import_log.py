from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from envs.errors import InputError
from envs.files import sha256_of
from envs.importers import guess_format, import_log
from envs.logs import Log, open_log


@pytest.fixture
def source(tmp_path: Path, cartpole: Log, flat_arrays: Callable) -> Path:
    np.savez(tmp_path / "data.npz", **flat_arrays(cartpole))
    return tmp_path / "data.npz"


@pytest.mark.parametrize(
    ("name", "expected"),
    [("a.hdf5", "d4rl"), ("a.h5", "d4rl"), ("a.parquet", "parquet"), ("A.CSV", "csv"), ("a.npz", "npz"),
     ("x/main_data.hdf5", "minari")],
)  # fmt: skip
def test_format_is_guessed_from_the_name(name: str, expected: str) -> None:
    assert guess_format(Path(name)) == expected


def test_folder_is_taken_for_minari(tmp_path: Path) -> None:
    assert guess_format(tmp_path) == "minari"


def test_manifest_says_where_the_data_came_from(tmp_path: Path, source: Path) -> None:
    log = import_log(source, tmp_path / "log", "CartPole-v1")
    expected = {"kind": "import", "format": "npz", "file": "data.npz", "sha256": sha256_of(source)}
    assert expected.items() <= log.manifest["source"].items()
    assert open_log(tmp_path / "log").manifest["closed"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"source": "nowhere.npz"}, r"expected data to import at .*nowhere.npz, found nothing"),
        ({"source": "data.pkl"}, r"expected a Minari folder or a file ending in .hdf5, .*, got .*data.pkl"),
        ({"source": "."}, r"expected a minari file at .*main_data.hdf5, found nothing"),
        ({"source": ".", "file_format": "csv"}, r"expected a csv file at .*, found a folder"),
        ({"file_format": "npy"}, "unknown file format 'npy'; did you mean 'npz'"),
        ({"file_format": "csv"}, r"expected a readable CSV file|expected the columns"),
        ({"file_format": "parquet"}, "expected a readable Parquet file"),
        ({"file_format": "d4rl"}, "expected a readable HDF5 file"),
        ({"env_id": "CartPole-v7"}, "unknown environment id"),
        ({"env_id": "Acrobot-v1"}, r"observations of episode 0: expected shape \(\d+, 6\), got \(\d+, 4\)"),
    ],
)
def test_bad_input_leaves_nothing(tmp_path: Path, source: Path, change: dict, message: str) -> None:
    (tmp_path / "data.pkl").write_bytes(b"")
    before = sorted(tmp_path.iterdir())
    settings = {"source": source, "out": tmp_path / "log", "env_id": "CartPole-v1"} | change
    settings["source"] = tmp_path / settings["source"]
    with pytest.raises(InputError, match=message):
        import_log(**settings)
    assert sorted(tmp_path.iterdir()) == before


def test_what_is_there_stays_unless_overwritten(
    tmp_path: Path, source: Path, cartpole: Log, flat_arrays: Callable
) -> None:
    import_log(source, tmp_path / "log", "CartPole-v1")
    with pytest.raises(InputError, match="already holds a log"):
        import_log(source, tmp_path / "log", "CartPole-v1")
    bad = flat_arrays(cartpole)
    bad["rewards"] = bad["rewards"] * np.nan
    np.savez(tmp_path / "bad.npz", **bad)
    with pytest.raises(InputError, match="rewards of episode 0, row 0: expected finite numbers, got nan"):
        import_log(tmp_path / "bad.npz", tmp_path / "log", "CartPole-v1", overwrite=True)
    assert open_log(tmp_path / "log").sha256 == cartpole.sha256
    import_log(source, tmp_path / "log", "CartPole-v1", overwrite=True)
    assert open_log(tmp_path / "log").sha256 == cartpole.sha256
