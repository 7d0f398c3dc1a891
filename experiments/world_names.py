"""The environment that a world or a log stands for, told from its name alone: nothing heavy is imported."""

import json
from pathlib import Path


def env_id_of(source: str | Path) -> str | None:
    """Returns the id of the real environment that an id or a folder names; None where a folder does not tell."""
    if not source or not Path(source).is_dir():
        return str(source) or None
    for file in (Path(source) / "artifact.json", Path(source) / "manifest.json"):
        try:
            env_id = json.loads(file.read_text())["spec"]["env_id"]
        except (OSError, ValueError, KeyError, TypeError):
            continue  # whoever opens the folder tells what is wrong with it
        if isinstance(env_id, str):
            return env_id
    return None
