"""Compiled JAX code kept on disk, so that a command's second start does not compile again.

It lies in a folder of the user's: ``$SIMULACRA_CACHE`` where that is set (``off`` for no cache), else ``simulacra`` in
``$XDG_CACHE_HOME`` or ``~/.cache``. What is found there is run, so it must be nobody else's to write. Whoever sets
JAX's own ``JAX_COMPILATION_CACHE_DIR`` is not interfered with.

Machines that share a home each have a folder of their own, since code made for one processor can crash on another.
JAX's keys tell versions, settings and programs apart.
"""

import hashlib
import os
import platform
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

VARIABLE = "SIMULACRA_CACHE"
SIZE_LIMIT = 2**30
"""Bytes of compiled code above which the oldest is deleted, at the next start. A training's is about a megabyte."""

_SETTINGS = {
    "jax_persistent_cache_min_compile_time_secs": 0.0,  # many small functions take as long to compile as a big one
    "jax_persistent_cache_min_entry_size_bytes": 0,
}
_READING, _WRITING = "Error reading persistent compilation cache", "Error writing persistent compilation cache"


def cache_folder() -> Path | None:
    """Returns the folder for code compiled on this machine; None where the user wants none or has told JAX theirs."""
    chosen = os.environ.get(VARIABLE, "")
    if chosen == "off" or "JAX_COMPILATION_CACHE_DIR" in os.environ:
        return None
    caches = os.environ.get("XDG_CACHE_HOME", "") or Path.home() / ".cache"
    folder = Path(chosen) if chosen else Path(caches, "simulacra")
    return folder.absolute() / f"jax-{_processor()}"


@contextmanager
def kept_compilations() -> Iterator[None]:
    """Runs the block with compiled code read from `cache_folder` and written to it; imports JAX.

    A cache that cannot be written, or is damaged, costs a line on stderr and compilations, never the run: what is
    damaged is deleted.
    """
    folder = cache_folder()
    if folder is None or not _made(folder):
        yield
        return
    _prune(folder, SIZE_LIMIT)
    import jax
    from jax.experimental.compilation_cache.compilation_cache import reset_cache

    settings: dict[str, Any] = {"jax_compilation_cache_dir": str(folder), **_SETTINGS}
    before = {name: getattr(jax.config, name) for name in settings}
    try:
        _set(settings)
        reset_cache()  # JAX settles at its first compilation whether there is a cache
        with _mended(folder):
            yield
    finally:
        _set(before)
        reset_cache()


def _set(settings: dict[str, Any]) -> None:
    import jax

    for name, value in settings.items():
        jax.config.update(name, value)


def _made(folder: Path) -> bool:
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        writable = os.access(folder, os.W_OK)
    except OSError:
        writable = False
    if not writable:
        _tell(f"cannot write to {folder}: nothing compiled is kept; {VARIABLE} names another folder, or is off")
    return writable


def _processor() -> str:
    """Returns what tells this machine's processor from those that other code would be compiled for."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = [platform.processor()]
    features = {line for line in lines if line.startswith(("flags", "Features", "model name"))} or set(lines)
    return f"{platform.machine()}-{hashlib.sha256(repr(sorted(features)).encode()).hexdigest()[:12]}"


def _prune(folder: Path, limit: int) -> None:
    """Deletes the oldest entries until those left are within ``limit`` bytes; other processes may do the same."""
    entries = sorted(((path.stat(), path) for path in _entries(folder)), key=lambda entry: entry[0].st_mtime)
    excess = sum(status.st_size for status, _ in entries) - limit
    for status, path in entries:
        if excess <= 0:
            return
        path.unlink(missing_ok=True)
        excess -= status.st_size


def _entries(folder: Path) -> list[Path]:
    return [path for path in folder.iterdir() if path.name.endswith("-cache")]


@contextmanager
def _mended(folder: Path) -> Iterator[None]:
    """Hears JAX's warnings of the cache, which name no entry: one that cannot be read makes all be deleted."""

    def show(
        message: Warning | str, category: type[Warning], filename: str, lineno: int, file: TextIO | None = None,
        line: str | None = None,
    ) -> None:  # fmt: skip
        if str(message).startswith(_READING):
            _prune(folder, limit=0)
            _tell(f"the compiled code in {folder} was damaged and has been deleted")
        elif str(message).startswith(_WRITING):
            _tell(f"what is compiled cannot be kept in {folder}: {message}")
        else:
            show_others(message, category, filename, lineno, file, line)

    with warnings.catch_warnings():
        for beginning in (_READING, _WRITING):
            warnings.filterwarnings("always", beginning)
        show_others, warnings.showwarning = warnings.showwarning, show
        yield


def _tell(message: str) -> None:
    print(f"simulacra: {message}", file=sys.stderr)
