from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from envs.errors import InputError
from envs.importers import import_log
from envs.logs import Log


@pytest.fixture
def file(tmp_path: Path, cartpole: Log, as_table: Callable) -> Path:
    pq.write_table(as_table(cartpole), tmp_path / "data.parquet", row_group_size=17)
    return tmp_path / "data.parquet"


def test_many_row_groups(file: Path, cartpole: Log) -> None:
    assert import_log(file, file.parent / "log", "CartPole-v1").sha256 == cartpole.sha256


def test_table_from_pandas(file: Path, cartpole: Log) -> None:
    pq.read_table(file).to_pandas().to_parquet(file)
    assert import_log(file, file.parent / "log", "CartPole-v1").sha256 == cartpole.sha256


def test_damaged_file(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(InputError, match=r"expected a readable Parquet file at .*, but it is damaged"):
        import_log(file, file.parent / "log", "CartPole-v1")


def test_column_of_lists(file: Path) -> None:
    table = pq.read_table(file)
    lists = pa.array([[1.0]] * len(table))
    pq.write_table(table.set_column(table.column_names.index("reward"), "reward", lists), file)
    with pytest.raises(InputError, match="column reward: expected one number a row, found list"):
        import_log(file, file.parent / "log", "CartPole-v1")
