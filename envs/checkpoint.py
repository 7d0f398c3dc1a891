"""A training's whole state on disk: networks, optimiser, replay buffer, environments, random keys, bit for bit.

A checkpoint is one safetensors file with a name for every array, and whatever else is worth knowing as JSON in its
header. It is read into the shapes that the same training has at its start, so that nothing else can come of it, and
reading one never runs code.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from envs.errors import InputError
from envs.files import write_atomically

_TOLD = "told"


def save_checkpoint(path: Path, state: Any, told: Mapping[str, Any]) -> None:
    """Writes ``state``, a pytree of arrays and random keys, and ``told``, a JSON object, as the file ``path``."""
    tensors = {name: _plain(leaf) for name, leaf in _named(state)}
    write_atomically(path, save(tensors, {_TOLD: json.dumps(told, allow_nan=False)}))


def load_checkpoint(path: Path, like: Any) -> tuple[Any, dict[str, Any]]:
    """Reads a checkpoint.

    Args:
        path: the file.
        like: a pytree of arrays or of `jax.ShapeDtypeStruct`, such as the training has at its start.

    Returns:
        The state, built as ``like``, and what was told with it.

    Raises:
        InputError: no such file, a damaged one, or one of another agent, network or environment.
    """
    if not path.is_file():
        raise InputError(f"expected a checkpoint at {path}, found none")
    try:
        with safe_open(path, "np") as file:
            told = json.loads(file.metadata()[_TOLD])
            found = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118, no mapping
    except (SafetensorError, KeyError, TypeError, json.JSONDecodeError) as error:
        raise InputError(f"expected a checkpoint of a training at {path}, but it is damaged: {error}") from None
    expected = _named(like)
    _require_alike(path, {name: jax.eval_shape(_plain_of_struct, leaf) for name, leaf in expected}, found)
    leaves = [_as(leaf, found[name]) for name, leaf in expected]
    return jax.tree.unflatten(jax.tree.structure(like), leaves), told


def _named(tree: Any) -> list[tuple[str, Any]]:
    return [(jax.tree_util.keystr(path), leaf) for path, leaf in jax.tree_util.tree_leaves_with_path(tree)]


def _is_key(leaf: Any) -> bool:
    return bool(jax.numpy.issubdtype(leaf.dtype, jax.dtypes.prng_key))


def _plain_of_struct(leaf: Any) -> Any:
    return jax.random.key_data(leaf) if _is_key(leaf) else leaf


def _plain(leaf: Any) -> np.ndarray:
    return np.ascontiguousarray(_plain_of_struct(leaf)).reshape(_plain_of_struct(leaf).shape)


def _as(leaf: Any, found: np.ndarray) -> jax.Array:
    array = jax.numpy.asarray(found)
    return jax.random.wrap_key_data(array) if _is_key(leaf) else array


def _require_alike(path: Path, expected: dict[str, Any], found: dict[str, np.ndarray]) -> None:
    for name in sorted(expected.keys() | found.keys()):
        ours, theirs = (_shape_told(side.get(name)) for side in (expected, found))
        if ours != theirs:
            raise InputError(
                f"expected the checkpoint of the same agent, network and environment at {path}: "
                f"it has {theirs} at {name}, where this training has {ours}"
            )


def _shape_told(array: Any) -> str:
    return "nothing" if array is None else f"{np.dtype(array.dtype).name}{list(array.shape)}"
