"""Files and folders that appear whole or not at all: written under a temporary name, flushed, then renamed."""

import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from envs.errors import InputError

_BLOCK = 1 << 20


def sha256_of(path: Path, offset: int = 0, num_bytes: int | None = None) -> str:
    """Returns the hex SHA-256 of ``num_bytes`` bytes of a file from ``offset`` (all the rest by default)."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        file.seek(offset)
        left = path.stat().st_size - offset if num_bytes is None else num_bytes
        while left > 0 and (block := file.read(min(_BLOCK, left))):
            digest.update(block)
            left -= len(block)
    return digest.hexdigest()


def write_atomically(path: Path, content: bytes | str, durable: bool = True) -> None:
    """Writes ``content`` so that a reader, or a crash at any moment, sees the old file or the new one, never a part.

    ``durable`` also waits for the disk; without it the file survives a killed process but not a power cut.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as file:
            file.write(content.encode() if isinstance(content, str) else content)
            if durable:
                file.flush()
                os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def write_json(path: Path, content: Any, durable: bool = True) -> None:
    """Writes ``content`` atomically as indented, strictly standard JSON (no NaN or infinity)."""
    write_atomically(path, json.dumps(content, indent=2, allow_nan=False) + "\n", durable)


def plain_json(content: Any) -> Any:
    """Returns ``content`` as it is when read back from a JSON file: with lists for tuples."""
    return json.loads(json.dumps(content, allow_nan=False))


def read_json(path: Path) -> Any:
    """Reads a JSON file; raises `InputError` naming the file where it is missing or damaged."""
    try:
        return json.loads(path.read_text())
    except FileNotFoundError:
        raise InputError(f"expected a file at {path}, found none") from None
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise InputError(f"expected JSON in {path}, but it is damaged: {error}") from None


def require_free(path: Path, overwrite: bool = False) -> None:
    """Raises `InputError` where ``path`` exists, is not an empty folder, and ``overwrite`` was not given.

    Likewise where nothing can be made at ``path``, so that long work does not end in that discovery.
    """
    require_place(path)
    if not overwrite and path.exists() and not (path.is_dir() and not any(path.iterdir())):
        raise InputError(f"{path} already exists; choose another place or allow overwriting it")


def require_place(path: Path) -> None:
    """Raises `InputError` unless a file or folder can be made at ``path``: below a folder that may be written to."""
    above = next((parent for parent in path.absolute().parents if parent.exists()), path)
    if not above.is_dir():
        raise InputError(f"expected a folder at {above} to make {path} in, found a file")
    if not os.access(above, os.W_OK):
        raise InputError(f"expected a folder at {above} that may be written to, to make {path} in; it is read-only")


@contextmanager
def new_folder(path: Path, overwrite: bool = False) -> Iterator[Path]:
    """Yields a temporary folder that becomes ``path`` when the block ends without an error, and vanishes otherwise.

    Raises:
        InputError: ``path`` exists and is not an empty folder, and ``overwrite`` was not given.
    """
    require_free(path, overwrite)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir()
    try:
        yield temporary
        _flush_folder(temporary)
        _replace_folder(path, temporary)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _flush_folder(folder: Path) -> None:
    for file in folder.rglob("*"):
        if file.is_file():
            with file.open("rb+") as opened:
                os.fsync(opened.fileno())


def _replace_folder(path: Path, temporary: Path) -> None:
    old = path.with_name(f".{path.name}.{os.getpid()}.old")
    if path.exists():
        path.rename(old)
    temporary.rename(path)
    if old.is_dir():
        shutil.rmtree(old, ignore_errors=True)
    else:
        old.unlink(missing_ok=True)
