"""What the environments check of a reset before they change anything.

Shape legend: ``B`` environments (rows), ``O`` the observation's shape.
"""

from typing import Any

import numpy as np

from envs.errors import InputError, require
from envs.spaces import checked_batch
from envs.spec import EnvSpec


def checked_seed(seed: Any) -> int | None:
    """Returns the one ``seed`` that all randomness follows from, or None; raises `InputError` for anything else."""
    if seed is None:
        return None
    right = isinstance(seed, int | np.integer) and int(seed) >= 0
    require(right, "one seed", "of at least 0 that the randomness of all environments follows from", seed)
    return int(seed)


def checked_options(options: dict[str, Any] | None, known: tuple[str, ...]) -> dict[str, Any]:
    """Returns the reset ``options``; raises `InputError` for names that are not ``known``."""
    found = {} if options is None else options
    others = sorted(found.keys() - set(known))
    require(not others, "no reset option", f"but {' and '.join(known)}", others)
    return found


def checked_mask(mask: Any, num_rows: int) -> np.ndarray:
    """Returns a copy of the mask of rows to reset ``[B]`` bool; raises `InputError` for another array, or no True."""
    right = isinstance(mask, np.ndarray) and mask.shape == (num_rows,) and mask.dtype == bool and mask.any()
    if not right:
        raise InputError(f"expected reset_mask as a bool array [{num_rows}] with at least one True, got {mask!r}")
    copy: np.ndarray = mask.copy()
    return copy


def checked_starts(spec: EnvSpec, starts: Any, rows: np.ndarray) -> np.ndarray:
    """Returns first observations ``[B, *O]`` in the observation space's dtype; only those of ``rows`` are judged.

    Args:
        spec: the environment.
        starts: ``[B, *O]``, what the caller gave.
        rows: mask ``[B]`` of the rows that will start there.

    Raises:
        InputError: another shape, or an observation outside the space (the first such row is shown).
    """
    who = f"the start of a reset of {spec.env_id}"
    return checked_batch(spec.observation_space, starts, len(rows), "observations", who, ~rows)
