"""The folder of a study: what is finished in it stays finished, so that a killed run can be resumed.

A stage is a named piece of work whose outcome is JSON (``stages/<name>.json``) and whose files are artifacts or logs,
each written whole or not at all. The JSON is written last: a stage that was interrupted is done again from its start,
with the same seeds, so a resumed run ends where an uninterrupted one ends.
"""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from envs.artifact import package_versions
from envs.errors import InputError
from envs.files import read_json, require_place, write_json

_OURS = ("config.json", "stages", "logs", "worlds", "policies", "results.json", "results.csv", "report.html")


class RunFolder:
    """A folder for one study.

    Args:
        path: the folder.
        config: the resolved configuration as JSON; kept in ``config.json``, beside the versions of the packages.
        resume: go on with the run that is there.
        overwrite: delete the run that is there, and nothing else that may lie beside it.

    Raises:
        InputError: a run is there and neither was asked for; something else is there; or, when resuming, the
            configuration or the installed packages are others.
    """

    def __init__(self, path: Path, config: dict[str, Any], resume: bool = False, overwrite: bool = False):
        self.path = path
        if resume and overwrite:
            raise InputError("expected at most one of --resume and --overwrite, got both")
        if path.exists() and not path.is_dir():
            raise InputError(f"expected a folder for the run at {path}, found a file")
        require_place(path)
        content = {"config": config, "versions": package_versions()}
        self.is_new = not (path.is_dir() and any(path.iterdir()))
        if not self.is_new:
            self._open_old(content, resume, overwrite)
        (path / "stages").mkdir(parents=True, exist_ok=True)
        write_json(path / "config.json", content)

    def _open_old(self, content: dict[str, Any], resume: bool, overwrite: bool) -> None:
        if not _is_run(self.path):
            raise InputError(f"expected a new or empty folder or an older run at {self.path}, found other files there")
        if overwrite:
            self.remove()
        elif resume:
            if not (self.path / "config.json").is_file():
                return
            changed = differences(read_json(self.path / "config.json"), content)
            if changed:
                raise InputError(f"cannot resume {self.path} with other settings: {'; '.join(changed)}")
        else:
            raise InputError(
                f"{self.path} already holds a run; give --resume to go on with it or --overwrite to replace it"
            )

    def remove(self) -> None:
        """Deletes the run, and the folder too where nothing else is in it."""
        for name in _OURS:
            place = self.path / name
            if place.is_dir():
                shutil.rmtree(place)
            else:
                place.unlink(missing_ok=True)
        if not any(self.path.iterdir()):
            self.path.rmdir()

    def stage(self, name: str, work: Callable[[], Any]) -> Any:
        """Returns the JSON outcome of ``work``, from the folder where the stage is already done."""
        file = self.path / "stages" / f"{name}.json"
        if not file.is_file():
            write_json(file, work())
        return read_json(file)


def _is_run(path: Path) -> bool:
    """Whether a run wrote ``path``; one that was killed at once has no configuration there yet, and nothing else."""
    names = {file.name for file in path.iterdir() if not file.name.startswith(".")}
    return names == {"stages"} or names >= {"stages", "config.json"}


def differences(old: Any, new: Any, where: str = "") -> list[str]:
    """Returns one phrase for each value that differs between two JSON objects."""
    if isinstance(old, dict) and isinstance(new, dict):
        keys = sorted(old.keys() | new.keys())
        return [d for key in keys for d in differences(old.get(key), new.get(key), f"{where}.{key}".lstrip("."))]
    return [] if old == new else [f"{where} was {old!r} and is now {new!r}"]
