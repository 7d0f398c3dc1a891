"""The table of a study: rows of returns on the real environment, with what they cost, as JSON and CSV."""

import csv
import io
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from envs.artifact import package_versions
from envs.files import write_atomically, write_json
from experiments.statistics import bootstrap_interval, interquartile_mean


@dataclass(frozen=True)
class SeedReturns:
    """The real returns of one seed's episodes."""

    seed: int
    returns: list[float]


@dataclass(frozen=True)
class Row:
    """One way to get a policy, judged on the real environment.

    Attributes:
        world: what it was trained or planned on: ``real``, ``world-model``, ``bandit``, or ``none``.
        method: ``ppo``, ``sac``, ``random-shooting``, ``mcts`` or ``random``.
        seeds: the real returns.
        iqm: interquartile mean over seeds of a seed's mean return.
        ci_low: lower end of its 95% bootstrap interval over seeds.
        ci_high: upper end.
        worst: the lowest of the seeds' mean returns.
        real_steps: steps of the real environment needed to get one such policy, logs and evolution included.
        seconds: wall seconds to get (for planners: also to run) all seeds' policies, preparation included.
    """

    world: str
    method: str
    seeds: list[SeedReturns]
    iqm: float
    ci_low: float
    ci_high: float
    worst: float
    real_steps: int
    seconds: float


def make_row(world: str, method: str, seeds: list[SeedReturns], real_steps: int, seconds: float) -> Row:
    """Returns the row with its statistics filled in."""
    scores = np.array([np.mean(one.returns) for one in seeds])
    low, high = bootstrap_interval(scores)
    iqm = float(interquartile_mean(scores))
    return Row(world, method, seeds, iqm, low, high, float(scores.min()), real_steps, round(seconds, 2))


def row_from_json(content: dict[str, Any]) -> Row:
    """Builds a row from the JSON of `dataclasses.asdict`."""
    return Row(**{**content, "seeds": [SeedReturns(**seed) for seed in content["seeds"]]})


@dataclass(frozen=True)
class Results:
    """A study's outcome.

    Attributes:
        env: id of the real environment.
        threshold: return from which Gymnasium calls it solved; None where it names none.
        rows: the table.
        config: the resolved configuration, as JSON.
        versions: of Python and the packages that results depend on.
    """

    env: str
    threshold: float | None
    rows: list[Row]
    config: dict[str, Any]
    versions: dict[str, str]

    def row(self, world: str, method: str) -> Row:
        """Returns the row of that world and method; raises KeyError where there is none."""
        for row in self.rows:
            if (row.world, row.method) == (world, method):
                return row
        raise KeyError((world, method))

    def solved(self, row: Row) -> bool | None:
        """Whether a row's interquartile mean reaches the threshold; None where there is no threshold."""
        return None if self.threshold is None else row.iqm >= self.threshold


def make_results(env_id: str, threshold: float | None, rows: list[Row], config: dict[str, Any]) -> Results:
    """Returns the results with the versions of this installation."""
    return Results(env_id, threshold, rows, config, package_versions())


def write_results(results: Results, folder: Path, more: dict[str, Any] | None = None) -> None:
    """Writes ``results.json`` and ``results.csv`` into ``folder``, each whole or not at all.

    ``more`` are further fields of the JSON.
    """
    write_json(folder / "results.json", {**asdict(results), **(more or {})})
    text = io.StringIO()
    columns = ["world", "method", "iqm", "ci_low", "ci_high", "worst", "real_steps", "seconds"]
    writer = csv.DictWriter(text, columns, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows(asdict(row) for row in results.rows)
    write_atomically(folder / "results.csv", text.getvalue())


def table_lines(results: Results) -> list[str]:
    """Returns the table as lines of text, for a terminal."""
    lines = [
        f"{'world':<13}{'method':<17}{'return':>8}  {'95% interval':<18}{'worst':>7}{'real steps':>13}{'seconds':>9}"
    ]
    for row in results.rows:
        mark = {True: "  solved", False: "", None: ""}[results.solved(row)]
        interval = f"[{row.ci_low:.1f}, {row.ci_high:.1f}]"
        lines.append(f"{row.world:<13}{row.method:<17}{row.iqm:>8.1f}  {interval:<18}{row.worst:>7.1f}"
                     f"{row.real_steps:>13,}{row.seconds:>9.1f}{mark}")  # fmt: skip
    return lines


@dataclass(frozen=True)
class Gap:
    """What policies return inside the model that they were trained in, against what they return for real.

    Attributes:
        imagined: returns in the model, from logged first observations on.
        imagined_iqm: interquartile mean over seeds of a seed's mean.
        gap: interquartile mean over seeds of imagined minus real mean return.
        gap_low: lower end of its 95% bootstrap interval over seeds.
        gap_high: upper end.
    """

    imagined: list[SeedReturns]
    imagined_iqm: float
    gap: float
    gap_low: float
    gap_high: float
