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
            inside = (values >= first) & (values < first + int(space.n))
            if values.dtype.kind not in "iu":
                inside &= values == np.floor(values)
        case spaces.MultiDiscrete():
            start = np.asarray(space.start)
            inside = (values >= start) & (values < start + space.nvec) & (values == np.floor(values))
        case spaces.MultiBinary():
            inside = (values == 0) | (values == 1)
        case _:
            raise InputError(f"expected a {_SUPPORTED} space, got {space}")
    if inside.all():
        return None
    return int((~inside.all(axis=tuple(range(1, inside.ndim)))).argmax())


def any_member(space: spaces.Space) -> np.ndarray:
    """Returns one value inside ``space``, the same each time: zeros where they are inside, else the nearest to them."""
    match space:
        case spaces.Box():
            nearest: np.ndarray = np.clip(np.zeros(space.shape, space.dtype), space.low, space.high)
            return nearest
        case spaces.Discrete() | spaces.MultiDiscrete():
            return np.array(space.start, space.dtype)
        case spaces.MultiBinary():
            return np.zeros(space.shape, space.dtype)
    raise InputError(f"expected a {_SUPPORTED} space, got {space}")


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
        ignored: rows ``[N]`` bool whose action does not matter; it becomes one inside the space.

    Raises:
        InputError: another shape, no numbers, or an action outside the space (the first such row is shown).
    """
    return checked_batch(space, actions, num_rows, "actions", who, ignored)


def checked_batch(
    space: spaces.Space, values: Any, num_rows: int, what: str, who: str, ignored: np.ndarray | None = None
) -> np.ndarray:
    """Returns a copy of a batch of members of ``space``, as `checked_actions` does of actions; ``what`` names them."""
    batch = np.asarray(values)
    expected = (num_rows, *(space.shape or ()))
    if batch.shape != expected:
        raise InputError(f"expected {what} of shape {expected} from {who}, got {batch.shape}")
    if batch.dtype.kind not in "biuf":
        raise InputError(f"expected {what} as numbers from {who}, got {batch.dtype}")
    judged = batch if ignored is None else batch[~ignored]
    if np.dtype(space.dtype).kind == "f":
        with np.errstate(over="ignore"):  # what the dtype cannot hold becomes infinite, and is judged as that
            judged = judged.astype(space.dtype)
    wrong = first_outside(space, judged)
    if wrong is not None:
        row = wrong if ignored is None else np.flatnonzero(~ignored)[wrong]
        raise InputError(f"expected {what} inside {space} from {who}, got {judged[wrong]} in row {row}")
    if ignored is None:
        return np.array(judged, space.dtype)
    checked: np.ndarray = np.empty(expected, space.dtype)
    checked[ignored], checked[~ignored] = any_member(space), judged
    return checked
