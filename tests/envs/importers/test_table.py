"""CSV and Parquet: one layout, tested through both files."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
import pytest

from envs.errors import InputError
from envs.importers import import_log
from envs.logs import Log


@pytest.fixture(params=["csv", "parquet"])
def run(tmp_path: Path, request: pytest.FixtureRequest) -> Callable[[pa.Table], Log]:
    """Writes a table to a file and imports that; checks that an error leaves nothing."""

    def write_and_import(table: pa.Table, env_id: str = "CartPole-v1") -> Log:
        file = tmp_path / f"data.{request.param}"
        (pa_csv.write_csv if request.param == "csv" else pq.write_table)(table, file)
        try:
            return import_log(file, tmp_path / "log", env_id)
        except InputError:
            assert list(tmp_path.iterdir()) == [file]
            raise

    return write_and_import


@pytest.fixture
def table(cartpole: Log, as_table: Callable) -> pa.Table:
    return as_table(cartpole)


def with_cell(table: pa.Table, name: str, row: int, value: object) -> pa.Table:
    cells = table[name].to_pylist()
    cells[row] = value
    return table.set_column(table.column_names.index(name), name, pa.array(cells))


def test_round_trip(run: Callable, table: pa.Table, cartpole: Log) -> None:
    assert run(table).sha256 == cartpole.sha256


def test_round_trip_of_continuous_actions(run: Callable, pendulum: Log, as_table: Callable) -> None:
    table = as_table(pendulum)
    assert run(table, "Pendulum-v1").sha256 == pendulum.sha256


def test_steps_and_other_columns_are_optional(run: Callable, table: pa.Table, cartpole: Log) -> None:
    renamed = [{"action": "action_0"}.get(name, name) for name in table.column_names]
    table = table.rename_columns(renamed).drop_columns("step").append_column("note", pa.array(["x"] * len(table)))
    assert run(table).sha256 == cartpole.sha256


def test_steps_put_shuffled_rows_in_order(run: Callable, table: pa.Table, cartpole: Log) -> None:
    assert run(table.take(np.random.default_rng(0).permutation(len(table)))).sha256 == cartpole.sha256


def test_flags_may_be_numbers(run: Callable, table: pa.Table, cartpole: Log) -> None:
    place = table.column_names.index("terminated")
    assert run(table.set_column(place, "terminated", table["terminated"].cast(pa.int8()))).sha256 == cartpole.sha256


def test_without_final_rows_the_last_transitions_are_dropped(run: Callable, table: pa.Table, cartpole: Log) -> None:
    log = run(table.filter(table["action"].is_valid()))
    np.testing.assert_array_equal(log.lengths, cartpole.lengths - 1)
    assert log.manifest["source"]["dropped_transitions"] == cartpole.num_episodes
    assert log.manifest["source"]["dropped_terminations"] == cartpole.terminated.sum()


def test_episode_without_flags_was_cut(run: Callable, table: pa.Table, cartpole: Log) -> None:
    last = int(cartpole.lengths[0]) - 1
    log = run(with_cell(table, "terminated", last, False))
    assert log.episode(0).truncated
    assert log.manifest["source"]["cut_at_end"] == 1


@pytest.mark.parametrize("name", ["episode", "observation_2", "action", "reward", "truncated"])
def test_missing_column(run: Callable, table: pa.Table, name: str) -> None:
    expected = "action_0" if name == "action" else name
    with pytest.raises(InputError, match=rf"expected the columns {expected} in .*, found only: "):
        run(table.drop_columns(name))


def test_surplus_column(run: Callable, table: pa.Table) -> None:
    with pytest.raises(InputError, match=r"expected 4 observation columns in .*, found observation_4 as well"):
        run(table.append_column("observation_4", table["reward"]))


@pytest.mark.parametrize(("value", "shown"), [(np.nan, "nan"), (-np.inf, "-inf")])
@pytest.mark.parametrize("name", ["observation_1", "reward"])
def test_infinite_cell_is_named(
    run: Callable, table: pa.Table, cartpole: Log, name: str, value: float, shown: str
) -> None:
    row = int(cartpole.episode_starts[3]) + 2
    with pytest.raises(InputError, match=rf"{name} of episode 3, row 2 in .*: expected a finite number, got {shown}"):
        run(with_cell(table, name, row, value))


@pytest.mark.parametrize("name", ["observation_0", "action", "reward", "terminated"])
def test_empty_cell_is_named(run: Callable, table: pa.Table, cartpole: Log, name: str) -> None:
    row = int(cartpole.episode_starts[2]) + 1
    with pytest.raises(InputError, match=rf"{name} of episode 2, row 1 in .*: expected a number, found an empty cell"):
        run(with_cell(table, name, row, None))


def test_text_is_named(run: Callable, table: pa.Table, cartpole: Log) -> None:
    row = int(cartpole.episode_starts[1]) + 4
    text = pa.array([str(cell) for cell in table["observation_3"].to_pylist()])
    table = table.set_column(table.column_names.index("observation_3"), "observation_3", text)
    with pytest.raises(InputError, match=r"observation_3 of episode 1, row 4 in .*: expected a number, got 'fast'"):
        run(with_cell(table, "observation_3", row, "fast"))


@pytest.mark.parametrize("action", [2, -1, 0.5])
def test_bad_action_is_named(run: Callable, table: pa.Table, cartpole: Log, action: float) -> None:
    row = int(cartpole.episode_starts[1])
    cells = pa.array(table["action"].to_pylist(), pa.float64())
    table = table.set_column(table.column_names.index("action"), "action", cells)
    with pytest.raises(InputError, match=r"actions of episode [01]"):
        run(with_cell(table, "action", row, action))


@pytest.mark.parametrize(("row", "value"), [(0, True), (0, 2)])
def test_bad_flag_is_named(run: Callable, table: pa.Table, row: int, value: int) -> None:
    table = table.set_column(table.column_names.index("truncated"), "truncated", table["truncated"].cast(pa.int64()))
    with pytest.raises(
        InputError, match=r"truncated of episode 0, row 0 in .*: expected 0 or 1, and 1 at the last step"
    ):
        run(with_cell(table, "truncated", row, int(value)))


def test_missing_final_observation_of_one_episode(run: Callable, table: pa.Table, cartpole: Log) -> None:
    row = int(cartpole.episode_starts[2]) - 1
    table = pa.concat_tables([table.slice(0, row), table.slice(row + 1)])
    with pytest.raises(InputError, match=r"episode 1, row \d+ in .*: expected just the last row to have no action"):
        run(table)


def test_gap_in_the_steps(run: Callable, table: pa.Table) -> None:
    with pytest.raises(
        InputError, match=r"step of episode 0, row 3 in .*: expected consecutive numbers, found 4 after 2"
    ):
        run(pa.concat_tables([table.slice(0, 3), table.slice(4)]))


def test_rows_of_an_episode_apart(run: Callable, table: pa.Table) -> None:
    table = pa.concat_tables([table.slice(5), table.slice(0, 5)]).drop_columns("step")
    with pytest.raises(InputError, match="expected the rows of an episode together in"):
        run(table)


@pytest.mark.parametrize("value", [0.5, None])
def test_bad_episode_number(run: Callable, table: pa.Table, value: float | None) -> None:
    cells = pa.array(table["episode"].to_pylist(), pa.float64())
    table = table.set_column(0, "episode", cells)
    with pytest.raises(InputError, match=r"episode of data row 7 in .*: expected a whole number"):
        run(with_cell(table, "episode", 7, value))


def test_no_rows(run: Callable, table: pa.Table) -> None:
    with pytest.raises(InputError, match=r"expected rows in .*, found none"):
        run(table.slice(0, 0))
