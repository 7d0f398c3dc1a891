"""The folder that an agent's training writes into, so that it goes on there after it was killed.

Its files::

    config.json    the world, the configuration, the seeds, the packages' versions
    training/      <name>.checkpoint     the training's whole state, after every point of the curve or part
                   seed-<seed>/          metrics.csv and TensorBoard's events.*, a row a point of the curve
                   log-seed-<seed>/      the same of what was learned from a log
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from envs.checkpoint import load_checkpoint, save_checkpoint
from envs.training_log import TrainingLog, log_files
from envs.work_folder import Layout, open_work_folder

_LAYOUT = Layout("training", "training", ())


@dataclass(frozen=True)
class Point:
    """A point of a learning curve.

    Attributes:
        row: which of the seeds.
        numbers: ``step``, ``return``, and the means of the update's metrics since the last point; NaN where unknown.
    """

    row: int
    numbers: dict[str, float]

    @property
    def steps(self) -> int:
        """Environment steps of this seed so far."""
        return int(self.numbers["step"])

    @property
    def returns(self) -> float:
        """The mean return there."""
        return self.numbers["return"]


class TrainFolder:
    """The records of a training; with ``path`` None it keeps none, and nothing can be resumed.

    Args:
        path: the folder.
        work: everything that decides what the training does, as JSON.
        seeds: of the training.
        resume: go on with the training that is there, or start where there is none.
        overwrite: delete the training that is there.

    Raises:
        InputError: see `envs.work_folder.open_work_folder`.
    """

    def __init__(
        self,
        path: Path | None = None,
        work: dict[str, Any] | None = None,
        seeds: Sequence[int] = (),
        resume: bool = False,
        overwrite: bool = False,
    ):
        self._path, self._seeds, self._logs = path, seeds, dict[int, TrainingLog]()
        if path is not None:
            open_work_folder(path, work or {}, _LAYOUT, resume, overwrite)

    def restore(self, name: str, like: Any) -> tuple[Any, list[Point]] | None:
        """Returns a state as it was saved under ``name``, and the points up to there; None where none was saved.

        Raises:
            InputError: see `envs.checkpoint.load_checkpoint`.
        """
        file = self._checkpoint(name)
        if file is None or not file.is_file():
            return None
        state, told = load_checkpoint(file, like)
        points = [Point(row, {key: _known(x) for key, x in numbers.items()}) for row, numbers in told["points"]]
        return state, points

    def save(self, name: str, state: Any, points: Sequence[Point]) -> None:
        """Keeps a state, and the points up to there, under ``name``."""
        file = self._checkpoint(name)
        if file is not None:
            told = [[one.row, {key: _json(x) for key, x in one.numbers.items()}] for one in points]
            save_checkpoint(file, state, {"points": told})

    def begin_log(self, row: int, points: Sequence[Point], name: str = "") -> None:
        """Writes the points that a seed has so far, in place of what was written of it, and goes on there.

        ``name`` tells the parts of a training apart.
        """
        if self._path is not None:
            if row in self._logs:
                self._logs[row].close()
            folder = self._path / "training" / f"{name}seed-{self._seeds[row]}"
            folder.mkdir(exist_ok=True)
            self._logs[row] = TrainingLog(folder, [one.numbers for one in points if one.row == row])

    def log(self, point: Point) -> None:
        """Writes a point."""
        if point.row in self._logs:
            self._logs[point.row].add(point.numbers)

    def records(self) -> dict[str, bytes]:
        """Returns what is worth keeping of a finished training: relative paths and contents."""
        folders = [] if self._path is None else sorted(f for f in self._path.glob("training/*seed-*") if f.is_dir())
        files = [(f"training/{folder.name}/{name}", content) for folder in folders
                 for name, content in log_files(folder).items()]  # fmt: skip
        return dict(files)

    def close(self) -> None:
        """Ends the writing."""
        for log in self._logs.values():
            log.close()

    def remove(self) -> None:
        """Deletes the training, and the folder too where nothing else is in it."""
        if self._path is not None:
            _LAYOUT.remove(self._path)

    def _checkpoint(self, name: str) -> Path | None:
        return None if self._path is None else self._path / "training" / f"{name}.checkpoint"


def _known(number: float | None) -> float:
    return math.nan if number is None else number


def _json(number: float) -> float | None:
    return number if math.isfinite(number) else None
