"""The folder that a training writes into, so that it goes on there after it was killed.

Its files::

    config.json    the configurations, the log's hash, the packages' versions
    training/      checkpoint.ckpt   after every look at the validation data
                   metrics.csv       losses, errors and step sizes at every look
                   events.*          the same for TensorBoard
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from envs.training_log import METRICS_FILE, log_files
from envs.work_folder import Layout, open_work_folder

_LAYOUT = Layout("training", "training", ())


@dataclass(frozen=True)
class FitFiles:
    """The files of a training in its folder ``path``."""

    path: Path

    @property
    def checkpoint(self) -> Path:
        return self.path / "training" / "checkpoint.ckpt"

    @property
    def logged(self) -> Path:
        return self.path / "training"

    @property
    def metrics(self) -> Path:
        return self.logged / METRICS_FILE

    def records(self) -> dict[str, bytes]:
        """Returns what is worth keeping beside the finished model: relative paths and contents."""
        return {f"training/{name}": content for name, content in log_files(self.logged).items()}

    def remove(self) -> None:
        """Deletes the training, and the folder too where nothing else is in it."""
        _LAYOUT.remove(self.path)


def open_fit_folder(
    path: Path, work: dict[str, Any], resume: bool = False, overwrite: bool = False
) -> tuple[FitFiles, bool]:
    """Returns the files of a training, and whether nothing was done of it before.

    Args:
        path: the folder.
        work: everything that decides what the training does, as JSON.
        resume: go on with the training that is there, or start where there is none.
        overwrite: delete the training that is there.

    Raises:
        InputError: see `envs.work_folder.open_work_folder`.
    """
    is_new = open_work_folder(path, work, _LAYOUT, resume, overwrite)
    for left in (path / "training").glob(".*.tmp"):  # of a run that was killed as it wrote
        left.unlink()
    return FitFiles(path), is_new
