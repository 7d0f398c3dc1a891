"""Whether resumable work has left its artifact already, so that nothing is left to do."""

from pathlib import Path
from typing import Any

from envs.artifact import read_artifact_json
from envs.errors import InputError
from envs.files import plain_json
from envs.work_folder import differences


def is_finished(out: Path, kind: str, told_as: str, work: dict[str, Any]) -> bool:
    """Whether the artifact of this work is at ``out``.

    Args:
        out: its folder.
        kind: of artifact.
        told_as: where the artifact's provenance tells of the work.
        work: everything that decides what the work does.

    Raises:
        InputError: an artifact is there that other work left.
    """
    if not (out / "artifact.json").is_file():
        return False
    changed = differences(read_artifact_json(out, kind)["provenance"].get(told_as), plain_json(work))
    if changed:
        raise InputError(f"cannot resume {out} with other settings: {'; '.join(changed)}")
    return True
