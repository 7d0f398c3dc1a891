"""Edits an artifact by hand, for the tests that ask what its readers make of that."""

import json
from pathlib import Path
from typing import Any

from envs.artifact import json_sha256


def edit_artifact(path: Path, forge: bool = True, **changes: Any) -> None:
    """Changes fields of ``artifact.json`` in the artifact ``path``; ``forge`` makes its checksum agree with them."""
    file = path / "artifact.json"
    content = json.loads(file.read_text()) | changes
    if forge:
        content["json_sha256"] = json_sha256(content)
    file.write_text(json.dumps(content))
