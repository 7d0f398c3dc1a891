"""What a training tells of itself as it goes on: one row of numbers now and then, as CSV and for TensorBoard.

Both files are written from the rows, which whoever trains keeps in his checkpoint: so a resumed training, whose files
may be a row ahead of its checkpoint, has no row twice and loses none.
"""

import csv
import io
from collections.abc import Sequence
from pathlib import Path

from tensorboard.summary import Writer

from envs.files import write_atomically

METRICS_FILE = "metrics.csv"


class TrainingLog:
    """Writes ``metrics.csv`` and TensorBoard's ``events.*`` into ``folder``, which must exist.

    Args:
        folder: where.
        rows: those of the training so far, in place of all that is there.
    """

    def __init__(self, folder: Path, rows: Sequence[dict[str, float]] = ()):
        self._folder = folder
        self._rows: list[dict[str, float]] = []
        for old in event_files(folder):
            old.unlink()
        self._events = Writer(str(folder))
        for row in rows:
            self._keep(row)

    def add(self, row: dict[str, float]) -> None:
        """Adds a row: ``step``, and numbers under the same names in every row."""
        self._keep(row)
        write_atomically(self._folder / METRICS_FILE, _as_csv(self._rows), durable=False)
        self._events.flush()

    def close(self) -> None:
        """Ends the writing."""
        self._events.close()

    def _keep(self, row: dict[str, float]) -> None:
        self._rows.append(row)
        for name, value in row.items():
            if name != "step":
                self._events.add_scalar(name, value, int(row["step"]))


def event_files(folder: Path) -> list[Path]:
    """Returns TensorBoard's files in ``folder``."""
    return sorted(folder.glob("events.*"))


def log_files(folder: Path) -> dict[str, bytes]:
    """Returns the files of a `TrainingLog` in ``folder`` by name: what is worth keeping of a finished training."""
    files = [file for file in (folder / METRICS_FILE, *event_files(folder)) if file.is_file()]
    return {file.name: file.read_bytes() for file in files}


def _as_csv(rows: list[dict[str, float]]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()
