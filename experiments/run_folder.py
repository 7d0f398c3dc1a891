"""The folder of a study: what is finished in it stays finished, so that a killed run can be resumed.

A stage is a named piece of work whose outcome is JSON (``stages/<name>.json``) and whose files are artifacts or logs,
each written whole or not at all. The JSON is written last: a stage that was interrupted is done again from its start
(or from where it got by itself), with the same seeds, so a resumed run ends where an uninterrupted one ends.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from envs.artifact import package_versions
from envs.files import read_json, write_json
from envs.work_folder import Layout, open_work_folder

_LAYOUT = Layout("run", "stages", ("logs", "worlds", "policies", "results.json", "results.csv", "report.html"))


class RunFolder:
    """A folder for one study.

    Args:
        path: the folder.
        config: the resolved configuration as JSON; kept in ``config.json``, beside the versions of the packages.
        resume: go on with the run that is there.
        overwrite: delete the run that is there, and nothing else that may lie beside it.

    Raises:
        InputError: see `envs.work_folder.open_work_folder`; when resuming, also where the installed packages are
            others.
    """

    def __init__(self, path: Path, config: dict[str, Any], resume: bool = False, overwrite: bool = False):
        self.path = path
        content = {"config": config, "versions": package_versions()}
        self.is_new = open_work_folder(path, content, _LAYOUT, resume, overwrite)

    def remove(self) -> None:
        """Deletes the run, and the folder too where nothing else is in it."""
        _LAYOUT.remove(self.path)

    def stage(self, name: str, work: Callable[[], Any]) -> Any:
        """Returns the JSON outcome of ``work``, from the folder where the stage is already done."""
        file = self.path / "stages" / f"{name}.json"
        if not file.is_file():
            write_json(file, work())
        return read_json(file)
