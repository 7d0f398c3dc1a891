"""Artifacts: models, policies and synthetic environments on disk, as JSON and safetensors, never a pickle.

An artifact is a folder::

    artifact.json         format version, kind, family, spec, configuration, provenance, SHA-256 of the tensors and
                          of all these fields
    tensors.safetensors   every weight and buffer
    report.html, ...      what a reader may like to have beside it; loading reads none of these

It is written under a temporary name, flushed and renamed, so it is whole or absent. Loading one runs no code of it.
The checksums find damage and edits by hand; they are no signature.
"""

import hashlib
import json
import platform
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load as load_tensors
from safetensors.numpy import save as save_tensors

from envs.errors import InputError
from envs.files import new_folder, read_json, require_free, write_json
from envs.spec import EnvSpec

FORMAT_VERSION = 1
KINDS = ("world_model", "policy", "synthetic_env")
_PACKAGES = ("simulacra", "numpy", "torch", "jax", "gymnasium")


@dataclass(frozen=True)
class Artifact:
    """What an artifact folder holds.

    Attributes:
        kind: one of `KINDS`.
        family: which class of the kind rebuilds it, for example ``ensemble`` or ``ppo``.
        spec: the environment it belongs to.
        config: the full configuration, as JSON.
        tensors: name to array.
        provenance: where it came from: seed, hash of the logs, measured quality, package versions.
    """

    kind: str
    family: str
    spec: EnvSpec
    config: dict[str, Any]
    tensors: Mapping[str, np.ndarray]
    provenance: dict[str, Any] = field(default_factory=dict)


def save_artifact(
    path: Path | str, artifact: Artifact, overwrite: bool = False, beside: Mapping[str, str | bytes] | None = None
) -> None:
    """Writes ``artifact`` as the folder ``path``, with what is ``beside`` it as files of those names (``a/b`` too).

    Raises:
        InputError: where `require_artifact_place` does.
    """
    require_artifact_place(Path(path), overwrite)
    blob = save_tensors({name: np.asarray(value, order="C") for name, value in artifact.tensors.items()})
    content = {
        "format_version": FORMAT_VERSION,
        "kind": artifact.kind,
        "family": artifact.family,
        "spec": artifact.spec.to_json(),
        "config": artifact.config,
        "provenance": {"versions": package_versions(), **artifact.provenance},
        "tensors_sha256": hashlib.sha256(blob).hexdigest(),
    }
    with new_folder(Path(path), overwrite) as folder:
        for name, file in (beside or {}).items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(file.encode() if isinstance(file, str) else file)
        (folder / "tensors.safetensors").write_bytes(blob)
        write_json(folder / "artifact.json", {**content, "json_sha256": json_sha256(content)})


def json_sha256(content: Mapping[str, Any]) -> str:
    """Returns the hex SHA-256 of all fields of an ``artifact.json`` but ``json_sha256`` itself, however it is laid out.

    What is hashed is canonical JSON: sorted keys, no spaces.
    """
    # Through JSON first: a key that is a number is sorted as the text that it will be when the file is read.
    plain = json.loads(json.dumps({name: value for name, value in content.items() if name != "json_sha256"}))
    return hashlib.sha256(json.dumps(plain, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def require_artifact_place(path: Path, overwrite: bool = False) -> None:
    """Raises `InputError` unless an artifact may be made at ``path``: nothing or an empty folder, or one to overwrite.

    Only an artifact is ever overwritten: a folder that holds something else is refused even so.
    """
    require_free(path, overwrite)
    if path.exists() and not (path / "artifact.json").is_file() and not (path.is_dir() and not any(path.iterdir())):
        raise InputError(f"expected an artifact to overwrite at {path}, found something else, which is kept")


def load_artifact(path: Path | str, kind: str | None = None) -> Artifact:
    """Reads and verifies an artifact folder.

    Args:
        path: the folder.
        kind: the kind expected, or None for any.

    Raises:
        InputError: nothing there, another kind, a newer format, a wrong checksum, or tensors that are no safetensors.
    """
    path = Path(path)
    content = read_artifact_json(path, kind)
    tensors = _read_tensors(path / "tensors.safetensors", content["tensors_sha256"])
    spec = EnvSpec.from_json(content["spec"])
    return Artifact(content["kind"], content["family"], spec, content["config"], tensors, content["provenance"])


def read_artifact_json(path: Path, kind: str | None = None) -> dict[str, Any]:
    """Reads ``artifact.json`` alone and checks its version, fields, kind (None for any) and checksum, in this order.

    Raises:
        InputError: what is found wrong first.
    """
    file = path / "artifact.json"
    if not file.is_file():
        raise InputError(f"expected an artifact folder with an artifact.json at {path}, found none")
    content = read_json(file)
    found = content.get("format_version") if isinstance(content, dict) else None
    if not isinstance(found, int) or found > FORMAT_VERSION:
        raise InputError(f"expected artifact format {FORMAT_VERSION} or older in {file}, found {found}")
    wrong = _what_is_wrong(content)
    if wrong is not None:
        raise InputError(f"expected a complete artifact in {file}, but it {wrong}")
    if kind is not None and content["kind"] != kind:
        raise InputError(f"expected a {kind} at {path}, found a {content['kind']}")
    if json_sha256(content) != content["json_sha256"]:
        raise InputError(f"{file} was changed after it was written: its SHA-256 is not the one that it records")
    return content


def _what_is_wrong(content: dict[str, Any]) -> str | None:
    missing = {"kind", "family", "spec", "config", "provenance", "tensors_sha256", "json_sha256"} - content.keys()
    if missing:
        return f"lacks {', '.join(sorted(missing))}"
    if content["kind"] not in KINDS:
        return f"is of unknown kind {content['kind']!r}"
    unfit = [name for name in ("config", "provenance") if not isinstance(content[name], dict)]
    return f"holds no JSON object as its {' and '.join(unfit)}" if unfit else None


def _read_tensors(file: Path, expected: str) -> dict[str, np.ndarray]:
    if not file.is_file():
        raise InputError(f"expected the tensors of an artifact at {file}, found none")
    blob = file.read_bytes()
    # The header's length, with which safetensors begin, may look like these too, but a "{" follows it.
    if blob[8:9] != b"{" and (blob[:1] == b"\x80" or blob[:2] == b"PK"):
        raise InputError(f"expected safetensors in {file}, found a pickle, which is never loaded: it can run code")
    if hashlib.sha256(blob).hexdigest() != expected:
        raise InputError(f"{file} is truncated or changed: its SHA-256 is not the one that artifact.json recorded")
    try:
        return load_tensors(blob)
    except SafetensorError as error:
        raise InputError(f"expected safetensors in {file}, but it is something else: {error}") from None


def package_versions() -> dict[str, str]:
    """Returns the versions of Python and of the packages that results depend on."""
    return {"python": platform.python_version(), **{name: version(name) for name in _PACKAGES}}
