"""Nested dicts of arrays to and from the flat names of an artifact: ``{"actor": {"0": x}}`` is ``{"actor/0": x}``."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from envs.errors import InputError


def flatten_tensors(nested: Mapping[str, Any], prefix: str = "") -> dict[str, np.ndarray]:
    """Returns one name per array, the keys on the way to it joined by ``/``."""
    flat: dict[str, np.ndarray] = {}
    for key, value in nested.items():
        if isinstance(value, Mapping):
            flat.update(flatten_tensors(value, f"{prefix}{key}/"))
        else:
            flat[f"{prefix}{key}"] = np.asarray(value)
    return flat


def nest_tensors(flat: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """Returns the nested dict that `flatten_tensors` flattened; raises `InputError` where no dict gives such names."""
    nested: dict[str, Any] = {}
    for name, value in flat.items():
        *path, leaf = name.split("/")
        level = nested
        for key in path:
            level = level.setdefault(key, {})
            _require_apart(isinstance(level, dict), name)
        _require_apart(leaf not in level, name)
        level[leaf] = value
    return nested


def _require_apart(apart: bool, name: str) -> None:
    if not apart:
        raise InputError(f"expected names of tensors of which none continues another, got {name!r} beside such a one")
