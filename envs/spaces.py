"""Gymnasium spaces to and from JSON, and checks of whole batches against a space.

Shape legend: ``N`` number of values in a batch.
"""

import json
from typing import Any

import numpy as np
from gymnasium import spaces

from envs.errors import InputError

_SUPPORTED = "Box, Discrete, MultiDiscrete and MultiBinary"


def space_to_json(space: spaces.Space) -> dict[str, Any]:
    """Returns a JSON object that `space_from_json` turns back into an equal space.

    Raises:
        InputError: the space is none of Box, Discrete, MultiDiscrete and MultiBinary.
    """
    match space:
        case spaces.Box():
            bounds = {"low": _numbers_to_json(space.low), "high": _numbers_to_json(space.high)}
            return {"type": "Box", "shape": list(space.shape), "dtype": np.dtype(space.dtype).name, **bounds}
        case spaces.Discrete():
            return {
                "type": "Discrete",
                "n": int(space.n),
                "start": int(space.start),
                "dtype": np.dtype(space.dtype).name,
            }
        case spaces.MultiDiscrete():
            starts = {"nvec": space.nvec.tolist(), "start": space.start.tolist()}
            return {"type": "MultiDiscrete", **starts, "dtype": space.nvec.dtype.name}
        case spaces.MultiBinary():
            return {"type": "MultiBinary", "n": space.n if isinstance(space.n, int) else list(space.n)}
    raise InputError(f"expected a {_SUPPORTED} space, got {space}")


def space_from_json(content: Any) -> spaces.Space:
    """Builds the space that `space_to_json` described; raises `InputError` for anything else."""
    try:
        return _build_space(content)
    except (KeyError, TypeError, ValueError, OverflowError, AssertionError) as error:
        shown = json.dumps(content)[:200]
        raise InputError(f"expected the JSON of a {_SUPPORTED} space, got {shown} ({error})") from None


def _build_space(content: dict[str, Any]) -> spaces.Space:
    match content["type"]:
        case "Box":
            dtype, shape = np.dtype(content["dtype"]).type, tuple(content["shape"])
            low, high = (_numbers_from_json(content[key], dtype, shape) for key in ("low", "high"))
            return spaces.Box(low, high, shape, dtype)
        case "Discrete":
            dtype = np.dtype(content["dtype"]).type
            return spaces.Discrete(content["n"], start=content["start"], dtype=dtype)
        case "MultiDiscrete":
            dtype = np.dtype(content["dtype"]).type
            return spaces.MultiDiscrete(content["nvec"], dtype=dtype, start=content["start"])
        case "MultiBinary":
            return spaces.MultiBinary(content["n"])
    raise ValueError(f"unknown type {content['type']!r}")


def _numbers_to_json(values: np.ndarray) -> list[Any]:
    """Flat values, one if all are equal; infinities, which JSON lacks, as strings. float64 keeps float32 exactly."""
    flat: np.ndarray = values.ravel()
    shown = flat[:1] if (flat == flat[:1]).all() else flat
    return [value if np.isfinite(value) else str(value) for value in shown.tolist()]


def _numbers_from_json(values: list[Any], dtype: type, shape: tuple[int, ...]) -> np.ndarray:
    flat: np.ndarray = np.array([float(v) if isinstance(v, str) else v for v in values], dtype)
    return np.full(shape, flat[0], dtype) if len(flat) == 1 else flat.reshape(shape)


def first_outside(space: spaces.Space, values: np.ndarray) -> int | None:
    """Returns the index of the first of ``values`` ``[N, *space.shape]`` outside ``space``, or None.

    Only values are judged, not the dtype; NaN is outside. Shapes must match already.
    """
    inside: np.ndarray
    match space:
        case spaces.Box():
            inside = (values >= space.low) & (values <= space.high)
        case spaces.Discrete():
            first = int(space.start)
            inside = (values >= first) & (values < first + int(space.n)) & (values == np.floor(values))
        case spaces.MultiDiscrete():
            start = np.asarray(space.start)
            inside = (values >= start) & (values < start + space.nvec) & (values == np.floor(values))
        case spaces.MultiBinary():
            inside = (values == 0) | (values == 1)
        case _:
            raise InputError(f"expected a {_SUPPORTED} space, got {space}")
    outside = ~inside.all(axis=tuple(range(1, inside.ndim)))
    return int(outside.argmax()) if outside.any() else None


def checked_actions(
    space: spaces.Space, actions: Any, num_rows: int, who: str, ignored: np.ndarray | None = None
) -> np.ndarray:
    """Returns a copy of a batch of ``actions`` ``[N, *space.shape]`` in the space's dtype, once it was found inside.

    Real numbers are judged as the environment will see them, after the cast, whole ones as they came.

    Args:
        space: the action space.
        actions: what an agent gave, an array or what NumPy makes one of.
        num_rows: ``N``.
        who: where the actions come from, for the message ("the policy for CartPole-v1").
        ignored: rows ``[N]`` bool whose action does not matter; they become 0.

    Raises:
        InputError: another shape, or an action outside the space (the first such row is shown).
    """
    values = np.asarray(actions)
    expected = (num_rows, *(space.shape or ()))
    if values.shape != expected:
        raise InputError(f"expected actions of shape {expected} from {who}, got {values.shape}")
    judged = np.arange(num_rows) if ignored is None else np.flatnonzero(~ignored)
    chosen = values[judged]
    if np.issubdtype(space.dtype, np.floating):
        with np.errstate(over="ignore"):  # what the dtype cannot hold becomes infinite, and is judged as that
            chosen = chosen.astype(space.dtype)
    wrong = first_outside(space, chosen)
    if wrong is not None:
        raise InputError(f"expected actions inside {space} from {who}, got {chosen[wrong]} in row {judged[wrong]}")
    checked: np.ndarray = np.zeros(expected, space.dtype)
    checked[judged] = chosen
    return checked
