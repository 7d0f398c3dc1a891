"""Nested dicts of arrays to and from the flat names of an artifact: ``{"actor": {"0": x}}`` is ``{"actor/0": x}``."""

from collections.abc import Mapping
from typing import Any

import numpy as np


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
    """Returns the nested dict that `flatten_tensors` flattened."""
    nested: dict[str, Any] = {}
    for name, value in flat.items():
        *path, leaf = name.split("/")
        level = nested
        for key in path:
            level = level.setdefault(key, {})
        level[leaf] = value
    return nested
