"""A folder that long work writes into, so that the same work, and no other, goes on there after it was killed."""

import shutil
from pathlib import Path
from typing import Any, NamedTuple

from envs.errors import InputError
from envs.files import plain_json, read_json, require_place, write_json

CONFIG = "config.json"


class Layout(NamedTuple):
    """What one kind of work writes.

    Attributes:
        noun: what the work is called in messages.
        marker: the folder inside that is made first, and by which such work is recognised.
        others: the further files and folders, beside ``config.json``. Nothing else is ever deleted.
    """

    noun: str
    marker: str
    others: tuple[str, ...]

    def is_in(self, path: Path) -> bool:
        """Whether such work wrote ``path``; what was killed at once has no configuration there yet, nor else."""
        names = {file.name for file in path.iterdir() if not file.name.startswith(".")}
        return names == {self.marker} or names >= {self.marker, CONFIG}

    def remove(self, path: Path) -> None:
        """Deletes the work, temporary files of a killed one too, and the folder where nothing else is in it."""
        places = [path / name for name in (CONFIG, self.marker, *self.others)]
        for place in (*places, *path.glob(".*.tmp")):
            if place.is_dir():
                shutil.rmtree(place)
            else:
                place.unlink(missing_ok=True)
        if not any(path.iterdir()):
            path.rmdir()


def open_work_folder(
    path: Path, content: dict[str, Any], layout: Layout, resume: bool = False, overwrite: bool = False
) -> bool:
    """Makes ``path`` ready for work and returns whether nothing was done of it before.

    Args:
        path: the folder.
        content: everything that decides what the work does, as JSON; kept in ``config.json``.
        layout: what the work writes.
        resume: go on with the work that is there, or start where there is none.
        overwrite: delete the work that is there, and nothing else that may lie beside it.

    Raises:
        InputError: work is there and neither was asked for; something else is there; or, when resuming, its
            configuration is another.
    """
    require_one_choice(resume, overwrite)
    if path.exists() and not path.is_dir():
        raise InputError(f"expected a folder for the {layout.noun} at {path}, found a file")
    require_place(path)
    content = plain_json(content)
    is_new = not (path.is_dir() and any(path.iterdir()))
    if not is_new:
        _open_old(path, content, layout, resume, overwrite)
    (path / layout.marker).mkdir(parents=True, exist_ok=True)
    write_json(path / CONFIG, content)
    return is_new


def require_one_choice(resume: bool, overwrite: bool) -> None:
    """Raises `InputError` where both are asked for."""
    if resume and overwrite:
        raise InputError("expected at most one of --resume and --overwrite, got both")


def _open_old(path: Path, content: dict[str, Any], layout: Layout, resume: bool, overwrite: bool) -> None:
    if not layout.is_in(path):
        raise InputError(f"expected a new or empty folder or an older {layout.noun} at {path}, found other files there")
    if overwrite:
        layout.remove(path)
    elif resume:
        if not (path / CONFIG).is_file():
            return
        changed = differences(read_json(path / CONFIG), content)
        if changed:
            raise InputError(f"cannot resume {path} with other settings: {'; '.join(changed)}")
    else:
        raise InputError(
            f"{path} already holds a {layout.noun}; give --resume to go on with it or --overwrite to replace it"
        )


def differences(old: Any, new: Any, where: str = "") -> list[str]:
    """Returns one phrase for each value that differs between two JSON objects."""
    if isinstance(old, dict) and isinstance(new, dict):
        keys = sorted(old.keys() | new.keys())
        return [d for key in keys for d in differences(old.get(key), new.get(key), f"{where}.{key}".lstrip("."))]
    return [] if old == new else [f"{where} was {old!r} and is now {new!r}"]
