"""What an imagined observation looks like: the real environment there, or its numbers as bars."""

from collections.abc import Callable

import numpy as np
from gymnasium import spaces

from envs.draw import can_draw, draw_numbers, draw_state
from envs.errors import unknown_name
from worldmodels.saved_model import SavedWorldModel

DrawFn = Callable[[np.ndarray], np.ndarray]
"""One observation to a frame ``[H, W, 3]`` uint8."""

RENDER_MODES = ("rgb_array",)


def make_draw(model: SavedWorldModel, render_mode: str | None) -> DrawFn | None:
    """Returns what draws a model's observations; None where no ``render_mode`` is asked for.

    Where `envs.draw` cannot draw the real environment, the numbers are drawn as bars over the range that the logs
    show of each.

    Raises:
        InputError: a render mode that is not rgb_array.
    """
    if render_mode is None:
        return None
    if render_mode not in RENDER_MODES:
        raise unknown_name("render mode", render_mode, RENDER_MODES)
    env_id, space = model.spec.env_id, model.spec.observation_space
    if can_draw(env_id):
        return lambda observation: draw_state(env_id, observation)
    if isinstance(space, spaces.Discrete):
        low, high = np.array([space.start]), np.array([int(space.start) + int(space.n) - 1])
    else:
        logged = model.trained.starts.any.observation.numpy()
        flat = logged.reshape(len(logged), -1).astype(np.float64)
        low, high = flat.min(axis=0), flat.max(axis=0)
    return lambda observation: draw_numbers(np.ravel(observation).astype(np.float64), low, high)
