"""The environment that a world stands for, told from its name alone: nothing heavy is imported."""

import json
from pathlib import Path


def env_id_of(source: str | Path) -> str | None:
    """Returns the id of the real environment that an id or a folder names; None where a folder does not tell."""
    file = Path(source) / "artifact.json"
    if not source or not file.is_file():
        return str(source) or None
    try:
        env_id = json.loads(file.read_text())["spec"]["env_id"]
    except (OSError, ValueError, KeyError, TypeError):
        return None  # whoever opens the folder tells what is wrong with it
    return env_id if isinstance(env_id, str) else None
