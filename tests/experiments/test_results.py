"""The table: its statistics by hand, and the exact shape of results.json and results.csv."""

import csv
import json
from dataclasses import asdict

import pytest

from experiments.results import (
    Results,
    SeedReturns,
    make_results,
    make_row,
    row_from_json,
    table_lines,
    write_results,
)

SEEDS = [
    SeedReturns(0, [100.0, 300.0]),
    SeedReturns(1, [500.0, 500.0]),
    SeedReturns(2, [0.0, 20.0]),
    SeedReturns(3, [400.0, 400.0]),
]  # means 200, 500, 10, 400


def results(threshold: float | None = 475.0) -> Results:
    solved = make_row("real", "ppo", [SeedReturns(i, [500.0, 480.0]) for i in range(3)], 102_400, 12.3456)
    rows = [make_row("none", "random", SEEDS, 0, 0.5), solved]
    return make_results("CartPole-v1", threshold, rows, {"seed": 0, "ppo": {"hidden": [64]}})


def test_a_row_sums_up_seeds_not_episodes():
    row = make_row("world-model", "cem", SEEDS, 10_000, 1.005)
    assert row.iqm == 300.0  # the middle two of 10, 200, 400, 500
    assert row.worst == 10.0
    assert 10.0 <= row.ci_low < row.iqm < row.ci_high <= 500.0
    assert (row.world, row.method, row.seeds, row.real_steps) == ("world-model", "cem", SEEDS, 10_000)


def test_a_row_survives_json():
    row = results().rows[0]
    assert row_from_json(json.loads(json.dumps(asdict(row)))) == row


def test_results_json_has_exactly_the_promised_shape(tmp_path):
    write_results(results(), tmp_path)
    content = json.loads((tmp_path / "results.json").read_text(), parse_constant=pytest.fail)
    assert list(content) == ["env", "threshold", "rows", "config", "versions"]
    assert (content["env"], content["threshold"]) == ("CartPole-v1", 475.0)
    for row in content["rows"]:
        assert list(row) == ["world", "method", "seeds", "iqm", "ci_low", "ci_high", "worst", "real_steps", "seconds"]
        assert type(row["real_steps"]) is int
        assert all(type(row[key]) is float for key in ("iqm", "ci_low", "ci_high", "worst", "seconds"))
        for seed in row["seeds"]:
            assert list(seed) == ["seed", "returns"]
            assert type(seed["seed"]) is int
            assert all(type(value) is float for value in seed["returns"])
    assert content["config"] == {"seed": 0, "ppo": {"hidden": [64]}}
    assert {"python", "simulacra", "numpy", "torch", "jax", "gymnasium"} <= content["versions"].keys()


def test_results_csv_has_a_line_a_row(tmp_path):
    write_results(results(), tmp_path)
    lines = list(csv.DictReader((tmp_path / "results.csv").read_text().splitlines()))
    assert list(lines[0]) == ["world", "method", "iqm", "ci_low", "ci_high", "worst", "real_steps", "seconds"]
    assert [(line["world"], line["method"]) for line in lines] == [("none", "random"), ("real", "ppo")]
    assert [float(lines[1][key]) for key in ("iqm", "ci_low", "ci_high", "worst")] == [490.0] * 4
    assert (lines[1]["real_steps"], lines[1]["seconds"]) == ("102400", "12.35")


def test_solved_is_judged_by_the_interquartile_mean():
    found = results()
    assert [found.solved(row) for row in found.rows] == [False, True]
    assert [results(490.0).solved(row) for row in found.rows] == [False, True]  # reaching it is enough
    assert [results(None).solved(row) for row in found.rows] == [None, None]


def test_rows_are_found_by_name():
    found = results()
    assert found.row("real", "ppo") is found.rows[1]
    with pytest.raises(KeyError):
        found.row("real", "cem")


def test_the_table_for_terminals_shows_what_solved():
    head, random, ppo = table_lines(results())
    assert head.split()[0] == "world"
    assert random.split()[:3] == ["none", "random", "300.0"]
    assert "solved" not in random
    assert ppo.split() == ["real", "ppo", "490.0", "[490.0,", "490.0]", "490.0", "102,400", "12.3", "solved"]
    assert not any("solved" in line for line in table_lines(results(None)))
